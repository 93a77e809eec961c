"""The single place that reads the environment.

Every problem is collected, and `Environment.verify` reports all of them in one error, so that a wrong environment is
put right in one go. A secret's value never appears in an error.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


class Environment:
    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables = os.environ if variables is None else variables
        self.missing: list[str] = []
        self.invalid: list[str] = []
        self.unreadable: set[str] = set()
        self.is_build = self.boolean("DJANGO_BUILD", default=False)

    def verify(self) -> None:
        problems = []
        if self.missing:
            problems.append(f"missing (set the variable, or the same name with _FILE): {', '.join(self.missing)}")
        problems += dict.fromkeys(self.invalid)
        if problems:
            raise ImproperlyConfigured("The environment is not complete: " + "; ".join(problems))

    def text(self, name: str, default: str = "") -> str:
        return self._read(name) or default

    def required(self, name: str, build: str = "") -> str:
        """`build` stands in for the value while an image is built, when there are no secrets yet."""
        value = self._read(name)
        if value:
            return value
        if not self.is_build and name not in self.unreadable:
            self.missing.append(name)
        return build

    def boolean(self, name: str, *, default: bool) -> bool:
        value = self._read(name).lower()
        if not value:
            return default
        if value not in TRUE | FALSE:
            self.invalid.append(f"{name}: expected 1 or 0, got {value!r}")
        return value in TRUE

    def integer(self, name: str, default: int, minimum: int = 0) -> int:
        return self._number(name, default, minimum, int)

    def decimal(self, name: str, default: float, minimum: float = 0) -> float:
        return self._number(name, default, minimum, float)

    def list(self, name: str) -> list[str]:
        return [item.strip() for item in self._read(name).split(",") if item.strip()]

    def database(self, name: str) -> dict[str, Any]:
        """A postgresql:// address as Django's dictionary; parameters of the query become options of libpq."""
        url = self.required(name, build="postgresql://build@localhost/build")
        if not url:
            return {}
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = None, None
        database = unquote(parts.path.lstrip("/")) if parts else ""
        if parts is None or parts.scheme not in {"postgres", "postgresql"} or not database:
            self.invalid.append(
                f"{name}: expected postgresql://user:password@host:port/database (its value is not shown)"
            )
            return {}
        options = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", unquote(parts.hostname or "")),
            "PORT": options.pop("port", str(port or "")),
            "OPTIONS": {"connect_timeout": "5", **options},
        }

    def redis(self, name: str) -> str:
        url = self.required(name, build="redis://localhost:6379/0")
        if url and not url.startswith(("redis://", "rediss://")):
            self.invalid.append(f"{name}: expected redis://user:password@host:port/number (its value is not shown)")
        return url

    def _number[T: (int, float)](self, name: str, default: T, minimum: T, kind: Callable[[str], T]) -> T:
        value = self._read(name)
        if not value:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or not math.isfinite(number) or number < minimum:
            self.invalid.append(f"{name}: expected a number of at least {minimum}, got {value!r}")
            return default
        return number

    def _read(self, name: str) -> str:
        value = self.variables.get(name, "")
        path = self.variables.get(f"{name}_FILE", "")
        if value and path:
            self.invalid.append(f"{name} and {name}_FILE are both set, only one may be")
        if value or not path:
            return value
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self.invalid.append(f"{name}_FILE: cannot read {path}: {reason}")
            self.unreadable.add(name)
            return ""


env = Environment()
