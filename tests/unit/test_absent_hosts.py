"""Playbooks go on without hosts that cannot be reached where that is right, and name them."""

from __future__ import annotations

import sys

import pytest

HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nobody listens there.
AWAY = {"ansible_host": "127.0.0.1", "ansible_port": 1}


def test_maintenance_is_switched_at_all_edges_that_are_there_and_the_others_are_named(play, tmp_path):
    edges = {name: {**HERE, "container_root": f"{tmp_path}/{name}"} for name in "abc"}
    values = {"nginx_tls_container_name": "shop-nginx"}

    def flags():
        return sorted(path.parts[-4] for path in tmp_path.glob("?/shop-nginx/maintenance/on"))

    done = play("maintenance.yml", {"edge": {**edges, "a": AWAY}}, "-e", "state=on", **values)
    assert flags() == ["b", "c"], done.stdout
    assert done.returncode != 0, done.stdout
    assert "Maintenance is on at b, c, but not at a:" in " ".join(done.stdout.split())
    done = play("maintenance.yml", {"edge": edges}, "-e", "state=off", **values)
    assert done.returncode == 0, done.stdout
    assert flags() == []
    assert "but not" not in done.stdout


def web(number, slot):
    return {"stack": "shop", "role": "django_web", "slot": slot, "release": number, "status": "running"}


def record(number, slot):
    common = {"kind": "release", "result": "succeeded", "started_at": f"2026-01-0{number}T00:00:00Z"}
    return {"number": number, "origin": number, "slot": slot, "image": f"shop:{number}", **common}


def observed(*releases):
    records = [record(1, "blue"), record(2, "green")]
    containers = {f"shop-web-{slot}": web(number, slot) for number, slot in releases}
    return {
        **HERE,
        "container_observation": {"containers": containers, "release": {"current": records[1], "journal": records}},
    }


@pytest.mark.parametrize(
    ("away", "policy", "planned", "message"),
    [
        ("web2", "refuse", False, "Nothing was changed. web2 cannot be reached"),
        ("web2", "leave_out", True, "web2 is left out: "),
        ("edge1", "leave_out", True, "edge1 is left out: "),
        ("worker1", "leave_out", True, "worker1 is left out: "),
        ("db", "leave_out", False, "Nothing was changed. db runs postgres and cannot be reached"),
    ],
)
def test_a_rollback_does_without_a_host_whose_work_others_do(play, tmp_path, away, policy, planned, message):
    (tmp_path / "file").touch()
    both = observed((1, "blue"), (2, "green"))
    groups = {
        "postgres": {"db": observed()},
        "web": {"web1": both, "web2": both},
        "worker": {"worker1": observed()},
        "edge": {"edge1": observed(), "edge2": observed()},
    }
    for hosts in groups.values():
        if away in hosts:
            hosts[away] = AWAY
    values = {
        "stack_name": "shop",
        "stack_release_slots": ["blue", "green"],
        "stack_unreachable_hosts": policy,
        "__stack_release_hosts": ["web1", "web2", "worker1", "edge1", "edge2"],
        # The run ends where it would take the lock.
        "__stack_lock_host": "db",
        "__stack_lock_purpose": "a test",
        "certificates_authority_name": "Fleet authority",
        "stack_other_authority": "refuse",
        "__stack_authorities": [],
        "container_root": f"{tmp_path}/file/containers",
    }
    done = play("rollback.yml", groups, **values)
    output = " ".join(done.stdout.split())
    assert message in output, done.stdout
    assert ("Rollback to release 1 in slot blue, instead of green" in output) is planned, done.stdout
    assert ("Take the lock" in output) is planned, done.stdout
    assert done.returncode != 0
