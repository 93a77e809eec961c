"""What holds everywhere; the rest is the administrator's, in a file of Python."""

import runpy

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.staticfiles", "ledger"]
MIDDLEWARE = [
    "ledger.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "ledger.urls"
WSGI_APPLICATION = "ledger.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True

# Served by the application itself, straight out of the package.
STATIC_URL = "/assets/"
WHITENOISE_USE_FINDERS = True

# A name that no worker consumes unless it is left alone with the configuration.
CELERY_TASK_DEFAULT_QUEUE = "ledger-books"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_BEAT_SCHEDULE = {"close": {"task": "ledger.tasks.close", "schedule": 5}}

# Of /etc/ledger/settings.py: SECRET_KEY, ALLOWED_HOSTS, DATABASES, CACHES, CELERY_BROKER_URL, LEDGER_*.
globals().update({key: value for key, value in runpy.run_path("/etc/ledger/settings.py").items() if key.isupper()})
