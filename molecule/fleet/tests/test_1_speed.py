"""What a run costs on five hosts, and on one; figures for bench/fleet, without a judgement of times."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import pytest
import yaml
from fleet import ROOT, Fleet, needs_full

GROUPS = ("postgres", "redis", "web", "worker", "edge", "backups")
RUNS = 3


@pytest.fixture
def alone(fleet: Fleet, tmp_path: Path) -> Fleet:
    """A stack of its own on the host that is not in the fleet yet."""
    (host,) = set(fleet.group("nested")) - set(fleet.hosts)
    variables = {**fleet.inventory["_meta"]["hostvars"][host], "stack_name": "alone"}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump(
            {"all": {"hosts": {host: variables}, "children": {group: {"hosts": {host: None}} for group in GROUPS}}}
        )
    )
    stack = Fleet()
    stack.inventories = [str(ROOT / "molecule/shared/inventory"), str(inventory)]
    done = stack.site()
    assert done.returncode == 0, done.stdout
    yield stack
    removed = stack.play("playbooks/remove.yml", remove_confirm="alone", remove_volumes=True)
    assert removed.returncode == 0, removed.stdout


def unchanged(stack: Fleet) -> float:
    started = time.monotonic()
    done = stack.site()
    assert "Nothing is to be done" in done.stdout, done.stdout
    return time.monotonic() - started


@needs_full
def test_the_cost_of_five_hosts_against_one(fleet, alone, record):
    assert fleet.site().returncode == 0
    pairs = [(unchanged(fleet), unchanged(alone)) for _ in range(RUNS)]
    seconds = {}
    travelled = {}
    for name, stack in (("one_web_host", alone), ("three_web_hosts", fleet)):
        stack.write(f"line-{name}")
        started = time.monotonic()
        done = stack.site()
        seconds[name] = round(time.monotonic() - started, 1)
        assert done.returncode == 0, done.stdout
        travelled[name] = re.findall(r"\d+ kB in \d+ layers", done.stdout)
    record(
        nothing_changed_five_hosts_seconds=round(statistics.median(many for many, _one in pairs), 1),
        nothing_changed_one_host_seconds=round(statistics.median(one for _many, one in pairs), 1),
        ratio_pair_by_pair=round(statistics.median(many / one for many, one in pairs), 2),
        changed_line_seconds=seconds,
        changed_line_travels_to_each_host=travelled,
    )
    # The code's layer alone.
    assert all("in 1 layers" in text for texts in travelled.values() for text in texts), travelled
