# MIT License (see LICENSE)
"""How an application reaches the services of its stack, in the words that applications ask for."""

from __future__ import annotations

from urllib.parse import quote


class AccessError(ValueError):
    """A use of a service that does not exist."""


def database_access(database: dict, user: str, password: str) -> dict:
    """{host, port, name} with user, password, url and passfile (the content of a libpq password file)."""
    host, port, name = database["host"], int(database["port"]), database["name"]
    escaped = [str(part).replace("\\", "\\\\").replace(":", "\\:") for part in (host, port, "*", user, password)]
    return {
        "host": host,
        "port": port,
        "name": name,
        "user": user,
        "password": password,
        "url": "postgresql://%s:%s@%s:%d/%s" % (quote(user, safe=""), quote(password, safe=""), host, port, name),
        "passfile": ":".join(escaped),
    }


def redis_access(uses: dict, prefix: str, instances: dict) -> dict:
    """For each use {host, port, database, user, password, url}.

    uses: name to instance and database (number). prefix, instances: as the role redis takes them.
    """
    found = {}
    for use, wanted in uses.items():
        instance, database = wanted.get("instance") or use, int(wanted.get("database", 0))
        if instance not in instances:
            raise AccessError(
                "backend_redis_uses.%s: there is no instance %s in redis_instances; choose from %s"
                % (use, instance, ", ".join(instances))
            )
        host, password = "%s-%s" % (prefix, instance), instances[instance]["password"]
        found[use] = {
            "host": host,
            "port": 6379,
            "database": database,
            "user": "app",
            "password": password,
            "url": "redis://app:%s@%s:6379/%d" % (quote(password, safe=""), host, database),
        }
    return found
