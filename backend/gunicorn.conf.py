"""Read by gunicorn from its working directory; options on the command line win."""

from config.env import env
from config.logs import logging_config

# Access lines are the proxy's business; errors and starts are records like all others.
logconfig_dict = logging_config(
    debug=env.boolean("DJANGO_DEBUG", default=False), level=env.text("DJANGO_LOG_LEVEL", "INFO").upper()
)
