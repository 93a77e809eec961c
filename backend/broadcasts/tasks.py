from celery import shared_task

from broadcasts import queue, services


@shared_task(name=queue.START)
def start(broadcast_id: int) -> None:
    services.start_broadcast(broadcast_id)


@shared_task(name=queue.DELIVER)
def deliver(broadcast_id: int) -> None:
    if services.deliver_batch(broadcast_id):
        queue.deliver(broadcast_id)


@shared_task(name="broadcasts.advance")
def advance() -> None:
    services.advance_broadcasts()
