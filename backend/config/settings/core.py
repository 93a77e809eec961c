"""What more than one of the modules needs."""

from pathlib import Path

from config.env import env

BASE_DIR = Path(__file__).resolve().parents[2]
DEBUG = env.boolean("DJANGO_DEBUG", default=False)
# Lets several installations, or the tests, share one Redis.
REDIS_KEY_PREFIX = env.text("REDIS_KEY_PREFIX")
