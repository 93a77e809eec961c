"""Hosts that join and leave a fleet."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.fleet import fleet, leaving

GROUPS = {"postgres": ["db"], "redis": ["db"], "web": ["a", "b"], "worker": ["b"], "edge": ["a", "e"]}


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("a", ""),
        ("e", ""),
        ("b", "the only host of the group worker"),
        ("db", "runs postgres and has its data"),
        ("", "name one"),
        ("unknown", "no host of this stack"),
    ],
)
def test_a_host_leaves_unless_the_service_would_end(host, reason):
    found = "; ".join(fleet.leaving_problems(host, GROUPS))
    assert (reason in found) if reason else not found


def test_ports_are_closed_to_a_host_that_leaves():
    addresses = {"db": "192.0.2.1", "b": "192.0.2.3"}
    rules = fleet.firewall("db", GROUPS, addresses, {"postgres": [5432]})
    assert rules["ports"] == [{"port": 5432, "protocol": "tcp", "sources": ["192.0.2.3"]}]
    assert rules["peers"] == ["192.0.2.3"]


SEEN = {"containers": {}}
GONE = {"unreachable": True, "msg": "No route\nto host"}


@pytest.mark.parametrize(
    ("absent", "leave_out", "reason"),
    [
        ({}, False, ""),
        ({"a": GONE}, True, ""),
        ({"a": GONE}, False, "a cannot be reached (No route): bring it back, or leave it out by -e stack_unreachable_"),
        ({"db": GONE}, True, "db runs postgres, redis and cannot be reached: No route"),
        ({"a": {"failed": True, "msg": "No Python"}}, True, "a could not be observed: No Python"),
        ({"a": GONE, "b": GONE}, True, "no host of the group web can be reached"),
    ],
)
def test_a_run_does_without_hosts_whose_work_others_do_when_it_may(absent, leave_out, reason):
    observations = {**dict.fromkeys(("db", "a", "b", "e"), SEEN), **absent}
    found = "; ".join(fleet.absent_problems(observations, GROUPS, leave_out))
    assert found.startswith(reason) if reason else not found


def container(role, stack="shop", exclusive=False):
    return {"stack": stack, "role": role, "exclusive": exclusive}


RUNS = {
    "shop-beat-blue": container("celery_worker", exclusive=True),
    "shop-gateway": container("gateway"),
    "shop-nginx": container("nginx_tls"),
    "shop-postgres": container("postgres"),
    "shop-web-blue": container("django_web"),
    "shop-web-green": container("django_web"),
    "shop-worker-blue": container("celery_worker"),
    "other-worker-blue": container("celery_worker", stack="other"),
    "a-tool": container("", stack=""),
}


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        (("web", "worker", "edge", "postgres"), []),
        (("web", "edge", "postgres"), ["celery_worker"]),
        (("worker", "edge", "postgres"), ["gateway", "django_web"]),
        (("redis", "worker", "edge"), ["django_web"]),
        (("web", "worker"), ["nginx_tls"]),
    ],
)
def test_a_host_that_left_a_group_is_to_run_nothing_of_its_roles(groups, roles):
    found = leaving.plans("a", {group: ["b", "a"] for group in groups}, {"containers": RUNS}, "shop")
    assert sorted(found) == sorted(roles)
    # Stopped ones of kept releases as well, and nobody else's.
    removed = leaving.removed({role: {"a": plan} for role, plan in found.items()})
    wanted = [name for name, one in RUNS.items() if one["stack"] == "shop" and one["role"] in roles]
    assert sorted(removed.get("a", [])) == wanted


def test_the_data_of_a_host_that_left_a_group_is_told_and_stays():
    groups = {"web": ["a"], "worker": ["a"], "edge": ["a"], "postgres": ["b"]}
    assert leaving.plans("a", groups, {"containers": RUNS}, "shop") == {}
    (text,) = leaving.warnings("a", groups, {"containers": RUNS}, "shop")
    assert text.startswith("a: shop-postgres: the host is not in group postgres any more")
    assert "playbooks/remove_host.yml" in text
    assert leaving.warnings("b", groups, {"containers": RUNS}, "shop") == []
    assert leaving.warnings("b", groups, {"unreachable": True}, "shop") == []


def test_a_plan_names_what_a_host_is_not_to_run_any_more(root, tmp_path):
    plan = {"hosts": {}, "reached": ["a"], "stack": "shop"}
    show = {"hosts": ["a"], "roles": ["celery_worker"]}
    (block,) = yaml.safe_load((root / "playbooks/tasks/leave.yml").read_text())
    tasks = [
        {"broadcast.stack.role_plan": plan, "register": "stack_role_plans"},
        {"broadcast.stack.stack_plan": show, "register": "stack_plan"},
        {"ansible.builtin.copy": {"content": "{{ [stack_role_plans, stack_plan] | to_json }}", "dest": "{{ out }}"}},
        # What playbooks/tasks/leave.yml makes of it.
        {
            "ansible.builtin.assert": {"that": "stack_leaving_containers == ['shop-beat-blue']"},
            "vars": {"stack_leave_exclusive": True},
        },
        {"ansible.builtin.assert": {"that": "stack_leaving_containers == ['shop-beat-blue', 'shop-worker-blue']"}},
        # Planned again for a release, or without the role's tag.
        {"broadcast.stack.role_plan": {**plan, "known": "{{ stack_role_plans }}"}, "register": "again"},
        {"ansible.builtin.assert": {"that": "again.removed == stack_role_plans.removed"}},
        {"broadcast.stack.role_plan": {**plan, "run_tags": ["redis"]}, "register": "tagged"},
        {"ansible.builtin.assert": {"that": "tagged.removed == {}"}},
    ]
    play = {"hosts": "a", "connection": "local", "gather_facts": False, "tasks": tasks, "vars": block["vars"]}
    hosts = {group: {"hosts": {"a": {}}} for group in ("web", "edge", "postgres")}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": hosts}}))
    values = {
        "container_observation": {"containers": RUNS},
        "out": str(tmp_path / "out.json"),
        "ansible_python_interpreter": sys.executable,
    }
    (tmp_path / "values.json").write_text(json.dumps(values))
    done = subprocess.run(
        ["ansible-playbook", tmp_path / "play.yml", "-i", tmp_path / "hosts.yml", "-e", f"@{tmp_path}/values.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    roles, shown = json.loads((tmp_path / "out.json").read_text())
    assert roles["removed"] == {"a": ["shop-beat-blue", "shop-worker-blue"]}
    assert roles["due"] == ["celery_worker"]
    assert shown["due"] is True
    reason = "the host is not in group worker any more"
    assert shown["msg"].splitlines() == [
        f"a: celery_worker: remove shop-{name}-blue: {reason}" for name in ("beat", "worker")
    ]


def test_what_never_runs_beside_its_like_ends_on_all_hosts_before_any_starts_it(root):
    plays = yaml.safe_load((root / "playbooks/transaction.yml").read_text())
    # A play begins when all hosts have ended the one before.
    text = [yaml.safe_dump(play) for play in plays]
    leaves = [number for number, play in enumerate(text) if "tasks/leave.yml" in play]
    exclusive = [number for number in leaves if "stack_leave_exclusive: true" in text[number]]
    started, handed_over = [number for number, play in enumerate(text) if "broadcast.stack.celery_worker" in play]
    # Without a release, and in one when it cannot be undone any more.
    assert [plays[number]["any_errors_fatal"] for number in exclusive] == [True, True]
    assert exclusive[0] < started < exclusive[1] < handed_over < leaves[-1]
    # The host may be in none of the groups of the application.
    assert {plays[number]["hosts"] for number in leaves} == {"{{ groups | broadcast.stack.stack_pattern }}"}


def test_beat_that_moves_to_a_new_first_worker_host_is_to_be_removed_where_it_was():
    beat = {"name": "shop-beat-blue", "action": "remove"}
    pool = {"name": "shop-worker-blue", "action": "replace"}
    new = {"name": "shop-beat-blue", "action": "create"}
    roles = {"celery_worker": {"old": {"changes": [pool, beat]}, "new": {"changes": [new]}}}
    # The role redis removes its own.
    roles["redis"] = {"old": {"changes": [{"name": "shop-redis-more", "action": "remove"}]}}
    assert leaving.removed(roles) == {"old": ["shop-beat-blue"]}
