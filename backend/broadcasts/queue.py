"""Puts tasks into the queue. The database knows what is left to do, so a message that got lost is not lost work."""

import logging
from typing import Any

from kombu.exceptions import OperationalError

from config.celery import app

logger = logging.getLogger(__name__)

START = "broadcasts.start"
DELIVER = "broadcasts.deliver"


def start(broadcast_id: int) -> None:
    send(START, broadcast_id)


def deliver(broadcast_id: int, batches: int = 1) -> None:
    for _ in range(batches):
        if not send(DELIVER, broadcast_id):
            return


def send(name: str, *arguments: Any) -> bool:
    try:
        app.send_task(name, args=arguments)
    except OperationalError as error:
        logger.warning("The broker does not answer, the next tick sends %s%s: %s", name, arguments, error)
        return False
    return True
