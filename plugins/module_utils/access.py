# MIT License (see LICENSE)
"""How an application reaches the services of its stack, in the words that applications ask for."""

from __future__ import annotations

from urllib.parse import quote

from ansible_collections.broadcast.stack.plugins.module_utils.fleet import numbered


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
        # In the words of libpq, which also reads them from PGSSLMODE and PGSSLROOTCERT; empty on a single host.
        "sslmode": database.get("sslmode", ""),
        "sslrootcert": database.get("sslrootcert", ""),
    }


def redis_access(uses: dict, prefix: str, instances: dict, fleet: dict | None = None) -> dict:
    """For each use {host, port, database, user, password, url, tls, ca}.

    uses: name to instance and database (number). prefix, instances: as the role redis takes them. fleet: {host, port
    (of the first instance), ca (path)} where they are reached over the network between hosts, with TLS.
    """
    ports = numbered(instances, fleet["port"]) if fleet else {}
    found = {}
    for use, wanted in uses.items():
        instance, database = wanted.get("instance") or use, int(wanted.get("database", 0))
        if instance not in instances:
            raise AccessError(
                "backend_redis_uses.%s: there is no instance %s in redis_instances; choose from %s"
                % (use, instance, ", ".join(instances))
            )
        password = instances[instance]["password"]
        host = fleet["host"] if fleet else "%s-%s" % (prefix, instance)
        port = ports.get(instance, 6379)
        url = "%s:%s@%s:%d/%d" % ("app", quote(password, safe=""), host, port, database)
        found[use] = {
            "host": host,
            "port": port,
            "database": database,
            "user": "app",
            "password": password,
            # Read by redis-py, by kombu for Celery, and by what is built on them.
            "url": "rediss://%s?ssl_cert_reqs=required&ssl_ca_certs=%s" % (url, fleet["ca"])
            if fleet
            else "redis://" + url,
            "tls": bool(fleet),
            "ca": fleet["ca"] if fleet else "",
        }
    return found
