"""Parsing in the observation module."""

from __future__ import annotations

import json
import struct

import pytest
from ansible_collections.broadcast.stack.plugins.module_utils import (
    container_state,
    health,
    host_facts,
    host_files,
    image_references,
)
from ansible_collections.broadcast.stack.plugins.module_utils.engine import joined
from ansible_collections.broadcast.stack.plugins.modules import stack_info
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.observed import parsed_ports, port_problems


def test_listening_sockets_are_read_from_the_kernels_tables(tmp_path):
    header = "  sl  local_address rem_address   st\n"
    four = tmp_path / "tcp"
    four.write_text(header + "0: 0100007F:1F40 00000000:0000 0A\n1: 0100007F:1F41 00000000:0000 01\n")
    six = tmp_path / "tcp6"
    six.write_text(header + "0: 00000000000000000000000000000000:01BB 0:0 0A\n")
    assert host_facts.listening((str(four), str(six), str(tmp_path / "absent"))) == [
        {"address": "127.0.0.1", "port": 8000},
        {"address": "::", "port": 443},
    ]


def test_log_frames_are_joined():
    stream = b"".join(struct.pack(">BxxxI", 1, len(part)) + part for part in (b"one\n", b"two\n"))
    assert joined(stream) == "one\ntwo\n"


def test_files_are_hashed_with_owner_and_mode(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o640)
    state = host_files.files_state(str(tmp_path), [str(tmp_path / "absent")])
    assert list(state) == [str(tmp_path / "a")]
    assert state[str(tmp_path / "a")]["mode"] == "0640"
    assert len(state[str(tmp_path / "a")]["sha256"]) == 64


def test_a_host_without_an_engine_is_observed(tmp_path):
    seen = stack_info.observe("shop", str(tmp_path), [], "unix://%s/absent.sock" % tmp_path, [], 5, {}, 5)
    assert seen["engine"]["running"] is False
    assert "absent.sock" in seen["engine"]["error"]
    assert seen["host"]["memory_mb"] > 0
    assert seen["containers"] == {}


def test_only_unix_sockets_are_observed():
    with pytest.raises(stack_info.EngineError, match="only unix://"):
        stack_info.observe("shop", "/nonexistent", [], "tcp://192.0.2.1:2375", [], 5, {}, 5)


def container(status="running", health="starting", restarts=0, **state):
    check = {"Test": ["CMD", "ready"], "Timeout": 2 * 10**9}
    return {
        "Id": "1a",
        "Config": {"Healthcheck": check},
        "State": {"Status": status, "Health": {"Status": health}, **state},
        "RestartCount": restarts,
    }


class Answers:
    """Answers the health check of a starting container with one exit code, or error, after the other."""

    def __init__(self, *codes, seconds=0.0):
        self.codes, self.seconds, self.time, self.asked = list(codes), seconds, 0.0, []

    def __call__(self, _docker_host, timeout):
        assert timeout == 2
        return self

    def now(self):
        return self.time

    def answer(self, identity, command):
        self.asked.append((identity, command))
        self.time += self.seconds
        found = self.codes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found, "", ""

    def asking(self):
        return health.Asking("unix:///absent", self, self.now)


SILENT = health.Asking("unix:///absent", lambda *_arguments, **_options: Answers(*[1] * 100))


@pytest.mark.parametrize(
    ("detail", "outcome"),
    [
        (container(), ""),
        (container(health="healthy"), "healthy"),
        (container(health="unhealthy"), "unhealthy"),
        (container("restarting", "unhealthy", restarts=2, Restarting=True), ""),
        (container("restarting", restarts=5, Restarting=True), "ended and was restarted 5 times"),
        (container("exited", ExitCode=3), "ended with exit code 3"),
        ({"State": {"Status": "running"}}, "healthy"),
    ],
)
def test_waiting_ends_when_the_outcome_is_known(detail, outcome):
    assert health.health_outcome(detail, 5, 0) == outcome


