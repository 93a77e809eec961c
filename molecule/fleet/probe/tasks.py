import time

from celery import shared_task
from django.db import connection

from probe.models import Tick


@shared_task(name="probe.work", acks_late=True)
def work(key: str, seconds: float) -> None:
    time.sleep(seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO probe_work (key, count) VALUES (%s, 1) "
            "ON CONFLICT (key) DO UPDATE SET count = probe_work.count + 1",
            [key],
        )


@shared_task(name="probe.tick")
def tick() -> None:
    Tick.objects.create()
