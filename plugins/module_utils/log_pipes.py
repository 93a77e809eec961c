# MIT License (see LICENSE)
"""Room for what a container says while its Engine is away.

A container's output goes through a pipe that the Engine reads. While the Engine restarts or is down, nobody does,
though live-restore leaves the containers running: with the kernel's 64 KiB an edge has room for some hundred requests,
and then waits with the next one. The kernel takes memory for a pipe only when something is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

# Linux: F_LINUX_SPECIFIC_BASE + 7 in include/uapi/linux/fcntl.h; Python has the name from version 3.10 on.
F_SETPIPE_SZ = 1031
# Bytes. As much as the kernel lets anybody have, see pipe-max-size in proc(5).
SIZE = 1048576


def enlarge(process: int) -> None:
    """Give a container's standard output and error more room. Without the right to, they stay as they are.

    process: the container's first one, State.Pid of docker inspect; 0 when it does not run.
    """
    if not process:
        return
    for number in (1, 2):
        # It may have ended, a container with a terminal has no pipe, and only root may look.
        with contextlib.suppress(OSError):
            path = "/proc/%d/fd/%d" % (process, number)
            if stat.S_ISFIFO(os.stat(path).st_mode):
                descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    fcntl.fcntl(descriptor, F_SETPIPE_SZ, SIZE)
                finally:
                    os.close(descriptor)
