# MIT License (see LICENSE)
"""
The application's containers: web, its processes, and the one that runs release commands.

The role django_web calls this: what an inventory says is completed with defaults, judged, and becomes specifications
for the role container.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.plugins.filter.core import to_nice_json
from ansible_collections.broadcast.stack.plugins.filter.release_commands import release_commands
from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes, tmpfs_problems
from ansible_collections.broadcast.stack.plugins.filter.web_questions import health_questions
from ansible_collections.broadcast.stack.plugins.plugin_utils.fleet.fleet import trusted_addresses
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.application import (
    Runtime,
    Settings,
    Storage,
    entry,
    part,
)

# Memory of a process of Django, in bytes.
PROCESS_BYTES = 128 * 1024**2
# Seconds that the static files may take, on top of the release commands.
STATIC_SECONDS = 600
# Seconds between the application's own grace and the end of the container, so that the application ends by itself.
GRACE_SECONDS = 10
ACCESS_LOG_FORMAT = (
    '{"time":"%(t)s","request_id":"%({x-request-id}i)s","client":"%({x-forwarded-for}i)s","method":"%(m)s", '
    '"path":"%(U)s","status":"%(s)s","bytes":"%(B)s","seconds":"%(L)s"}'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """The program that listens: gunicorn, or a command of the application's own."""

    wsgi: str = "config.wsgi:application"
    asgi: str = ""
    # gunicorn's kind of workers; empty: by the kind of application.
    worker_class: str = ""
    # 0: by processors and memory.
    workers: int = 0
    threads: int = 4
    args: t.Sequence[str] = ()
    command: t.Sequence[str] = ()
    port: int = 8000
    trusted_proxies: t.Sequence[str] = ()
    access_log_enabled: bool = False
    graceful_timeout_seconds: int = 30

    @property
    def stop_timeout(self) -> int:
        return int(self.graceful_timeout_seconds) + GRACE_SECONDS

    def processes(self, memory: str, cpus: int) -> int:
        """As many as there are processors, at least two; those beyond the memory limit would be killed."""
        return self.workers or max(1, min(max(2, cpus), size_bytes(memory) // PROCESS_BYTES))

    def gunicorn(self, workers: int, configured: bool) -> list[str]:
        """gunicorn's command line. configured: whether the environment has its options."""
        threads = [] if self.asgi else ["--threads", str(self.threads)]
        log = ["--access-logfile", "-", "--access-logformat", ACCESS_LOG_FORMAT] if self.access_log_enabled else []
        return [
            "gunicorn",
            *([] if configured else ["--config", "/run/config/gunicorn.conf.py"]),
            *("--bind", f"0.0.0.0:{self.port}"),
            # The edge limits the sizes of requests. These are the largest that it may let pass.
            *("--limit-request-line", "0", "--limit-request-field_size", "1048576"),
            *("--worker-class", self.worker_class or ("asgi" if self.asgi else "gthread")),
            *("--workers", str(workers)),
            *threads,
            *("--worker-tmp-dir", "/dev/shm"),
            *("--keep-alive", "75", "--graceful-timeout", str(self.graceful_timeout_seconds)),
            *log,
            *self.args,
            self.asgi or self.wsgi,
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    memory: str = "512m"
    # 0: all processors.
    cpus: float = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """What web is asked."""

    path: str = "/health/"
    ready_path: str = ""
    smoke_paths: t.Sequence[t.Any] = ()
    host: str = "localhost"
    proto: str = "https"
    statuses: t.Sequence[int] = (200,)
    timeout_seconds: int = 5
    start_period_seconds: int = 60
    ready_wait_seconds: int = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Static:
    """Static files: copied out of the image into the volume, or collected there by a command."""

    volume: str = ""
    root: str = "/app/staticfiles"
    command: t.Sequence[str] = ()

    @property
    def collected(self) -> bool:
        return bool(self.volume and self.command)

    @property
    def mount(self) -> list[str]:
        """Where web and its processes read what was collected."""
        return [f"{self.volume}:{self.root}:ro"] if self.collected else []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """Commands before the containers start and after, the gate, and what these commands get of their own."""

    commands: t.Sequence[t.Any] = ()
    commands_after: t.Sequence[t.Any] = ()
    gate: Settings = dataclasses.field(default_factory=dict)
    runtime: Settings = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """A long-running process beside web. None: as web."""

    name: str
    command: t.Sequence[str] = ()
    env: Settings = dataclasses.field(default_factory=dict)
    working_dir: str | None = None
    memory: str | None = None
    cpus: float = 0
    published_ports: t.Sequence[str] = ()
    volumes: t.Sequence[str] = ()
    healthcheck: Settings | None = None
    stop_timeout: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DjangoWeb:
    """All that one host runs of web."""

    container_name: str
    process_prefix: str
    image: str
    user: str
    working_dir: str
    runtime: Runtime
    storage: Storage
    networks: t.Sequence[Settings]
    published_ports: t.Sequence[str] = ()
    limits: Limits
    server: Server
    health: Health
    static: Static
    release: Release
    processes: tuple[Process, ...] = ()

    @classmethod
    def read(cls, said: Settings) -> DjangoWeb:
        """From what an inventory says. argument_specs and the first task refuse keys without a meaning."""
        parts = {
            "runtime": Runtime,
            "storage": Storage,
            "limits": Limits,
            "server": Server,
            "health": Health,
            "static": Static,
            "release": Release,
        }
        processes = tuple(entry(Process, one, name=name) for name, one in said["processes"].items())
        read = {key: entry(kind, part(said, key)) for key, kind in parts.items()}
        return entry(cls, said, **read, processes=processes)

    def settings(self) -> dict[str, t.Any]:
        """All that was said, and the defaults of what was not."""
        return dataclasses.asdict(self)

    def problems(self) -> list[str]:
        """What is wrong, in sentences that begin with the variable."""
        limited = {f"django_web_processes.{one.name}.memory": one.memory for one in self.processes if one.memory}
        memories = {"django_web_limits.memory": self.limits.memory, **limited}
        return tmpfs_problems(self.storage.tmpfs, "django_web_storage.tmpfs", memories)

    def containers(self, fixed: Settings) -> list[dict[str, t.Any]]:
        """Web and its processes. fixed: what has no cases, see __django_web_fixed of the role."""
        return [self.web(fixed), *(self.process(one, fixed) for one in self.processes)]

    def base(self) -> dict[str, t.Any]:
        """What web, its processes and the release commands share."""
        storage = self.storage.options("/tmp:mode=1777,size=128m")
        return {
            "image": self.image,
            "user": self.user,
            "working_dir": self.working_dir,
            **self.runtime.options(),
            "networks": self.networks,
            **storage,
            "volumes": [*storage["volumes"], *self.static.mount],
            "memory": self.limits.memory,
            "cpus": self.limits.cpus,
            "stop_timeout": self.server.stop_timeout,
        }

    def web(self, fixed: Settings) -> dict[str, t.Any]:
        env, server, health = self.runtime.env, self.server, self.health
        workers = server.processes(self.limits.memory, fixed["host_cpus"])
        command = server.command or server.gunicorn(workers, configured="GUNICORN_CMD_ARGS" in env)
        return {
            **self.base(),
            "name": self.container_name,
            "command": command,
            "env": {
                "FORWARDED_ALLOW_IPS": trusted_addresses(list(server.trusted_proxies)),
                **({} if server.command else fixed["gunicorn_env"]),
                **env,
            },
            "files": {**({} if server.command else fixed["gunicorn_files"]), **self.runtime.files},
            "published_ports": self.published_ports,
            "healthcheck": {
                "test": ["CMD", *self.probe(fixed), *health_questions(dataclasses.asdict(health))],
                "interval": "30s",
                "timeout": f"{int(health.timeout_seconds) + 1}s",
                "retries": 3,
                "start_period": f"{health.start_period_seconds}s",
            },
            "healthy_wait_timeout": int(health.start_period_seconds) + 60,
        }

    def probe(self, fixed: Settings) -> list[t.Any]:
        """The program that asks web, up to its questions."""
        health = self.health
        return ["bash", "-c", fixed["probe"], self.server.port, health.host, health.proto, health.timeout_seconds]

    def process(self, process: Process, fixed: Settings) -> dict[str, t.Any]:
        base, stop = self.base(), process.stop_timeout
        return {
            **base,
            "name": f"{self.process_prefix}-{process.name}",
            "command": process.command,
            "env": {**base["env"], **process.env},
            "working_dir": process.working_dir or self.working_dir,
            "networks": self.dynamic_networks,
            "published_ports": process.published_ports,
            "volumes": [*base["volumes"], *process.volumes],
            "memory": process.memory or self.limits.memory,
            "cpus": process.cpus,
            "stop_timeout": base["stop_timeout"] if stop is None else stop,
            "healthcheck": fixed["process_healthcheck"] if process.healthcheck is None else process.healthcheck,
            # A port of the host belongs to one container.
            "exclusive": bool(process.published_ports),
        }

    @property
    def dynamic_networks(self) -> list[dict[str, t.Any]]:
        """Only web has fixed addresses."""
        return [{"name": network["name"]} for network in self.networks]

    def release_container(self, fixed: Settings, after: bool = False) -> dict[str, t.Any]:
        """The container that runs the release commands before the start, or those after it, as a specification."""
        runtime = entry(Runtime, self.release.runtime).over(self.runtime)
        commands = self.release_commands(after)
        static, notes = self.static, f"{self.container_name}-releases"
        program = {
            "commands": commands,
            "static": None if after else self.copied,
            # Without commands nothing migrates. Commands after the switch come too late to be refused.
            "gate": self.release.gate if self.release.commands and not after else {},
        }
        volumes = [f"{static.volume}:{static.root if static.command else '/srv/static'}"] if static.volume else []
        return {
            **self.base(),
            **runtime.options(),
            "name": f"{self.container_name}-release",
            "files": {**runtime.files, **fixed["release_files"], "release.json": to_nice_json(program)},
            "networks": self.dynamic_networks,
            "volumes": [
                *self.storage.volumes,
                *volumes,
                *([f"{notes}:/srv/releases"] if any(command["once"] for command in commands) else []),
            ],
            "volume_access": {**self.storage.volume_access, static.volume: {}, notes: {}},
            "command": ["python", "/run/config/release.py", "/run/config/release.json"],
        }

    @property
    def copied(self) -> dict[str, str] | None:
        """Where the release copies static files from and to; None when it copies none."""
        static = self.static
        return {"source": static.root, "target": "/srv/static"} if static.volume and not static.command else None

    def release_commands(self, after: bool) -> list[dict[str, t.Any]]:
        """Each with all of its keys."""
        if after:
            return release_commands(list(self.release.commands_after), self.working_dir)
        collect = [{"name": "static", "command": list(self.static.command)}] if self.static.collected else []
        return release_commands([*self.release.commands, *collect], self.working_dir)

    def release_timeout(self, after: bool = False) -> int:
        """Each command may take all of its time, and the static files a little."""
        return sum(command["timeout"] for command in self.release_commands(after)) + STATIC_SECONDS
