#!/usr/bin/env python
"""Django's command line of the project `orders`, which only exists to try the role with somebody else's application."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders.settings")
    execute_from_command_line(sys.argv)
