# MIT License (see LICENSE)
"""
Celery's containers: pools of workers, beat, and commands on a timer.

The role celery_worker and, through the role's problems, preflight call this: what an inventory says is completed with
defaults, judged, and becomes specifications for the role container.
"""

from __future__ import annotations

import dataclasses
import shlex
import typing as t

from ansible.plugins.filter.core import to_nice_json
from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes, tmpfs_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.application import (
    Runtime,
    Settings,
    Storage,
    entry,
    part,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import (
    is_container_memory,
    is_container_name,
    is_positive_size,
    is_schedule,
    is_size,
)

NAME_FAULT = "the name may hold lower-case letters, digits and dashes, begins with a letter and ends in no dash"
MEMORY_FAULT = "memory %s is not a size, or too small to start in; write for example %s"
# A launcher starts Celery's own command line and notes its work for the health check.
LAUNCHER = ("python", "/run/config/celery_health.py")
# A task that runs while code changes has the five seconds that watchfiles gives it.
RELOADER = ("watchfiles", "--filter", "python")
# Workers need not listen to each other: the traffic of gossip and mingle grows with the square of their number.
QUIET = ("--without-gossip", "--without-mingle")
# Memory of the application itself, and of each process that runs tasks, in MiB.
APPLICATION_MB = 256
PROCESS_MB = 128
# Half of what web has where both want all processors.
CPU_SHARES = 512
BEAT_GRACE_SECONDS = 30
# What a pool with a command of its own does nothing with.
CELERY_OPTIONS = ("queues", "pool", "time_limit", "soft_time_limit", "max_tasks_per_child", "prefetch_multiplier")


def whole(value: t.Any) -> int:
    """A number that may be text, as extra variables are; 0 for what is no number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def long_options(options: Settings) -> list[str]:
    """Long options of a command; those without a value are left out."""
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers that consume the same queues, in one container."""

    name: str
    queues: list[str] | None = None
    concurrency: int = 2
    pool: str = "prefork"
    memory: str = ""
    cpus: float | None = None
    grace: int | None = None
    time_limit: int | None = None
    soft_time_limit: int | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: str | None = None
    prefetch_multiplier: int | None = None
    env: Settings = dataclasses.field(default_factory=dict)
    command: t.Sequence[str] = ()
    healthcheck: Settings | None = None
    # Options that the inventory names.
    said: frozenset[str] = frozenset()

    @property
    def stop_timeout(self) -> int:
        """Seconds that a running task has to finish."""
        return (whole(self.time_limit) or 50) + 10 if self.grace is None else whole(self.grace)

    @property
    def memory_limit(self) -> str:
        """A base for the application itself, and a process for every task that runs at the same time."""
        if self.memory:
            return self.memory
        process = max(PROCESS_MB, size_bytes(self.max_memory_per_child or 0, "m"))
        processes = whole(self.concurrency) * process if self.pool == "prefork" else PROCESS_MB
        return f"{APPLICATION_MB + processes}m"

    @property
    def options(self) -> dict[str, t.Any]:
        """Options of Celery's command line."""
        limit = self.max_memory_per_child
        return {
            "queues": ",".join(self.queues) if self.queues else None,
            "pool": self.pool,
            "concurrency": self.concurrency,
            "prefetch-multiplier": self.prefetch_multiplier,
            "time-limit": self.time_limit,
            "soft-time-limit": self.soft_time_limit,
            "max-tasks-per-child": self.max_tasks_per_child,
            # Celery counts KiB.
            "max-memory-per-child": size_bytes(limit, "k") if limit else None,
        }

    def faults(self) -> t.Iterator[str]:
        if not is_container_name(self.name):
            yield NAME_FAULT
        if self.queues == []:
            yield "queues is empty; name at least one, or leave it out"
        unheard = [option for option in CELERY_OPTIONS if option in self.said]
        if self.command and unheard:
            options = ", ".join(unheard)
            yield f"with a command of its own it does nothing with {options}; write them as options of the command"
        if whole(self.concurrency) < 1:
            yield "concurrency must be at least 1"
        if self.stop_timeout < 1:
            yield "grace must be at least 1 second"
        if self.memory and not is_container_memory(self.memory):
            yield MEMORY_FAULT % (self.memory, "512m")
        if self.max_memory_per_child and not is_positive_size(self.max_memory_per_child):
            yield f"max_memory_per_child {self.max_memory_per_child} is not a size; write for example 200m"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
    """The one scheduler of periodic tasks."""

    enabled: bool = False
    command: t.Sequence[str] = ()
    healthcheck: Settings = dataclasses.field(default_factory=dict)
    memory: str = "256m"
    cpus: float = 0
    scheduler: str = ""
    volume: str = ""
    # Empty: those of all.
    networks: t.Sequence[Settings] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timer:
    """One command on a timer, as the program periodic.py reads it."""

    name: str
    command: t.Sequence[str] = ()
    schedule: str = ""
    every: int = 0
    timeout: int = 3600
    memory: str = "256m"
    cpus: float = 0
    env: Settings = dataclasses.field(default_factory=dict)
    working_dir: str = "/"

    def faults(self) -> t.Iterator[str]:
        if not is_container_name(self.name):
            yield NAME_FAULT
        if bool(self.schedule) == (whole(self.every) > 0):
            yield "give either schedule or every"
        if self.schedule and not is_schedule(self.schedule):
            yield f"schedule {self.schedule} is no cron expression of five fields"
        if whole(self.timeout) < 1:
            yield "timeout must be at least 1 second"
        if not is_container_memory(self.memory):
            yield MEMORY_FAULT % (self.memory, "256m")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CeleryWorker:
    """All that one host runs of Celery."""

    app: str = ""
    # Of the workers, without the options of a pool.
    command: t.Sequence[str] = ()
    container_prefix: str
    image: str
    user: str
    working_dir: str
    runtime: Runtime
    storage: Storage
    networks: t.Sequence[Settings] = ()
    pools: tuple[Pool, ...] = ()
    beat: Beat = Beat()
    timers: tuple[Timer, ...] = ()
    # Addresses without which no command on a timer starts.
    needs: t.Sequence[str] = ()
    log_level: str = "INFO"
    reload: bool = False

    @classmethod
    def read(cls, said: Settings) -> CeleryWorker:
        """From what an inventory says. Keys without a meaning are refused by the role's first task."""
        folder = {"working_dir": said["working_dir"]}
        pools = [entry(Pool, one, name=name, said=frozenset(one or {})) for name, one in said["pools"].items()]
        timers = [entry(Timer, {**folder, **(one or {})}, name=name) for name, one in said["timers"].items()]
        parts = {"runtime": Runtime, "storage": Storage, "beat": Beat}
        read = {key: entry(kind, part(said, key)) for key, kind in parts.items()}
        return entry(cls, said, **read, pools=tuple(pools), timers=tuple(timers))

    def problems(self) -> list[str]:
        """What is wrong, in sentences that begin with the variable."""
        return [
            *(sentence for pool in self.pools for sentence in self.pool_problems(pool)),
            *(sentence for timer in self.timers for sentence in self.timer_problems(timer)),
            *self.beat_problems(),
        ]

    def pool_problems(self, pool: Pool) -> list[str]:
        subject, faults = f"celery_worker_pools.{pool.name}", list(pool.faults())
        problems = [f"{subject}: {fault}" for fault in faults]
        if not (pool.command or self.command or self.app):
            needed = "a command of its own or celery_worker_command"
            problems.append(f"celery_worker_app: empty, but the pool {pool.name} needs it, {needed}")
        return problems + ([] if faults else self.tmpfs_problems({f"{subject}.memory": pool.memory_limit}))

    def timer_problems(self, timer: Timer) -> list[str]:
        subject = f"celery_worker_periodic_commands.{timer.name}"
        faults = [f"{subject}: {fault}" for fault in timer.faults()]
        return faults + self.tmpfs_problems({f"{subject}.memory": timer.memory})

    def beat_problems(self) -> list[str]:
        beat, problems = self.beat, []
        if beat.enabled and not (self.app or beat.command):
            problems.append("celery_worker_app: empty, but beat needs it, or celery_worker_beat.command")
        if beat.healthcheck and not beat.healthcheck.get("test"):
            remedy = "write for example {test: [CMD, acme, beat-alive]}"
            problems.append(f"celery_worker_beat.healthcheck: test is missing; {remedy}")
        memories = {"celery_worker_beat.memory": beat.memory} if beat.enabled else {}
        for variable, memory in memories.items():
            if not is_size(memory):
                problems.append(f"{variable}: {memory} is not a size; write for example 256m")
        return problems + self.tmpfs_problems(memories)

    def tmpfs_problems(self, memories: dict[str, str]) -> list[str]:
        return tmpfs_problems(self.storage.tmpfs, "celery_worker_storage.tmpfs", memories)

    def containers(self, fixed: Settings) -> list[dict[str, t.Any]]:
        """Specifications. fixed: their parts without cases, see __celery_worker_fixed of the role."""
        return [
            *(self.pool_container(pool, fixed) for pool in self.pools),
            *([self.beat_container(fixed)] if self.beat.enabled else []),
            *(self.timer_container(timer, fixed) for timer in self.timers),
        ]

    def base(self) -> dict[str, t.Any]:
        """What all of them share."""
        return {
            "image": self.image,
            "user": self.user,
            "working_dir": self.working_dir,
            **self.runtime.options(),
            "networks": self.networks,
            **self.storage.options("/tmp"),
            "cpu_shares": CPU_SHARES,
        }

    def pool_container(self, pool: Pool, fixed: Settings) -> dict[str, t.Any]:
        base = self.base()
        options = {
            "hostname": f"{pool.name}@%h",
            "loglevel": self.log_level,
            **pool.options,
            "heartbeat-interval": fixed["health_interval"],
        }
        command = pool.command or [
            *(self.command or ["celery", f"--app={self.app}", "worker"]),
            *QUIET,
            *long_options(options),
        ]
        return {
            **base,
            "name": f"{self.container_prefix}-worker-{pool.name}",
            **self.program(command, pool.healthcheck, fixed),
            "env": {**base["env"], **pool.env},
            "memory": pool.memory_limit,
            "cpus": pool.cpus,
            # Threads count as processes.
            "pids_limit": max(256, 64 + 2 * whole(pool.concurrency)),
            "stop_timeout": pool.stop_timeout,
        }

    def beat_container(self, fixed: Settings) -> dict[str, t.Any]:
        base, beat = self.base(), self.beat
        options = {
            "loglevel": self.log_level,
            "schedule": f"{'/srv/beat' if beat.volume else '/tmp'}/celerybeat-schedule",
            "scheduler": beat.scheduler or None,
        }
        command = [*(beat.command or ["celery", f"--app={self.app}", "beat"]), *long_options(options)]
        return {
            **base,
            "name": f"{self.container_prefix}-beat",
            **self.program(command, beat.healthcheck, fixed),
            "volumes": [*base["volumes"], *([f"{beat.volume}:/srv/beat"] if beat.volume else [])],
            "volume_access": {**base["volume_access"], beat.volume: {}},
            "networks": beat.networks or self.networks,
            "memory": beat.memory,
            "cpus": beat.cpus,
            # Two schedulers would send everything twice.
            "exclusive": True,
            "stop_timeout": BEAT_GRACE_SECONDS,
        }

    def timer_container(self, timer: Timer, fixed: Settings) -> dict[str, t.Any]:
        base = self.base()
        settings = {**vars(timer), **({"needs": self.needs} if self.needs else {})}
        return {
            **base,
            "name": f"{self.container_prefix}-periodic-{timer.name}",
            "files": {**base["files"], **fixed["timer_files"], "periodic.json": to_nice_json(settings)},
            "env": {**base["env"], **timer.env},
            "memory": timer.memory,
            "cpus": timer.cpus,
            # A command that runs may finish.
            "stop_timeout": min(whole(timer.timeout), 600),
            **fixed["timer"],
        }

    def program(self, command: t.Sequence[str], healthcheck: Settings | None, fixed: Settings) -> dict[str, t.Any]:
        """How a command of workers or beat is started, and watched unless it has a check of its own."""
        files, watched = self.runtime.files, fixed["other_healthcheck"]
        if command[0] == "celery":
            command = [*LAUNCHER, *command[1:]]
            files, watched = {**files, **fixed["launcher_files"]}, fixed["celery_healthcheck"]
        if self.reload:
            command = [*RELOADER, shlex.join(map(str, command)), "."]
        return {"command": command, "files": files, "healthcheck": healthcheck or watched}
