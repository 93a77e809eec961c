from config.env import env
from config.logs import logging_config

from .core import DEBUG

__all__ = ["LOGGING"]

LOGGING = logging_config(debug=DEBUG, level=env.text("DJANGO_LOG_LEVEL", "INFO").upper())
