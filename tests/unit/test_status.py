"""What a status shows, from observations and plans."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.module_utils import container_state, firewall, host_files
from ansible_collections.broadcast.stack.plugins.modules import container_beside, stack_logs
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import docker_options
from ansible_collections.broadcast.stack.plugins.plugin_utils.status import document, rows, shown

NOW = rows.epoch("2026-11-24 12:00:00")
CURRENT = {
    "number": 7,
    "origin": 7,
    "kind": "release",
    "slot": "blue",
    "image": "shop/django:7",
    "image_id": "sha256:0123456789abcdef",
    "actor": "ann@laptop",
    "started_at": "2026-11-24T09:00:00Z",
    "finished_at": "2026-11-24T09:01:00Z",
    "result": "succeeded",
}


def container(role="django_web", slot="blue", state="running", health="healthy", **fields):
    return {
        "stack": "shop",
        "role": role,
        "slot": slot,
        "release": {"blue": 7, "green": 6}.get(slot, 0),
        "status": state,
        "health": health,
        "started_at": "2026-11-24T09:00:00.123456789Z",
        "image": "shop/django:7",
        "image_id": "sha256:0123456789abcdef",
        "restarts": 0,
        **fields,
    }


def observation(containers=None, current=CURRENT, journal=(), answers=None, files=()):
    return {
        "engine": {"running": True, "error": ""},
        "host": {"docker_free_mb": 9000},
        "release": {"current": current, "journal": list(journal) or [CURRENT]},
        "containers": {"shop-web-blue": container()} if containers is None else containers,
        "answers": answers or {},
        "files": {path: {} for path in files},
    }


def host(observed=None, plans=None, failure="", maintenance=""):
    return {
        "observation": observation() if observed is None else observed,
        "plans": plans or {},
        "failure": failure,
        "maintenance": maintenance,
    }


def look(hosts, backups=None, certificates=None, slots=("blue", "green"), web_hosts=("a",)):
    return document.document("shop", hosts, list(slots), list(web_hosts), backups or {}, NOW, certificates or {})


def change(name, action, *reasons):
    return {"django_web": {"steps": [], "changes": [{"name": name, "action": action, "reasons": list(reasons)}]}}


def test_what_runs_once_is_shown_while_it_runs():
    containers = {
        "shop-web-blue": container(),
        "shop-web-release": container(role="django_web-run", slot="", health=""),
        "shop-backups-run": container(role="backups-run", slot="", health="", state="exited"),
    }
    found = look({"a": host(observation(containers))})
    assert [row["container"] for row in found["containers"]] == ["shop-web-blue", "shop-web-release"]
    assert (found["state"], found["containers"][1]["state"]) == ("healthy", "running")
    assert "shop-web-release" in shown.text(found)


def test_a_healthy_stack():
    found = look({"a": host()})
    assert (found["exit_code"], found["state"]) == (0, "healthy")
    assert found["containers"][0]["uptime_seconds"] == 3 * 3600
    lines = shown.text(found).splitlines()
    assert lines[0] == (
        "shop: healthy. release 7 in slot blue, shop/django:7, image 0123456789ab, "
        "since 2026-11-24T09:01:00Z by ann@laptop"
    )
    assert lines[3].split() == ["a", "shop-web-blue", "blue", "7", "healthy", "3h", "0m", "0123456789ab"]


def test_the_seconds_of_the_last_release_are_told():
    """The journal sorts keys; a release of an older version has no seconds."""
    current = {**CURRENT, "seconds": {"build": 3.25, "drain": 1.0, "preflight": 2.5}}
    found = look({"a": host(observation(current=current))})
    assert found["release"]["seconds"]["build"] == 3.25
    assert shown.text(found).splitlines()[1] == "it took 6.8 s: preflight 2.5, build 3.2, drain 1.0"
    assert "it took" not in shown.text(look({"a": host()}))


def test_what_finishes_by_itself_is_shown_and_no_fault():
    old = container(role="celery_worker", slot="green", draining="2026-11-24T12:03:10Z")
    seen = observation({"shop-web-blue": container(), "shop-worker-green": old})
    found = document.document("shop", {"a": host(seen)}, ["blue", "green"], ["a"], {}, NOW, {})
    assert (found["problems"], found["drift"]) == ([], [])
    (row,) = [row for row in found["containers"] if row["slot"] == "green"]
    assert (row["state"], row["draining_until"]) == ("draining", "2026-11-24T12:03:10Z")
    assert "draining until 2026-11-24T12:03:10Z" in shown.text(found)
    assert "shop-worker-green (draining until 2026-11-24T12:03:10Z)" in shown.standing({"a": seen}, "shop", ["a"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"state": "exited"}, 1),
        ({"health": "unhealthy"}, 1),
        ({"health": "starting"}, 2),
        ({"health": ""}, 0),
        ({"state": "restarting"}, 1),
    ],
)
def test_the_live_containers_run_and_are_healthy(fields, code):
    assert look({"a": host(observation({"shop-web-blue": container(**fields)}))})["exit_code"] == code


def test_kept_containers_are_one_line_and_no_problem():
    kept = container(slot="green", state="exited", health="")
    found = look({"a": host(observation({"shop-web-blue": container(), "shop-web-green": kept}))})
    assert found["exit_code"] == 0
    assert found["kept"] == [{"host": "a", "release": 6, "slot": "green", "containers": ["shop-web-green"]}]
    assert "kept, stopped: release 6 in green (1 container)" in shown.text(found)


def test_workers_of_the_release_before_may_still_run_but_are_told():
    old = container(role="celery_worker", slot="green")
    found = look({"a": host(observation({"shop-web-blue": container(), "shop-worker-green": old}))})
    assert found["drift"] == ["a: shop-worker-green belongs to another release and runs"]


def test_a_host_that_cannot_be_reached_is_a_line():
    found = look({"a": host(), "b": host({"unreachable": True, "msg": "No route to host"})})
    assert found["exit_code"] == 1
    assert found["problems"] == ["b: unreachable: No route to host"]
    assert "unreachable" in shown.text(found)


def test_nothing_at_all_is_known():
    found = look({"a": host({"unreachable": True, "msg": ""})})
    assert (found["exit_code"], found["release"]) == (1, None)
    assert shown.text(found).startswith("shop: broken. no release in slots")


def test_a_host_without_an_engine_is_broken():
    observed = {**observation(), "engine": {"running": False, "error": "connection refused"}}
    assert "connection refused" in look({"a": host(observed)})["problems"][0]


def test_a_missing_container_is_broken_and_a_different_one_drift():
    missing = look({"a": host(plans=change("shop-beat-blue", "create", "is missing"))})
    assert (missing["exit_code"], missing["containers"][0]["state"]) == (1, "missing")
    different = look({"a": host(plans=change("shop-web-blue", "replace", "env/container.env changed: DEBUG"))})
    assert different["exit_code"] == 2
    assert different["drift"] == ["a: replace shop-web-blue: env/container.env changed: DEBUG"]


def test_what_is_broken_is_not_told_twice():
    plans = change("shop-web-blue", "start", "is exited")
    found = look({"a": host(observation({"shop-web-blue": container(state="exited")}), plans)})
    assert (found["drift"], len(found["problems"])) == ([], 1)


def test_a_step_of_a_role_is_drift():
    found = look({"a": host(plans={"images": {"steps": ["deliver shop/django:8"], "changes": []}})})
    assert found["drift"] == ["a: images: deliver shop/django:8"]


def test_a_web_host_without_the_live_release_is_broken():
    without = host(observation(current=None))
    behind = host(observation(current={**CURRENT, "number": 6}))
    found = look({"a": host(), "b": without, "c": behind}, web_hosts=("a", "b", "c"))
    assert found["problems"] == ["b: has no live release", "c: has release 6, live is 7"]


def test_no_release_at_all_is_broken_and_without_slots_there_is_none():
    fresh = {"a": host(observation({}, current=None))}
    assert look(fresh)["problems"] == ["a: has no live release"]
    assert look({"a": host(observation({"shop-web": container(slot="")}, current=None))}, slots=())["exit_code"] == 0


def test_the_last_attempt_is_told_when_it_failed():
    failed = {**CURRENT, "number": 8, "result": "failed", "message": "web1 is unhealthy", "step": "undone"}
    found = look({"a": host(observation(journal=[CURRENT, failed]))})
    assert "last attempt: release 8, begun 2026-11-24T09:00:00Z by ann@laptop, failed: web1 is unhealthy" in (
        shown.text(found)
    )
    assert look({"a": host(observation(journal=[{**failed, "number": 6}, CURRENT]))})["last_attempt"] is None


def test_backups_have_an_age_and_a_problem():
    written = [{"label": "one", "type": "full", "finished": "2026-11-24 10:00:00 UTC"}]
    good = {"rc": 0, "stdout": json.dumps(written), "stderr": ""}
    old = {"rc": 1, "stdout": json.dumps(written), "stderr": "the last backup is 40 hours old: one\n"}
    empty = {"rc": 0, "stdout": "[]\n", "stderr": ""}
    names = {"a": ["good", "old", "empty", "stopped"]}
    found = look({"a": host(observation(answers={"good": good, "old": old, "empty": empty}))}, names)
    assert [row["age_seconds"] for row in found["backups"]] == [7200, 7200, None, None]
    assert found["problems"] == [
        "a: old: the last backup is 40 hours old: one",
        "a: empty: there is no backup yet",
        "a: stopped: does not run",
    ]


def test_certificates_expire():
    days = 86400
    certificates = {
        "a": {
            "/x/one": {"name": "shop", "not_after": NOW + 90 * days},
            "/x/copy": {"name": "shop", "not_after": NOW + 90 * days},
            "/x/two": {"name": "late", "not_after": NOW + 3 * days},
            "/x/three": {"name": "gone", "not_after": NOW - 1},
        }
    }
    found = look({"a": host()}, certificates=certificates)
    assert len(found["certificates"]) == 3
    assert found["problems"] == ["a: certificate gone has expired"]
    assert found["drift"] == ["a: certificate late expires in 3 days"]


def test_maintenance_is_told():
    found = look({"a": host(observation(files=["/x/maintenance/on"]), maintenance="/x/maintenance/on")})
    assert found["exit_code"] == 0
    assert "maintenance is on: a" in shown.text(found)


def test_a_host_that_cannot_be_compared_is_broken():
    assert look({"a": host(failure="'secret' is undefined")})["exit_code"] == 1


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (5, "5s"), (65, "1m 5s"), (90061, "1d 1h"), (3600, "1h 0m")])
def test_spans_have_two_units(seconds, text):
    assert shown.span(seconds) == text


def test_logs_of_all_hosts_are_merged_by_time():
    logs = {
        "a": {"lines": [{"at": "2026-11-24T10:00:02Z", "container": "shop-web", "text": "second"}]},
        "b": {"lines": [{"at": "2026-11-24T10:00:01Z", "container": "shop-nginx", "text": "first"}]},
        "c": {"msg": "unreachable"},
    }
    assert shown.log_text(logs).splitlines() == ["b shop-nginx | first", "a shop-web   | second", "c: unreachable"]


def test_services_are_chosen_by_the_start_of_their_names():
    chosen = [
        name
        for name in ("shop-web-blue", "shop-worker-mail-blue", "shop-webhooks")
        if stack_logs.chosen(name, "shop", ["web"])
    ]
    assert chosen == ["shop-web-blue"]
    assert stack_logs.chosen("shop-nginx", "shop", [])


def test_a_time_span_is_read_or_refused():
    assert stack_logs.seconds("10m") == 600
    with pytest.raises(ValueError, match="such as 10m"):
        stack_logs.seconds("ten")


def test_a_command_runs_in_a_container_without_addresses_ports_and_health_check():
    detail = {
        "Image": "sha256:1",
        "Config": {
            "Cmd": [*docker_options.SECRET_ENV_COMMAND, "gunicorn"],
            "Env": ["A=1"],
            "User": "10003:10003",
            "Healthcheck": {"Test": ["CMD", "check"]},
        },
        "HostConfig": {"Binds": ["/x:/y"], "PortBindings": {"8000/tcp": []}, "RestartPolicy": {"Name": "always"}},
        "NetworkSettings": {"Networks": {"shop-edge": {"IPAddress": "10.0.0.2"}, "shop-data": {}}},
    }
    content, networks = container_beside.wanted(detail, "shop-command-run-1", ["true"], {})
    assert content["Cmd"] == [*docker_options.SECRET_ENV_COMMAND, "true"]
    assert content["Healthcheck"] == {"Test": ["NONE"]}
    assert set(content["HostConfig"]) == {"Binds", "NetworkMode", "LogConfig"}
    assert (content["HostConfig"]["NetworkMode"], networks) == ("shop-data", ["shop-edge"])
    assert "MacAddress" not in content


def test_a_command_beside_a_container_without_a_way_out_has_none_either():
    address = firewall.inward_address("shop-beat")
    detail = {
        "Image": "sha256:1",
        "Config": {},
        "HostConfig": {},
        "NetworkSettings": {"Networks": {"shop-app": {}, "shop-z": {"MacAddress": address.upper()}}},
    }
    content, networks = container_beside.wanted(detail, "shop-command-run-1", ["true"], {})
    assert (content["HostConfig"]["NetworkMode"], networks) == ("shop-z", ["shop-app"])
    assert firewall.is_inward(content["MacAddress"])
    # Two of one address in a network would lose each other's packets.
    assert content["MacAddress"] != address
    assert content["NetworkingConfig"]["EndpointsConfig"] == {"shop-z": {"MacAddress": content["MacAddress"]}}


def test_only_public_certificates_leave_the_host(tmp_path):
    public, both, text = tmp_path / "public", tmp_path / "both", tmp_path / "text"
    public.write_text("-----BEGIN CERTIFICATE-----\n")
    both.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    text.write_text("secret")
    assert list(host_files.certificate_texts(map(str, (public, both, text)))) == [str(public)]


def test_a_status_compares_what_a_plan_does(root):
    for name in ("tasks/decide_release.yml", "status.yml"):
        assert "plan_roles.yml" in (root / "playbooks" / name).read_text()


@pytest.mark.parametrize(
    ("hosts", "code", "output", "errors"),
    [("localhost", 7, "as it is: {}\n", "beside\n"), ("nobody", 3, "", "")],
)
def test_a_report_is_all_that_is_shown_and_its_exit_code_that_of_the_run(root, tmp_path, hosts, code, output, errors):
    report = {"text": "as it is: {}", "errors": "beside", "exit_code": 7}
    play = {
        "hosts": hosts,
        "gather_facts": False,
        "vars": {"exit_code_otherwise": 3},
        "tasks": [{"ansible.builtin.debug": {"msg": "noise"}}, {"broadcast.stack.report": report}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [root / "scripts" / "report", tmp_path / "play.yml", "-i", "localhost,"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_DEPRECATION_WARNINGS": "false"},
    )
    assert (done.returncode, done.stdout) == (code, output)
    assert done.stderr.endswith(errors)


def test_the_table_at_the_end_of_a_release_tells_where_each_host_stands():
    ill = container(slot="green", health="unhealthy")
    web1 = {"shop-web-blue": container(), "shop-web-green": ill, "shop-nginx": container(slot="")}
    observations = {
        "web1": {"engine": {"running": True}, "containers": web1},
        "web2": {"engine": {"running": True}, "containers": {"shop-web-blue": container(state="exited")}},
        "web3": {"unreachable": True},
        "web4": {"engine": {"running": False}, "containers": {}},
    }
    assert shown.standing(observations, "shop", list(observations)).splitlines() == [
        "HOST  RUNS                                 CONTAINERS",
        "web1  release 7 in slot blue               shop-web-blue",
        "web1  release 6 in slot green              shop-web-green (unhealthy)",
        "web2  nothing of a release",
        "web3  unknown: it could not be observed",
        "web4  unknown: its Engine does not answer",
    ]


def answer(stdout="", rc=0, stderr=""):
    return {"rc": rc, "stdout": stdout, "stderr": stderr}


REDIS = "\r\n".join(
    [
        "# Memory",
        "used_memory:%d",
        "maxmemory:8388608",
        "maxmemory_policy:%s",
        "aof_enabled:1",
        "aof_last_write_status:%s",
    ]
)
# What users feel -> exit code and the beginning of its sentence. A case each: {answers, asked, fields of the container,
# host, requests}.
TRUTH = [
    ("all is well", {"answers": {"shop-web-blue": answer()}}, 0, ""),
    (
        "a page of the release answers 500",
        {"answers": {"shop-web-blue": answer("/ with Host shop.test answered 500 Internal\n<html>", 1)}},
        1,
        "a: shop-web-blue does not serve: / with Host shop.test answered 500 Internal; see its log",
    ),
    (
        "the broker is full",
        {"redis": REDIS % (8388608, "noeviction", "ok")},
        1,
        "a: shop-redis-broker is full and refuses writes (8 MiB of 8 MiB); raise maxmemory",
    ),
    (
        "the broker is nearly full",
        {"redis": REDIS % (8000000, "noeviction", "ok")},
        3,
        "a: shop-redis-broker is nearly full",
    ),
    ("the cache is full, as caches are", {"redis": REDIS % (8388608, "allkeys-lru", "ok")}, 0, ""),
    ("the broker's disk is full", {"redis": REDIS % (1, "noeviction", "err")}, 1, "a: shop-redis-broker cannot write"),
    (
        "the broker loads",
        {"redis": answer("", 1, "LOADING Redis is loading")},
        1,
        "a: shop-redis-broker does not answer: LOADING",
    ),
    (
        "tables are not the owner's",
        {"postgres": answer("table a of postgres\ntable b of postgres\ntable c of postgres\ntable d of postgres\n")},
        1,
        "a: shop-postgres: the application may be refused what it needs: table a of postgres, table b",
    ),
    (
        "the database is gone",
        {"postgres": answer("", 2, "no such database")},
        1,
        "a: shop-postgres does not answer: no",
    ),
    ("the log is not read", {"requests": {"error": "501"}}, 3, "a: the requests of the edge could not be counted: 501"),
    ("a child was killed", {"oom_kills": 2}, 3, "a: shop-web-blue: 2 processes were killed for want of memory"),
    ("the disk is nearly full", {"free": 1500}, 3, "a: 1500 MiB are free for Docker, a deployment needs 2048"),
    ("the disk is full", {"free": 90}, 1, "a: 90 MiB are free for Docker"),
    ("few requests fail", {"requests": {"total": 1000, "failed": 4, "seconds": 300}}, 0, ""),
    (
        "some requests fail",
        {"requests": {"total": 1000, "failed": 40, "seconds": 300}},
        3,
        "a: 40 of 1000 requests of the last 5 minutes ended with an error of the server",
    ),
    ("most requests fail", {"requests": {"total": 10, "failed": 9, "seconds": 300}}, 1, "a: 9 of 10 requests"),
]


@pytest.mark.parametrize(("case", "seen", "code", "sentence"), TRUTH, ids=[case for case, *_rest in TRUTH])
def test_a_status_is_what_users_feel(case, seen, code, sentence):
    redis = seen.get("redis")
    given = {
        "shop-redis-broker": answer(redis) if isinstance(redis, str) else redis,
        "shop-postgres": seen.get("postgres"),
    }
    answers = {name: one for name, one in {**given, **seen.get("answers", {})}.items() if one}
    data = {"shop-redis-broker": container(role="redis", slot=""), "shop-postgres": container(role="postgres", slot="")}
    observed = observation({"shop-web-blue": container(oom_kills=seen.get("oom_kills", 0)), **data}, answers=answers)
    observed["host"]["docker_free_mb"] = seen.get("free", 9000)
    observed["requests"] = seen.get("requests", {})
    asked = {"shop-web-blue": "web", "shop-redis-broker": "redis", "shop-postgres": "postgres"}
    hosts = {"a": {**host(observed), "asked": asked}}
    found = document.document("shop", hosts, ["blue", "green"], ["a"], {}, NOW, {}, least_free_mb=2048)
    assert found["exit_code"] == code, found
    told = found["problems"] + found["degraded"]
    assert len(told) == bool(sentence)
    assert all(line.startswith(sentence) for line in told), told
    assert sentence in shown.text(found)


def test_errors_under_maintenance_are_wanted():
    observed = observation(files=["/maintenance/on"])
    observed["requests"] = {"total": 10, "failed": 10, "seconds": 300}
    assert look({"a": host(observed, maintenance="/maintenance/on")})["exit_code"] == 0


def test_a_release_that_does_not_serve_is_not_asked():
    kept = container(slot="green")
    observed = observation(
        {"shop-web-blue": container(), "shop-web-green": kept}, answers={"shop-web-green": answer("/", 1)}
    )
    hosts = {"a": {**host(observed), "asked": {"shop-web-green": "web"}}}
    found = document.document("shop", hosts, ["blue", "green"], ["a"], {}, NOW, {})
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("group", "file", "text"),
    [
        ("0::/system.slice/docker-1.scope", "system.slice/docker-1.scope/memory.events", "oom 3\noom_kill 2\n"),
        ("4:memory:/docker/1\n2:cpu:/docker/1", "memory/docker/1/memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ],
)
def test_killed_processes_are_counted_by_the_control_group(tmp_path, group, file, text):
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(group + "\n")
    path = tmp_path / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert container_state.oom_kills(7, str(tmp_path / "proc"), str(tmp_path / "cgroup")) == 2
    assert container_state.oom_kills(8, str(tmp_path / "proc"), str(tmp_path / "cgroup")) == 0
