import time
from typing import Any

from celery import Task, shared_task, signals
from django.db import connection

from probe.models import Tick


@shared_task(name="probe.work")
def work(key: str, seconds: float) -> None:
    """Counts at its end, in one statement: a task that was killed is missing, one that was done twice is seen."""
    time.sleep(seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO probe_work (key, count) VALUES (%s, 1) "
            "ON CONFLICT (key) DO UPDATE SET count = probe_work.count + 1",
            [key],
        )


@shared_task(bind=True, name="probe.tick")
def tick(self: Task) -> None:
    """Comes from beat every second; what counts is who sent it and when, not how long it waited."""
    Tick.objects.create(task=self.request.id, scheduler=self.request.origin, sent=self.request.probe_sent)


@signals.before_task_publish.connect(sender="probe.tick")
def note_time(headers: dict[str, Any], **_: Any) -> None:
    headers["probe_sent"] = time.time()
