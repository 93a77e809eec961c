"""Settings of three kinds: an INI file with secrets, a YAML file with features, and the environment."""

import configparser
import os
from pathlib import Path
from urllib.parse import quote

import yaml

INI = configparser.RawConfigParser()
with open(os.environ["PULSE_INI"]) as stream:
    INI.read_file(stream)
FEATURES = yaml.safe_load(Path(os.environ["PULSE_FEATURES"]).read_text())
PULSE_MAIL = dict(INI["mail"])


def redis_url(use: str) -> str:
    """PULSE_<use>_HOST, _PORT, _DB and _USER; the password is in the file that _PASSWORD_FILE names."""
    host, port, database, user, password_file = (
        os.environ[f"PULSE_{use}_{part}"] for part in ("HOST", "PORT", "DB", "USER", "PASSWORD_FILE")
    )
    password = quote(Path(password_file).read_text().strip(), safe="")
    return f"redis://{user}:{password}@{host}:{port}/{database}"


SECRET_KEY = INI["django"]["secret_key"]
ALLOWED_HOSTS = os.environ["PULSE_HOSTS"].split(" ")
CSRF_TRUSTED_ORIGINS = os.environ["PULSE_ORIGINS"].split(",")
INSTALLED_APPS = ["django.contrib.staticfiles", "pulse"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "pulse.urls"
ASGI_APPLICATION = "pulse.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PULSE_DB_HOST"],
        "PORT": os.environ["PULSE_DB_PORT"],
        "NAME": os.environ["PULSE_DB_NAME"],
        "USER": os.environ["PULSE_DB_USER"],
        "PASSWORD": Path(os.environ["PULSE_DB_PASSWORD_FILE"]).read_text().strip(),
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url("CACHE")}}
CELERY_BROKER_URL = redis_url("BROKER")
CELERY_RESULT_BACKEND = redis_url("RESULTS")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Collected before it is packaged: static files are part of the package.
STATIC_URL = "/pulse-static/"
STATIC_ROOT = Path(__file__).parent / "static_root"
