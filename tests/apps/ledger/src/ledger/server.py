"""The console script: Django's commands, and those of Celery as commands of its own."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger.settings")
    command, *arguments = sys.argv[1:] or ["help"]
    if command in ("worker", "beat"):
        import django

        from ledger.celery import app

        django.setup()
        app.start([command, *arguments])
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
