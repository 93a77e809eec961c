"""Room for what a container says while its Engine is away."""

from __future__ import annotations

import fcntl
import subprocess

from ansible_collections.broadcast.stack.plugins.module_utils import log_pipes

F_GETPIPE_SZ = 1032


def test_a_running_process_gets_more_room_for_its_output():
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            before = fcntl.fcntl(process.stdout, F_GETPIPE_SZ)
            log_pipes.enlarge(process.pid)
            assert before < fcntl.fcntl(process.stdout, F_GETPIPE_SZ) == log_pipes.SIZE
        finally:
            process.kill()


def test_a_process_that_has_ended_is_none():
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        process.wait()
    log_pipes.enlarge(process.pid)
    log_pipes.enlarge(0)
