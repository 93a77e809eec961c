"""Settings of gunicorn: nobody is let in while no worker has loaded the application.

gunicorn listens before its workers load the application. Connections would wait all that time, and after a crash the
edge would wait with them. A socket that does not listen refuses at once: the edge then asks another web, or answers
that the application will be back.
"""

import contextlib
import mmap
import socket
from pathlib import Path

# The project's own settings, which gunicorn reads by itself only when it is given none. Its hooks are kept.
own = Path("gunicorn.conf.py")
if own.is_file():
    exec(compile(own.read_text(), str(own), "exec"), globals())
HOOKS = ("when_ready", "post_worker_init", "worker_exit", "child_exit")
hooks = {name: globals().get(name) for name in HOOKS}

# One byte per worker, shared with the processes of all of them: whether it has loaded the application.
loaded = mmap.mmap(-1, 4096)


def call_own(name, *arguments):
    if hooks[name]:
        hooks[name](*arguments)


def refuse(server):
    for listener in server.LISTENERS:
        # Those of a server that stops are closed.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def when_ready(server):
    refuse(server)
    call_own("when_ready", server)


def post_worker_init(worker):
    call_own("post_worker_init", worker)
    loaded[worker.age % len(loaded)] = 1
    for listener in worker.sockets:
        listener.listen(worker.cfg.backlog)


def worker_exit(server, worker):
    # One that ends by itself, after so many requests for example, is followed at once: whoever asks waits for that.
    loaded[worker.age % len(loaded)] = 0
    call_own("worker_exit", server, worker)


def child_exit(server, worker):
    crashed = loaded[worker.age % len(loaded)]
    loaded[worker.age % len(loaded)] = 0
    if crashed and loaded.find(b"\1") < 0:
        refuse(server)
    call_own("child_exit", server, worker)
