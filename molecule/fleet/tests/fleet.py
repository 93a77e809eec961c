"""A fleet as its operator and its users meet it. bench/fleet runs the same tests with the counts of the design."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import testinfra

ROOT = Path(__file__).resolve().parents[3]
SCENARIO = ROOT / "molecule/fleet"
STACK = "broadcast"
DOMAIN = "stack.test"
# A release of five hosts takes minutes where all of them share two processors, so what is more than the least runs with
# FLEET_FULL alone: in bench/fleet and in `make test-long`.
FULL = bool(os.environ.get("FLEET_FULL"))
RELEASES, TASKS, RATE = (5, 500, 120) if FULL else (1, 50, 15)
# What a worker or web of the fleet has at most, see its variables.
DRAIN_SECONDS = 120
needs_full = pytest.mark.skipif(not FULL, reason="only with FLEET_FULL, see above")


def program(name: str) -> ModuleType:
    """One of the scenario's own programs as a module."""
    specification = importlib.util.spec_from_file_location(f"fleet_{name}", SCENARIO / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


load, source = program("load"), program("source")


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(0.5)


class Fleet:
    """The hosts, the playbooks that an operator runs, and what users see."""

    def __init__(self) -> None:
        self.inventories = [str(ROOT / "molecule/shared/inventory"), os.environ["MOLECULE_INVENTORY_FILE"]]
        self.ephemeral = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self.source = Path(self.variable("backend_context"))

    @functools.cached_property
    def inventory(self) -> dict:
        options = [f"--inventory={inventory}" for inventory in self.inventories]
        return json.loads(subprocess.check_output(["ansible-inventory", "--list", *options], cwd=ROOT, text=True))

    def variable(self, name: str) -> str:
        """A variable that is not a template."""
        return next(iter(self.inventory["_meta"]["hostvars"].values()))[name]

    def group(self, *names: str) -> list[str]:
        found = [host for name in names for host in self.inventory.get(name, {}).get("hosts", [])]
        return list(dict.fromkeys(found))

    @property
    def hosts(self) -> list[str]:
        return self.group("edge", "web", "worker", "postgres", "redis", "backups")

    def address(self, host: str) -> str:
        return self.inventory["_meta"]["hostvars"][host]["ansible_host"]

    def on(self, host: str, command: str, *arguments: str) -> str:
        return testinfra.get_host(f"docker://{host}").check_output(command, *arguments)

    # What the operator does

    def command(self, playbook: str, *arguments: str, **variables: object) -> list[str]:
        return [
            "ansible-playbook",
            *(f"--inventory={inventory}" for inventory in self.inventories),
            f"--extra-vars={json.dumps(variables)}",
            *arguments,
            str(ROOT / playbook),
        ]

    def play(self, playbook: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess:
        command = self.command(playbook, *arguments, **variables)
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def site(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess:
        return self.play("site.yml", *arguments, **variables)

    def write(self, release: str) -> None:
        """Make the source another release."""
        source.make(ROOT / "backend", self.source, release)

    def migrate(self, name: str, operation: str) -> Path:
        """Give the source that was written a migration of the probe."""
        path = self.source / f"probe/migrations/{name}.py"
        path.write_text(
            "from django.db import migrations\n\n\n"
            "def fail(apps, schema_editor):\n"
            '    raise ValueError("this migration fails")\n\n\n'
            "class Migration(migrations.Migration):\n"
            '    dependencies = (("probe", "0001_initial"),)\n'
            f"    operations = (migrations.{operation},)\n"
        )
        return path

    def release(self, release: str, *arguments: str, **variables: object) -> float:
        """Release it; the seconds that this took."""
        self.write(release)
        started = time.monotonic()
        done = self.site(*arguments, **variables)
        assert done.returncode == 0, done.stdout
        return time.monotonic() - started

    def start(self, playbook: str = "site.yml", **variables: object) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(playbook, **variables),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def interrupted(self, marker: str, action: Callable[[subprocess.Popen], None]) -> tuple[bool, int, str]:
        """Run site.yml and act when its output comes to this text: whether it did, the exit code and the output."""
        came, lines = False, []
        with self.start() as run:
            for line in run.stdout:
                lines.append(line)
                if not came and marker in line:
                    came = True
                    action(run)
        return came, run.returncode, "".join(lines)

    # What there is

    def ids(self) -> dict[tuple[str, str], str]:
        """(host, container) to its id, of all containers of the stack."""
        found = {}
        for host in self.hosts:
            lines = self.on(host, "docker ps --all --no-trunc --format '{{.Names}} {{.ID}}'").splitlines()
            found |= {(host, name): identity for name, identity in (line.split() for line in lines)}
        return found

    def records(self) -> dict[str, list[dict]]:
        """Host -> its journal, oldest record first."""
        command = f"cat /opt/{STACK}/containers/.release/journal/*.json"
        decode = json.JSONDecoder().raw_decode
        found = {}
        for host in self.hosts:
            text, found[host] = self.on(host, command).strip(), []
            while text:
                record, end = decode(text)
                found[host].append(record)
                text = text[end:].strip()
            found[host].sort(key=lambda record: (record["number"], record["started_at"]))
        return found

    def check_records(self) -> None:
        """Every host knows the live release, and that it has ended."""
        ends = {(records[-1]["number"], records[-1]["result"]) for records in self.records().values()}
        assert {result for _number, result in ends} == {"succeeded"}, ends
        assert len(ends) == 1, ends

    def slot(self) -> str:
        current = self.on(self.group("web")[0], f"cat /opt/{STACK}/containers/.release/current.json")
        return json.loads(current)["slot"]

    def containers(self, host: str, *options: str) -> list[str]:
        return self.on(host, f"docker ps --format '{{{{.Names}}}}' {' '.join(options)}").split()

    def draining(self) -> list[tuple[str, str]]:
        """(host, container) that a host still lets finish."""
        found = []
        for host in self.group("edge", "web", "worker"):
            notes = self.on(host, f"ls /opt/{STACK}/containers/.release/draining 2>/dev/null || true").split()
            found += [(host, note.removesuffix(".json")) for note in notes]
        return found

    def manage(self, *arguments: str) -> str:
        """A management command in the live release."""
        command = f"docker exec {STACK}-web-{self.slot()} python manage.py {shlex.join(arguments)}"
        return self.on(self.group("web")[0], command)

    def report(self, batch: str, number: int, since: float = 0) -> dict:
        output = self.manage("probe", "report", f"--batch={batch}", f"--number={number}", f"--since={since}")
        return json.loads(output.splitlines()[-1])

    @contextlib.contextmanager
    def loaded(self, rate: int = RATE, seconds: float = 0, edges: list[str] | None = None) -> Iterator[dict]:
        """Requests at all edges while the block runs, or so long; then the dictionary says what became of them."""
        authority = str(self.ephemeral / "pki" / "ca.crt")
        edges = [self.address(host) for host in edges or self.group("edge")]
        with load.loaded(authority, DOMAIN, edges, rate, seconds) as result:
            yield result

    def serves(self, seconds: float = 3) -> dict[str, list[str]]:
        """Release -> the web hosts that answer with it."""
        with self.loaded(30, seconds) as result:
            pass
        assert result["failed"] == 0, result
        return {release: seen["hosts"] for release, seen in result["releases"].items()}

    def check_serves(self, release: str) -> None:
        """All web hosts answer with this release, nothing is left of a run that did not end."""
        # Hosts finish by themselves what the release before does.
        wait_until(lambda: not self.draining(), DRAIN_SECONDS)
        serves = self.serves()
        assert serves == {release: sorted(self.group("web"))}, serves
        slot = self.slot()
        for host in self.hosts:
            names = self.containers(host, "--all")
            assert [name for name in names if re.search(r"-(release|once)$|^[0-9a-f]{12}_", name)] == [], host
            running = self.containers(host)
            webs = [name for name in running if re.match(rf"{STACK}-web-", name)]
            assert webs == ([f"{STACK}-web-{slot}"] if host in self.group("web") else []), host
            for name in running:
                live = name.rpartition("-")[2]
                assert live == slot or live not in {"blue", "green", "amber"}, (host, name)