class Engine:
    """Answers with one detail after the other per container, the last one for ever."""

    def __init__(self, **details):
        self.details = details

    def get(self, path):
        name = path.split("/")[2]
        if name not in self.details:
            raise stack_info.EngineError("404: no such container: %s" % name)
        found = self.details[name]
        return found.pop(0) if len(found) > 1 else found[0]


def test_all_containers_are_waited_for_at_once_and_each_gets_its_outcome():
    engine = Engine(web=[container(), container(health="healthy")], slow=[container()])
    healthy = {"web": 60, "slow": 0, "absent": 60}
    assert health.wait_healthy(engine, healthy, restarts=5, asking=SILENT, pause=0) == {
        "web": "healthy",
        "slow": "still starting after 0 seconds",
        "absent": "404: no such container: absent",
    }


def test_restarts_before_the_wait_do_not_count():
    engine = Engine(web=[container(restarts=9), container(restarts=9), container(health="healthy", restarts=10)])
    assert health.wait_healthy(engine, {"web": 60}, restarts=5, asking=SILENT, pause=0) == {"web": "healthy"}


def test_a_starting_container_is_asked_before_the_engine_asks_it():
    answers = Answers(1, stack_info.EngineError("409: it is restarting"), 0)
    engine = Engine(web=[container()])
    assert health.wait_healthy(engine, {"web": 60}, 5, answers.asking(), pause=0) == {"web": "healthy"}
    assert answers.asked == [("1a", ["ready"])] * 3


def test_what_ended_or_is_ill_is_not_asked():
    answers = Answers()
    engine = Engine(ended=[container(status="exited", ExitCode=1)], ill=[container(health="unhealthy")])
    outcomes = health.wait_healthy(engine, {"ended": 60, "ill": 60}, 5, answers.asking(), pause=0)
    assert outcomes == {"ended": "ended with exit code 1", "ill": "unhealthy"}
    assert not answers.asked


def test_a_slow_answer_is_not_asked_for_at_once_again_and_none_is_left_to_the_engine():
    answers = Answers(1, 0, seconds=3.0)
    asking = answers.asking()
    assert not asking.healthy("web", container())
    assert not asking.healthy("web", container())
    answers.time += 3
    assert asking.healthy("web", container())
    answers = Answers(TimeoutError())
    asking = answers.asking()
    assert [asking.healthy("web", container()) for _times in range(3)] == [False] * 3
    assert len(answers.asked) == 1


def test_without_a_health_check_nothing_is_asked():
    detail = {**container(), "Config": {}}
    assert not Answers().asking().healthy("web", detail)


def test_routes_are_read_from_the_kernels_table(tmp_path):
    table = tmp_path / "route"
    table.write_text("Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 004DD50A 0 1 0 0 0 00FFFFFF\n")
    assert host_facts.routes(str(table)) == [{"interface": "eth0", "network": "10.213.77.0/24"}]


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("shop/django:1", "shop/django:1"),
        ("python", "python:latest"),
        ("docker.io/library/python:3", "python:3"),
        ("index.docker.io/acme/shop", "acme/shop:latest"),
        ("library/python", "python:latest"),
        ("localhost:5000/acme/shop", "localhost:5000/acme/shop:latest"),
        ("registry.example.org/library/shop:2", "registry.example.org/library/shop:2"),
        ("registry.example.org/shop@sha256:ab", "registry.example.org/shop@sha256:ab"),
        ("localhost:5000/shop:2@sha256:ab", "localhost:5000/shop@sha256:ab"),
        ("sha256:ab", "sha256:ab"),
    ],
)
def test_every_spelling_of_an_image_is_one_reference(written, listed):
    assert image_references.canonical(written) == listed


def test_images_are_listed_by_tag_and_by_digest():
    image = {"RepoTags": ["acme/shop:1", "<none>:<none>"], "RepoDigests": ["acme/shop@sha256:ab", "<none>@<none>"]}
    assert image_references.listed(image) == ["acme/shop:1", "acme/shop@sha256:ab"]
    assert image_references.listed({"RepoTags": None, "RepoDigests": ["docker.io/shop@sha256:ab"]}) == [
        "shop@sha256:ab"
    ]


