import os
from pathlib import Path

# While the image is built there are no secrets.
BUILD = "DJANGO_BUILD" in os.environ


def secret(name: str) -> str:
    return "" if BUILD else Path(os.environ[name + "_FILE"]).read_text().strip()


SECRET_KEY = secret("DJANGO_SECRET_KEY") or "build"
INSTALLED_APPS = ["django.contrib.staticfiles", "orders"]
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("DJANGO_STATIC_ROOT")
USE_TZ = True

CELERY_BROKER_URL = secret("CELERY_BROKER_URL")
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ROUTES = {"orders.tasks.export": {"queue": "exports"}}
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "orders.tasks.tick", "schedule": 2.0, "options": {"expires": 10}},
    # Longer than a test lets beat live.
    "round": {"task": "orders.tasks.confirm", "args": ["round"], "schedule": 40.0, "options": {"expires": 10}},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Short, so that a test sees how the tasks that a worker held come back; the default is an hour, and a look at every
# hundred seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 30, "unacked_restore_throttle": 1}
