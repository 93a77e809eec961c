"""The rules of the fleet lock and the process that keeps its heartbeat."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.module_utils import lock as rules
from ansible_collections.broadcast.stack.plugins.modules import stack_lock
from ansible_collections.broadcast.stack.plugins.plugin_utils import heartbeat

ROOT = Path(__file__).resolve().parents[2]
LONG = 60


@pytest.fixture
def lock(tmp_path) -> rules.Lock:
    return rules.Lock(str(tmp_path / "a stack" / "lock"))


def take(lock: rules.Lock, owner: str = "anna@laptop", **others):
    return lock.take(**{"owner": owner, "purpose": "release.yml", "ttl": 30, **others})


def age(lock: rules.Lock, token: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(lock.beat_path(token), (moment, moment))


def renew(lock: rules.Lock, token: str, ttl: int | None = None) -> int:
    return subprocess.run(["sh", "-c", rules.renewing_command(lock.path, token, ttl)], check=False).returncode


def compete(path, barrier, results, number):
    barrier.wait()
    record, _found = take(rules.Lock(path), str(number))
    results.put(record["owner"] if record else "")


@pytest.mark.parametrize("stale", [False, True])
def test_exactly_one_of_several_processes_gets_the_lock(lock, stale):
    context = multiprocessing.get_context("fork")
    for _round in range(5):
        if stale:
            age(lock, take(lock)[0]["token"], 31)
        barrier, results = context.Barrier(4), context.Queue()
        processes = [context.Process(target=compete, args=(lock.path, barrier, results, one)) for one in range(4)]
        for one in processes:
            one.start()
        winners = [owner for owner in (results.get(timeout=LONG) for _one in processes) if owner]
        for one in processes:
            one.join(LONG)
        holder = lock.holder()
        assert winners == [holder["owner"]]
        assert lock.release(holder["token"])


def test_a_refusal_names_owner_purpose_times_and_the_remedy(lock):
    token = take(lock)[0]["token"]
    age(lock, token, 4)
    record, holder = take(lock, "ben@ci")
    assert record is None
    text = rules.refusal(lock.path, holder)
    assert re.search(r"held by anna@laptop for release.yml since %s \(\d+ s\)" % holder["acquired_at"], text)
    assert 4 <= holder["heartbeat_age"] < 30
    assert re.search(r"last heartbeat was [1-9]\d* s ago", text)
    assert "wait=SECONDS" in text
    assert "the same command takes it over 30 s after the last heartbeat" in text


@pytest.mark.parametrize(
    ("seconds", "overdue", "stale"), [(0, False, False), (9, False, False), (11, True, False), (31, True, True)]
)
def test_a_holder_is_overdue_after_two_heartbeats_and_stale_after_its_time_to_live(lock, seconds, overdue, stale):
    age(lock, take(lock)[0]["token"], seconds)
    holder = lock.holder()
    assert (holder["overdue"], holder["stale"]) == (overdue, stale)


def test_the_holders_own_time_to_live_counts(lock):
    age(lock, take(lock, ttl=300)[0]["token"], 31)
    assert take(lock, "ben@ci", ttl=5)[0] is None


def test_a_stale_lock_is_taken_over_and_its_owner_learns_of_it(lock):
    old = take(lock)[0]["token"]
    age(lock, old, 31)
    record, former = take(lock, "ben@ci")
    assert (record["owner"], former["owner"]) == ("ben@ci", "anna@laptop")
    assert renew(lock, old) == rules.GONE
    with pytest.raises(rules.LockError, match=r"does not hold the lock .* Now it is held by ben@ci for release.yml"):
        lock.verify(old)
    assert lock.release(old) is False
    lock.verify(record["token"])


def test_a_late_heartbeat_does_not_renew_the_successors_lock(lock):
    old = take(lock)[0]["token"]
    age(lock, old, 31)
    new = take(lock, "ben@ci")[0]["token"]
    age(lock, new, 20)
    renew(lock, old)
    assert lock.holder()["heartbeat_age"] > 19
    assert renew(lock, new) == 0
    assert lock.holder()["heartbeat_age"] < 19


def test_a_run_that_slept_does_not_pass_although_nobody_took_its_lock(lock):
    token = take(lock)[0]["token"]
    age(lock, token, 40)
    assert renew(lock, token, ttl=30) == rules.STALE
    with pytest.raises(rules.LockError, match=r"last heartbeat of this run .* was 4\d s ago, more than its 30 s"):
        lock.verify(token)


def test_verifying_renews(lock):
    token = take(lock)[0]["token"]
    for verify in (lambda: renew(lock, token, ttl=30), lambda: lock.verify(token)):
        age(lock, token, 20)
        assert not verify()
        assert lock.holder()["heartbeat_age"] < 19


def test_only_the_own_lock_is_released_and_any_number_of_times(lock):
    assert lock.release("nobody's") is False
    assert not os.path.exists(lock.path)
    token = take(lock)[0]["token"]
    assert lock.release("another") is False
    assert lock.release("") is False
    assert lock.release(token) is True
    assert lock.release(token) is False
    assert os.listdir(lock.path) == ["guard"]
    with pytest.raises(rules.LockError, match="Nobody holds it now"):
        lock.verify(token)


def test_the_lock_of_a_run_that_is_known_to_be_gone_needs_no_wait(lock):
    token = take(lock)[0]["token"]
    assert take(lock, "ben@ci", abandoned="another")[0] is None
    record, former = take(lock, "ben@ci", abandoned=token)
    assert record["owner"] == "ben@ci"
    assert former["token"] == token


def test_the_same_run_keeps_its_lock_when_it_takes_it_again(lock):
    process = {"controller": "laptop/1", "pid": "7", "started": "1"}
    first, _found = take(lock, process=process)
    assert take(lock, process=process) == (first, None)
    assert take(lock, token=first["token"]) == (first, None)
    assert take(lock, process={**process, "started": "2"})[0] is None
    assert take(lock, process={})[0] is None


def test_a_clock_that_was_set_back_does_not_keep_a_dead_holder(lock):
    token = take(lock)[0]["token"]
    age(lock, token, -3600)
    assert take(lock, "ben@ci")[0] is None
    assert 0 <= lock.holder()["heartbeat_age"] < 30


def test_a_damaged_record_is_not_for_ever(lock):
    take(lock)
    with open(lock.record_path, "w") as stream:
        stream.write("{")
    record, holder = take(lock, "ben@ci")
    assert record is None
    assert "an unreadable record" in rules.refusal(lock.path, holder)
    os.utime(lock.record_path, (time.time() - 31,) * 2)
    assert take(lock, "ben@ci")[0]["owner"] == "ben@ci"


def test_nobody_else_can_read_or_write_it(lock):
    take(lock)
    assert stat.S_IMODE(os.stat(lock.path).st_mode) == 0o700
    modes = {stat.S_IMODE(os.stat(os.path.join(lock.path, name)).st_mode) for name in os.listdir(lock.path)}
    assert modes == {0o600}


def test_check_mode_only_says_who_holds_the_lock(lock):
    params = {"state": "held", "path": lock.path, "token": ""}
    assert stack_lock.act(params, check_mode=True)["holder"] is None
    assert not os.path.exists(lock.path)
    token = take(lock)[0]["token"]
    assert stack_lock.act(params, check_mode=True)["holder"]["owner"] == "anna@laptop"
    for state in ("verified", "released"):
        stack_lock.act({**params, "state": state, "token": token}, check_mode=True)
    assert lock.holder()["token"] == token


def test_a_process_is_gone_when_it_has_ended_or_its_number_is_anothers():
    with subprocess.Popen(["sleep", "60"]) as other:
        known = heartbeat.process(other.pid)
        assert not heartbeat.is_gone(known)
        assert heartbeat.is_gone({**known, "started": "1"})
        assert not heartbeat.is_gone({**known, "controller": "another", "started": "1"})
        other.kill()
        # Nobody has waited for it yet, so it is a zombie.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert heartbeat.is_gone(known)
    assert heartbeat.is_gone(known)
    assert not heartbeat.is_gone({})


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "in vain: " + what
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not heartbeat.started(pid)


def heart(beat, alive=lambda: True, **others) -> tuple[int, int]:
    return heartbeat.Heartbeat(beat, alive, 0.1, gone=rules.GONE, **others).start()


def counting(path, code=0):
    def beat() -> int:
        with open(path, "a") as stream:
            stream.write("x")
        return code

    return beat


def test_a_heartbeat_beats_in_a_session_of_its_own_until_it_is_ended(tmp_path):
    pid, code = heart(counting(tmp_path / "beats"))
    assert code == 0
    assert os.getsid(pid) not in (os.getsid(0), 0)
    wait_until(lambda: (tmp_path / "beats").stat().st_size > 3, "beats")
    heartbeat.end(pid, heartbeat.started(pid))
    assert gone(pid)


@pytest.mark.parametrize("reason", ["not alive", "gone", "lifetime"])
def test_a_heartbeat_ends_by_itself(tmp_path, reason):
    flag = tmp_path / "alive"
    flag.touch()

    def beat() -> int:
        return rules.GONE if reason == "gone" and not flag.exists() else 0

    pid, _code = heart(
        beat,
        lambda: reason != "not alive" or flag.exists(),
        lifetime=0.5 if reason == "lifetime" else LONG,
    )
    if reason != "lifetime":
        assert not gone(pid)
        flag.unlink()
    wait_until(lambda: gone(pid), "the end of the heartbeat")


def test_a_beat_that_fails_is_tried_again(tmp_path):
    beats = tmp_path / "beats"
    pid, code = heart(counting(beats, code=7))
    assert code == 7
    wait_until(lambda: beats.stat().st_size > 2, "further beats")
    heartbeat.end(pid, heartbeat.started(pid))


@pytest.mark.parametrize("reason", ["timeout", "not alive", "ended"])
def test_a_beat_that_hangs_is_killed_with_what_it_started(tmp_path, reason):
    pids, flag = tmp_path / "pids", tmp_path / "alive"
    flag.touch()

    def beat() -> int:
        if not flag.exists():
            return 0
        # As ssh does; what a shell starts goes when its terminal or its input does.
        with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
            pids.write_text(str(child.pid))
            child.wait()
        return 0

    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe()

    def start() -> None:
        writer.send(
            heart(
                beat, lambda: reason != "not alive" or flag.exists(), beat_timeout=10 if reason == "timeout" else LONG
            )
        )

    starter = context.Process(target=start)
    starter.start()
    wait_until(lambda: pids.exists() and pids.read_text(), "the first beat")
    child = int(pids.read_text())
    parent = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(child)], capture_output=True, check=True).stdout)
    supervisor = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(parent)], capture_output=True, check=True).stdout)
    flag.unlink()
    if reason == "ended":
        os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: gone(child) and gone(parent), "the end of the beat")
    assert reader.recv()[0] == supervisor
    if reason == "timeout":
        assert not gone(supervisor)
        os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: gone(supervisor), "the end of the heartbeat")
    starter.join(LONG)


def test_a_heartbeat_holds_no_file_of_its_caller():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.broadcast.stack.plugins.plugin_utils import heartbeat\n"
        "print(*heartbeat.Heartbeat(lambda: 0, lambda: True, 1, gone=83, lifetime=30).start())"
    )
    command = [sys.executable, "-c", script, str(ROOT / "collections")]
    begun = time.monotonic()
    # Returns at the end of the output, which everybody who holds the pipe keeps open.
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.returncode == 0, done.stderr
    pid, _code = map(int, done.stdout.split())
    assert time.monotonic() - begun < 25
    assert not gone(pid)
    heartbeat.end(pid, heartbeat.started(pid))
    assert gone(pid)


def test_whoever_takes_the_lock_learns_when_another_one_had_it(lock):
    """What a run saw before that may have changed since."""
    started = time.time()
    first, _ = take(lock)
    assert first["used_epoch"] == 0
    time.sleep(0.05)
    between = time.time()
    time.sleep(0.05)
    lock.release(first["token"])
    second, _ = take(lock, "ben@ci")
    assert between < second["used_epoch"] <= time.time()
    age(lock, second["token"], 31)
    third, _ = take(lock, "cleo@desk")
    assert started < third["used_epoch"] <= time.time()
    assert take(lock, "cleo@desk", token=third["token"])[0]["used_epoch"] == 0


def test_a_lock_that_was_free_all_the_time_was_used_before(lock):
    lock.release(take(lock)[0]["token"])
    time.sleep(0.05)
    observed = time.time()
    assert take(lock)[0]["used_epoch"] < observed
