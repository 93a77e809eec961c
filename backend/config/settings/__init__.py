"""One set of settings for every environment; the environment's variables decide what differs."""

from config.env import env

from .api import *
from .application import *
from .broadcasts import *
from .celery import *
from .database import *
from .email import *
from .files import *
from .logging import *
from .security import *

env.verify()
