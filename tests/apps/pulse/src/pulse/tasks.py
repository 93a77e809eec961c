import threading

from celery import Task, shared_task

from pulse.models import Event

QUEUES = ("fast", "mail", "reports", "media-in", "low")


@shared_task(bind=True)
def beat(self: Task) -> str:
    """Tells which queue it came from, and whether it ran in a thread of its own."""
    queue = self.request.delivery_info["routing_key"]
    thread = "main" if threading.current_thread() is threading.main_thread() else "thread"
    Event.objects.create(kind=f"queue {queue}", note=thread)
    return queue
