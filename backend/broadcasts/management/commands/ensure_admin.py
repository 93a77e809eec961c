from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from config.env import Environment


class Command(BaseCommand):
    help = (
        "Create or update the superuser DJANGO_SUPERUSER_USERNAME with DJANGO_SUPERUSER_EMAIL and "
        "DJANGO_SUPERUSER_PASSWORD (or DJANGO_SUPERUSER_PASSWORD_FILE)."
    )

    @transaction.atomic
    def handle(self, **_: Any) -> None:
        env = Environment()
        username = env.required("DJANGO_SUPERUSER_USERNAME")
        password = env.required("DJANGO_SUPERUSER_PASSWORD")
        email = env.text("DJANGO_SUPERUSER_EMAIL")
        if env.missing or env.invalid:
            missing = [f"{name} is not set (nor {name}_FILE)" for name in env.missing]
            raise CommandError("; ".join(missing + env.invalid))

        user, created = get_user_model().objects.select_for_update().get_or_create(username=username)
        changes = [
            field
            for field, value in {"is_staff": True, "is_superuser": True, "is_active": True, "email": email}.items()
            if getattr(user, field) != value and (setattr(user, field, value) or True)
        ]
        # A password that is right is left alone: setting it would end the user's sessions.
        if created or not user.check_password(password):
            user.set_password(password)
            changes.append("password")
        if changes:
            user.save()
        updated = f"updated ({', '.join(changes)})" if changes else "unchanged"
        self.stdout.write(f"Superuser {username!r}: {'created' if created else updated}.")
