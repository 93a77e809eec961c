from config.env import env

from .core import REDIS_KEY_PREFIX

__all__ = ["CACHES", "DATABASES"]

DATABASES = {
    "default": env.database("DATABASE_URL")
    | {
        # One connection per thread or worker process, kept and tested before use. No pool: it would have to survive
        # the fork of Celery's processes, and none of them uses more than one connection.
        "CONN_MAX_AGE": env.integer("DATABASE_CONN_MAX_AGE", 300),
        "CONN_HEALTH_CHECKS": True,
    },
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.redis("CACHE_URL"),
        "KEY_PREFIX": REDIS_KEY_PREFIX,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    },
}
