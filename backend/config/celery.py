import logging.config
import os
from typing import Any

from celery import Celery, signals

from config.context import request_id, task_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("broadcast")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def use_django_logging(**_: Any) -> None:
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@signals.before_task_publish.connect
def carry_request_id(headers: dict[str, Any], **_: Any) -> None:
    headers["request_id"] = request_id.get()


@signals.task_prerun.connect
def enter_task(task: Any, **kwargs: Any) -> None:
    task_id.set(kwargs["task_id"])
    request_id.set(getattr(task.request, "request_id", None) or "")


@signals.task_postrun.connect
def leave_task(**_: Any) -> None:
    task_id.set("")
    request_id.set("")
