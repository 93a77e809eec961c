# MIT License (see LICENSE)
"""What web and workers are told alike: the application's surroundings, and the paths that it may write."""

from __future__ import annotations

import dataclasses
import typing as t

Settings = t.Mapping[str, t.Any]


def part(said: Settings, name: str) -> dict[str, t.Any]:
    """One of the dictionaries of a role, with what is still said under names of the version before."""
    renamed = {key: value for key, value in (said["renamed"].get(name) or {}).items() if value is not None}
    return {**(said[name] or {}), **renamed}


def entry(kind: type[t.Any], settings: Settings | None, **more: t.Any) -> t.Any:
    """What an inventory says, completed with defaults. Keys without a meaning are refused by argument_specs."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{**{key: value for key, value in (settings or {}).items() if key in known}, **more})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """What processes of the application find around them."""

    env: Settings = dataclasses.field(default_factory=dict)
    # Name to value, files in /run/secrets.
    secrets: Settings = dataclasses.field(default_factory=dict)
    # Absolute path to text, or to content, mode and owner; with secrets, and without.
    secret_files: Settings = dataclasses.field(default_factory=dict)
    files: Settings = dataclasses.field(default_factory=dict)
    # Secret environment variables.
    secret_env: Settings = dataclasses.field(default_factory=dict)

    def options(self) -> dict[str, t.Any]:
        """Options of a container."""
        return {
            "env": self.env,
            "secrets": {**self.secrets, **self.secret_files},
            "env_secrets": self.secret_env,
            "files": self.files,
        }

    def over(self, base: Runtime) -> Runtime:
        """These on top of others."""
        names = [field.name for field in dataclasses.fields(self)]
        return Runtime(**{name: {**getattr(base, name), **getattr(self, name)} for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage:
    """Paths that processes of the application may write."""

    volumes: t.Sequence[str] = ()
    # Volume to owner (uid:gid) and mode that it gets when it is created.
    volume_access: Settings = dataclasses.field(default_factory=dict)
    tmpfs: t.Sequence[str] = ()
    writable_root_reason: str = ""

    def options(self, temporary: str) -> dict[str, t.Any]:
        """Options of a container. temporary: its /tmp, with options."""
        reason = self.writable_root_reason
        return {
            "volumes": list(self.volumes),
            "volume_access": self.volume_access,
            "tmpfs": [temporary, *self.tmpfs],
            "read_only": not reason,
            "exceptions": {"read_only": reason} if reason else {},
        }