def test_a_container_that_is_started_again_and_again_has_its_ports():
    """While it waits for the next attempt the Engine lists none, but another look may see it listen."""
    labels = {"broadcast.stack.name": "shop", "broadcast.stack.role": "nginx_tls"}
    entry = {"Id": "1", "Image": "i", "ImageID": "2", "Labels": labels, "State": "restarting", "Ports": []}
    bindings = {"8080/tcp": [{"HostIp": "", "HostPort": "80"}], "9/tcp": None, "8443/tcp": [{"HostPort": "443"}]}
    detail = {"HostConfig": {"PortBindings": bindings}, "State": {"Status": "restarting"}}
    state = container_state.container_state(entry, detail)
    assert state["published"] == [80, 443]
    seen = {"containers": {"shop-nginx": state}, "host": {"listening": [{"address": "0.0.0.0", "port": 80}]}}
    assert port_problems(parsed_ports(["80:8080"], "p"), seen, "shop") == []
    # One that was stopped has left them to whoever wants them.
    stopped = {"shop-nginx": container_state.container_state({**entry, "State": "exited"}, detail)}
    assert port_problems(parsed_ports(["80:8080"], "p"), {**seen, "containers": stopped}, "shop")


@pytest.mark.parametrize(("code", "outcome"), [(0, "healthy"), (1, "starting")])
def test_a_starting_container_is_seen_as_its_own_check_finds_it(tmp_path, monkeypatch, code, outcome):
    """Right after a run the Engine may not have looked yet; a plan would start it again, and a status call it ill."""
    labels = {"broadcast.stack.name": "shop", "broadcast.stack.role": "django_web"}
    entry = {"Id": "1a", "Names": ["/shop-web"], "Image": "i", "ImageID": "2", "Labels": labels, "State": "running"}
    found = {
        "/version": {"Version": "20.10", "ApiVersion": "1.41"},
        "/info": {"Driver": "overlay2", "LiveRestoreEnabled": True, "DockerRootDir": str(tmp_path)},
        "/containers/json": [entry],
        "/containers/1a/json": container(),
        "/images/json": [],
        "/networks": [],
        "/volumes": {},
    }

    class Engine:
        def __init__(self, _docker_host, timeout=0):
            pass

        def get(self, path, **_query):
            return found[path]

        def answer(self, identity, command):
            assert (identity, command) == ("1a", ["ready"])
            return code, "", ""

    monkeypatch.setattr(stack_info, "Engine", Engine)
    seen = stack_info.observe("shop", str(tmp_path), [], "unix:///absent", [], 5, {}, 5)
    assert seen["containers"]["shop-web"]["health"] == outcome


def test_all_that_starts_in_a_slot_is_waited_for_but_what_never_runs_beside_its_like(monkeypatch, tmp_path):
    labels = {"broadcast.stack.name": "shop", "broadcast.stack.slot": "green"}
    entries = [
        {"Id": "1", "Names": ["/shop-web-green"], "Labels": labels},
        {"Id": "2", "Names": ["/shop-worker-green"], "Labels": labels},
        {"Id": "3", "Names": ["/shop-beat-green"], "Labels": {**labels, "broadcast.stack.exclusive": "1"}},
    ]
    details = {"1": {"StartPeriod": 90 * 10**9}, "2": {"StartPeriod": 30 * 10**9}}

    class Engine:
        def get(self, path, **query):
            if path == "/containers/json":
                wished = ["broadcast.stack.name=shop", "broadcast.stack.slot=green"]
                assert (query["all"], json.loads(query["filters"])) == (1, {"label": wished})
                return entries
            return {"Config": {"Healthcheck": details[path.split("/")[2]]}}

    assert health.in_slot(Engine(), "shop", "green") == {"shop-web-green": 150, "shop-worker-green": 120}
