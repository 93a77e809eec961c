from config.env import env

from .core import DEBUG

__all__ = [
    "BROADCAST_BATCH_SECONDS",
    "BROADCAST_BATCH_SIZE",
    "BROADCAST_MAX_ATTEMPTS",
    "BROADCAST_PARALLEL_BATCHES",
    "BROADCAST_RETRY_LIMIT_SECONDS",
    "BROADCAST_RETRY_SECONDS",
    "BROADCAST_STALL_SECONDS",
    "BROADCAST_TICK_SECONDS",
    "BROADCAST_UNAVAILABLE_SECONDS",
    "WEBHOOK_ALLOW_HTTP",
    "WEBHOOK_ALLOW_PRIVATE",
    "WEBHOOK_TIMEOUT_SECONDS",
]

# How often beat looks for broadcasts that are due or stand still.
BROADCAST_TICK_SECONDS = env.decimal("BROADCAST_TICK_SECONDS", 3, minimum=0.1)
# A task delivers one batch: at most so many, and for so long, whatever ends first. A short task stops fast.
BROADCAST_BATCH_SIZE = env.integer("BROADCAST_BATCH_SIZE", 25, minimum=1)
BROADCAST_BATCH_SECONDS = env.decimal("BROADCAST_BATCH_SECONDS", 20, minimum=0)
# Tasks of one broadcast in the queue at the same time.
BROADCAST_PARALLEL_BATCHES = env.integer("BROADCAST_PARALLEL_BATCHES", 8, minimum=1)
# The wait after the first failure doubles with every further one, up to the limit.
BROADCAST_MAX_ATTEMPTS = env.integer("BROADCAST_MAX_ATTEMPTS", 6, minimum=1)
BROADCAST_RETRY_SECONDS = env.decimal("BROADCAST_RETRY_SECONDS", 10, minimum=0)
BROADCAST_RETRY_LIMIT_SECONDS = env.decimal("BROADCAST_RETRY_LIMIT_SECONDS", 3600, minimum=0)
# A broadcast whose tasks were lost (worker or broker killed) is taken up again after this time.
BROADCAST_STALL_SECONDS = env.decimal("BROADCAST_STALL_SECONDS", 60, minimum=0)
# While the mail server does not answer, nobody's attempts are used up; the broadcast waits.
BROADCAST_UNAVAILABLE_SECONDS = env.decimal("BROADCAST_UNAVAILABLE_SECONDS", 15, minimum=0)

WEBHOOK_TIMEOUT_SECONDS = env.decimal("WEBHOOK_TIMEOUT_SECONDS", 10, minimum=0.1)
# Private addresses are this network's own services; who may write a recipient must not reach those.
WEBHOOK_ALLOW_PRIVATE = env.boolean("WEBHOOK_ALLOW_PRIVATE", default=DEBUG)
WEBHOOK_ALLOW_HTTP = env.boolean("WEBHOOK_ALLOW_HTTP", default=DEBUG)
