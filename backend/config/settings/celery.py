import tempfile
from pathlib import Path

from config.env import env

from .broadcasts import BROADCAST_TICK_SECONDS
from .core import REDIS_KEY_PREFIX

__all__ = [
    "CELERY_ACCEPT_CONTENT",
    "CELERY_BEAT_SCHEDULE",
    "CELERY_BEAT_SCHEDULE_FILENAME",
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP",
    "CELERY_BROKER_TRANSPORT_OPTIONS",
    "CELERY_BROKER_URL",
    "CELERY_TASK_ACKS_LATE",
    "CELERY_TASK_IGNORE_RESULT",
    "CELERY_TASK_PUBLISH_RETRY_POLICY",
    "CELERY_TASK_REJECT_ON_WORKER_LOST",
    "CELERY_TASK_SERIALIZER",
    "CELERY_TIMEZONE",
    "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS",
    "CELERY_WORKER_HIJACK_ROOT_LOGGER",
    "CELERY_WORKER_PREFETCH_MULTIPLIER",
]

CELERY_BROKER_URL = env.redis("CELERY_BROKER_URL")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any task, so that only a lost worker's messages come back.
    "visibility_timeout": env.integer("CELERY_VISIBILITY_TIMEOUT", 600, minimum=1),
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
} | ({"global_keyprefix": REDIS_KEY_PREFIX} if REDIS_KEY_PREFIX else {})
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TIMEZONE = "UTC"

# Results live in the database, as deliveries.
CELERY_TASK_IGNORE_RESULT = True
# A message leaves the queue when its work is done; running one twice is harmless.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A page does not wait for a broker that is down: the next tick sends what could not be sent now.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}

# Everything but the temporary directory is read-only.
CELERY_BEAT_SCHEDULE_FILENAME = str(Path(tempfile.gettempdir()) / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "advance-broadcasts": {
        "task": "broadcasts.advance",
        "schedule": BROADCAST_TICK_SECONDS,
        # Ticks that nobody could take do not pile up.
        "options": {"expires": max(10.0, 2 * BROADCAST_TICK_SECONDS)},
    },
}
