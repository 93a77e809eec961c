"""Stopping containers of an Engine that is played here."""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import threading
import time
import urllib.parse

import pytest
from ansible_collections.broadcast.stack.plugins.module_utils import draining
from ansible_collections.broadcast.stack.plugins.module_utils.engine import Engine, EngineError
from ansible_collections.broadcast.stack.plugins.modules import containers_stop


def container(running=True, ends_after=0.0, exit_code=0, timeout=None, **others):
    return {
        "running": running,
        "ends_after": ends_after,
        "exit_code": exit_code,
        "config": {} if timeout is None else {"StopTimeout": timeout},
        **others,
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the Engine does."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def found(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        name = url.path.split("/")[2]
        self.server.calls.append((self.command, url.path, self.query))
        # By the beginning of the id as well.
        for known, state in self.server.containers.items():
            if name == known or ("id-" + known).startswith(name):
                return known, state
        self.answer(404, {"message": "No such container: " + name})
        return None, None

    def do_GET(self):
        name, state = self.found()
        if state:
            shown = {"Running": state["running"], "ExitCode": state["exit_code"]}
            self.answer(200, {"Id": "id-" + name, "Name": "/" + name, "State": shown, "Config": state["config"]})

    def do_POST(self):
        name, state = self.found()
        if not state:
            return
        if state.get("broken"):
            self.answer(500, {"message": "cannot stop container"})
            return
        if "together" in state:
            state["together"].wait(30)
        grace, was_running = float(self.query["t"]), state["running"]
        killed = was_running and state["ends_after"] > grace >= 0
        time.sleep(min(state["ends_after"], grace) if killed else state["ends_after"])
        state["running"] = False
        if killed:
            state["exit_code"] = 137
        if state.get("removes_itself"):
            del self.server.containers[name]
        self.answer(204 if was_running else 304)

    def do_DELETE(self):
        name, state = self.found()
        if state:
            if state.get("being_removed", 0):
                state["being_removed"] -= 1
                self.answer(409, {"message": "removal of container is already in progress"})
                return
            del self.server.containers[name]
            self.answer(204)

    def log_message(self, *_arguments):
        pass

    def address_string(self):
        return "socket"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An Engine's socket."""

    daemon_threads = True

    def __init__(self, path, containers):
        super().__init__(path, Handler)
        self.containers, self.calls = containers, []


@pytest.fixture
def engine(tmp_path):
    servers = []

    def start(**containers):
        server = Server(
            str(tmp_path / "docker.sock"), {name.replace("_", "-"): one for name, one in containers.items()}
        )
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def stop(engine, *names, extra_seconds=0, remove=False, check_mode=False):
    return containers_stop.stop_all(names, "unix://" + engine.server_address, extra_seconds, remove, check_mode)


def test_containers_are_stopped_at_once_each_with_its_own_grace(engine):
    # None of them ends before all of them have been told to.
    one = {"ends_after": 0.6, "together": threading.Barrier(3)}
    server = engine(web=container(**one), worker=container(**one, timeout=300), slow=container(**one))
    results, missing, errors = stop(server, "web", "worker", "slow", "web")
    assert (missing, errors) == ([], {})
    assert list(results) == ["web", "worker", "slow"]
    assert results["web"]["seconds"] >= 0.6
    assert not any(one["killed"] for one in results.values())
    graces = {path: query["t"] for method, path, query in server.calls if method == "POST"}
    assert graces == {
        "/containers/id-web/stop": "10",
        "/containers/id-worker/stop": "300",
        "/containers/id-slow/stop": "10",
    }


def test_one_that_does_not_end_within_its_grace_is_reported_as_killed(engine):
    server = engine(stubborn=container(ends_after=60, timeout=1), own=container(exit_code=137, timeout=5))
    results, missing, errors = stop(server, "stubborn", "own")
    assert results["stubborn"] == {
        **results["stubborn"],
        "was_running": True,
        "killed": True,
        "exit_code": 137,
        "grace": 1,
    }
    # It ended in time, with the same exit code.
    assert results["own"]["killed"] is False
    text = containers_stop.sentence(results, missing, errors)
    assert "stubborn was killed, since it had not ended 1 s after its stop signal" in text
    assert re.search(r"own stopped in \d+\.\d s \(exit code 137\)", text)


def test_extra_seconds_prolong_the_grace_but_not_one_without_end(engine):
    server = engine(web=container(timeout=1), patient=container(timeout=-1))
    results, _missing, _errors = stop(server, "web", "patient", extra_seconds=5)
    assert (results["web"]["grace"], results["patient"]["grace"]) == (6, -1)


def test_missing_and_stopped_containers_are_fine(engine):
    server = engine(old=container(running=False, exit_code=3))
    results, missing, errors = stop(server, "old", "absent")
    assert (missing, errors) == (["absent"], {})
    assert results["old"]["was_running"] is False
    assert results["old"]["exit_code"] == 3
    assert containers_stop.sentence(results, missing, errors) == "old was not running; absent does not exist."
    assert stop(server) == ({}, [], {})


def test_a_name_that_begins_another_containers_id_is_missing(engine):
    server = engine(web=container())
    assert stop(server, "id")[1] == ["id"]
    assert server.containers["web"]["running"]


def test_containers_are_removed_on_request(engine):
    server = engine(web=container(), old=container(running=False), going=container(being_removed=2), kept=container())
    results, _missing, _errors = stop(server, "web", "old", "going", remove=True)
    assert all(one["removed"] for one in results.values())
    assert list(server.containers) == ["kept"]


def test_one_that_removes_itself_when_it_ends_is_fine(engine):
    server = engine(once=container(removes_itself=True))
    results, _missing, errors = stop(server, "once", remove=True)
    assert errors == {}
    assert results["once"] == {**results["once"], "removed": True, "exit_code": None, "killed": False}


def test_check_mode_stops_nothing(engine):
    server = engine(web=container(timeout=30))
    results, missing, errors = stop(server, "web", "absent", remove=True, check_mode=True)
    assert results["web"]["was_running"]
    assert containers_stop.sentence(results, missing, errors).startswith("web would be stopped within 30 s; absent")
    assert {method for method, _path, _query in server.calls} == {"GET"}


def test_an_error_does_not_keep_the_others_from_being_stopped(engine):
    server = engine(broken=container(broken=True), web=container())
    results, missing, errors = stop(server, "broken", "web")
    assert list(results) == ["web"]
    assert "cannot stop container" in errors["broken"]
    assert "broken could not be stopped: 500" in containers_stop.sentence(results, missing, errors)


def test_an_engine_that_cannot_be_reached_is_named(tmp_path):
    errors = containers_stop.stop_all(["web"], "unix://%s/absent.sock" % tmp_path, 0, False, False)[2]
    assert "No such file" in errors["web"]


def test_statuses_of_errors_can_be_told_apart(engine):
    server = engine()
    with pytest.raises(EngineError, match=r"^404") as caught:
        Engine("unix://" + server.server_address).get("/containers/absent/json")
    assert caught.value.status == 404


def finishing(engine, *names, root):
    return containers_stop.let_finish(names, "unix://" + engine.server_address, 0, str(root), False)


def ends(server, name, seconds=10.0):
    deadline = time.monotonic() + seconds
    while server.containers[name]["running"]:
        assert time.monotonic() < deadline, f"{name} still runs"
        time.sleep(0.05)


def signals(server):
    return [(path, query["t"]) for method, path, query in server.calls if method == "POST"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_container_that_nobody_waits_for_ends_and_its_host_knows_it_meanwhile(engine, tmp_path):
    server = engine(worker=container(ends_after=1.0, timeout=300), old=container(running=False))
    begun = time.monotonic()
    results, missing, errors = finishing(server, "worker", "old", "absent", root=tmp_path)
    assert time.monotonic() - begun < 0.9
    assert (missing, errors) == (["absent"], {})
    detail = Engine("unix://" + server.server_address).container("worker")
    until = draining.read(tmp_path, detail)["until"]
    assert 290 < until - time.time() < 301
    assert results["worker"]["draining"] == draining.told({"until": until})
    assert "worker finishes what it does, until 20" in containers_stop.sentence(results, missing, errors)
    assert "old was not running" in containers_stop.sentence(results, missing, errors)
    ends(server, "worker")
    assert sorted(signals(server)) == [("/containers/id-old/stop", "10"), ("/containers/id-worker/stop", "300")]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_one_that_finishes_by_itself_is_told_once_and_waited_for(engine, tmp_path):
    server = engine(worker=container(ends_after=1.0, timeout=300))
    finishing(server, "worker", root=tmp_path)
    finishing(server, "worker", root=tmp_path)
    while not signals(server):
        time.sleep(0.02)
    results, _missing, _errors = containers_stop.stop_all(
        ["worker"], "unix://" + server.server_address, 0, True, False, str(tmp_path)
    )
    assert results["worker"]["removed"]
    assert results["worker"]["seconds"] > 0.5
    assert len(signals(server)) == 2, "the signal that ends it, and the stop of what has ended"
    assert server.containers == {}


def test_an_engine_that_fails_meanwhile_is_asked_again(engine, tmp_path, monkeypatch):
    server = engine(worker=container(timeout=60, broken=True))
    thread = threading.Thread(
        target=containers_stop.finish,
        args=("unix://" + server.server_address, str(tmp_path), "worker", "id-worker", 60),
        kwargs={"pause": 0.05},
    )
    thread.start()
    while len(signals(server)) < 3:
        time.sleep(0.02)
    del server.containers["worker"]["broken"]
    thread.join(10)
    assert not thread.is_alive()
    assert not server.containers["worker"]["running"]


def test_a_note_counts_for_the_start_that_was_ended_and_for_its_grace(tmp_path):
    detail = {"Id": "1", "Name": "/worker", "State": {"Running": True, "StartedAt": "a"}}
    draining.write(tmp_path, "worker", detail, 60, now=1000)
    assert draining.read(tmp_path, detail, now=1060) == {"until": 1060}
    assert draining.read(tmp_path, detail, now=1060 + draining.SLACK + 1) is None
    for other in ({"Running": True, "StartedAt": "b"}, {"Running": False, "StartedAt": "a"}):
        assert draining.read(tmp_path, {**detail, "State": other}, now=1001) is None
    assert draining.read(tmp_path, {**detail, "Id": "2"}, now=1001) is None
    assert draining.read(tmp_path, {**detail, "Name": "/other"}, now=1001) is None
    draining.write(tmp_path, "worker", detail, -1)
    assert draining.told(draining.read(tmp_path, detail)) == "it has finished"
    draining.forget(tmp_path, "worker")
    draining.forget(tmp_path, "worker")
    assert draining.told(draining.read(tmp_path, detail)) == ""
