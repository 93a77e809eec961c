# MIT License (see LICENSE)
"""How an application reaches the services of its stack, in the words that applications ask for."""

from __future__ import annotations

from urllib.parse import quote


class AccessError(ValueError):
    """A use of a service that does not exist."""


def database_access(database: dict, user: str, password: str) -> dict:
    """{host, port, name, ...} with user, password, url and passfile (the content of a libpq password file)."""
    host, port, name = database["host"], int(database["port"]), database["name"]
    escaped = [str(part).replace("\\", "\\\\").replace(":", "\\:") for part in (host, port, "*", user, password)]
    return {
        **database,
        "host": host,
        "port": port,
        "name": name,
        "user": user,
        "password": password,
        "url": "postgresql://%s:%s@%s:%d/%s" % (quote(user, safe=""), quote(password, safe=""), host, port, name),
        "passfile": ":".join(escaped),
    }


def redis_access(uses: dict, prefix: str, instances: dict, fleet: dict | None = None) -> dict:
    """For each use {host, port, database, user, password, tls, ca, url}.

    uses: name to instance and database (number). prefix, instances: as the role redis takes them. fleet: where they are
    reached by TLS: {host, ports (of instances), ca (path of the authority in the clients' containers)}.
    """
    found = {}
    for use, wanted in uses.items():
        instance, database = wanted.get("instance") or use, int(wanted.get("database", 0))
        if instance not in instances:
            raise AccessError(
                "backend_redis_uses.%s: there is no instance %s in redis_instances; choose from %s"
                % (use, instance, ", ".join(instances))
            )
        password = instances[instance]["password"]
        host, port, scheme, query, ca = "%s-%s" % (prefix, instance), 6379, "redis", "", ""
        if fleet:
            host, port, ca = fleet["host"], int(fleet["ports"][instance]), fleet["ca"]
            scheme, query = "rediss", "?ssl_cert_reqs=required&ssl_ca_certs=%s" % ca
        found[use] = {
            "host": host,
            "port": port,
            "database": database,
            "user": "app",
            "password": password,
            "tls": bool(fleet),
            "ca": ca,
            "url": "%s://app:%s@%s:%d/%d%s" % (scheme, quote(password, safe=""), host, port, database, query),
        }
    return found
