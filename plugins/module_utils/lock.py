# MIT License (see LICENSE)
"""A lock with an owner and a heartbeat, as files of one host.

Needs the standard library only. The directory of a lock holds C(guard), which is flocked while the others are looked at
or changed and never removed, C(holder.json), and C(heartbeat.TOKEN), whose time of modification is the last heartbeat.
Its name carries the token, so a heartbeat that comes too late finds no file and can never renew a successor's lock.
Whether a holder is stale is judged by the clock of this host alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import tempfile
import time
import uuid

HEARTBEATS_PER_TTL = 6
# A heartbeat that has failed to come twice is overdue: its process may have been killed.
OVERDUE_HEARTBEATS = 2
# Exit codes of the command that renews. A shell, ssh, sudo and docker use none of them.
GONE, STALE = 83, 84
GUARD_SECONDS = 20


class LockError(Exception):
    """The lock cannot be used; the text says why and what to do."""


def interval(ttl):
    """Seconds between two heartbeats."""
    return ttl / HEARTBEATS_PER_TTL


def span(seconds):
    """A duration as people say it."""
    seconds = max(0, int(seconds))
    if seconds < 120:
        return "%d s" % seconds
    if seconds < 7200:
        return "%d minutes" % (seconds // 60)
    return "%d hours" % (seconds // 3600)


def describe(holder):
    """Who holds or held a lock."""
    purpose = " for %s" % holder["purpose"] if holder["purpose"] else ""
    return "%s%s since %s (%s)" % (holder["owner"], purpose, holder["acquired_at"], span(holder["held_seconds"]))


def refusal(path, holder):
    """Why the lock is not to be had, and what to do about it."""
    return (
        "The lock %s is held by %s; its last heartbeat was %s ago. Wait until it is released, by hand or with "
        "wait=SECONDS. Should its owner have been killed, nothing needs to be removed: the same command takes it over "
        "%d s after the last heartbeat." % (path, describe(holder), span(holder["heartbeat_age"]), holder["ttl"])
    )


def lost(path, holder):
    """Why a run that held the lock must not go on."""
    now = "Now it is held by %s." % describe(holder) if holder else "Nobody holds it now."
    return (
        "This run does not hold the lock %s any more: its heartbeats failed to come, because the controller slept or "
        "could not reach the host, and the lock was released or taken over. %s What this run has not done yet must not "
        "be done; start it again." % (path, now)
    )


def outdated(path, holder):
    """Why a run whose lock nobody has taken over must not go on either."""
    return (
        "The last heartbeat of this run at the lock %s was %s ago, more than its %d s: the controller slept or could "
        "not reach the host. Another run may take the lock over at any moment; start this one again."
        % (path, span(holder["heartbeat_age"]), holder["ttl"])
    )


def renewing_command(path, token, ttl=None):
    """
    Shell command that renews a lock which still is the token's, and ends with GONE when it is not. With a ttl it ends
    with STALE when the last heartbeat is older than that.
    """
    beat = shlex.quote(os.path.join(path, "heartbeat." + token))
    age = "test $(( $(date +%%s) - $(stat -c %%Y %s) )) -le %d || exit %d; " % (beat, ttl, STALE) if ttl else ""
    return "test -f %s || exit %d; %stouch -c %s && test -f %s || exit %d" % (beat, GONE, age, beat, beat, GONE)


class Lock:
    """The lock in a directory of this host."""

    def __init__(self, path):
        self.path = path
        self.record_path = os.path.join(path, "holder.json")

    def beat_path(self, token):
        return os.path.join(self.path, "heartbeat." + token)

    @contextlib.contextmanager
    def guarded(self):
        """Alone on this host; bounded, since a process that was stopped while inside would keep all others out."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        guard = os.open(os.path.join(self.path, "guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + GUARD_SECONDS
            while True:
                try:
                    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                if time.monotonic() > deadline:
                    raise LockError(
                        "%s/guard has been locked by another process for %d s; see fuser %s/guard."
                        % (self.path, GUARD_SECONDS, self.path)
                    )
                time.sleep(0.02)
            yield
        finally:
            os.close(guard)

    def holder(self):
        """The holder with the age of its last heartbeat, None when there is none."""
        try:
            with open(self.record_path, encoding="utf-8") as stream:
                written, text = os.fstat(stream.fileno()).st_mtime, stream.read()
        except FileNotFoundError:
            return None
        try:
            record = json.loads(text)
            token, ttl, since = record["token"], float(record["ttl"]), float(record["acquired_epoch"])
        # Somebody has damaged the file. Its age still tells when the lock may be taken over.
        except (ValueError, KeyError, TypeError):
            record, token, ttl, since = {}, "", 30.0, written
        try:
            beat = os.stat(self.beat_path(token)).st_mtime
        except FileNotFoundError:
            beat = written
        now = time.time()
        return {
            "token": token,
            "owner": record.get("owner", "an unreadable record"),
            "purpose": record.get("purpose", ""),
            "process": record.get("process") or {},
            "acquired_at": record.get("acquired_at", "an unknown time"),
            "ttl": ttl,
            "held_seconds": now - since,
            "heartbeat_age": now - beat,
            "overdue": now - beat > OVERDUE_HEARTBEATS * interval(ttl),
            "stale": now - beat > ttl,
        }

    def beat(self, token):
        handle = os.open(self.beat_path(token), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(handle)
        os.utime(self.beat_path(token))

    def forget_heartbeats(self):
        for name in os.listdir(self.path):
            if name.startswith("heartbeat."):
                os.unlink(os.path.join(self.path, name))

    def write(self, record):
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".holder-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(record, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self.record_path)
        except BaseException:
            os.unlink(temporary)
            raise

    def take(self, owner, purpose, ttl, process=None, token="", abandoned=""):
        """
        Take the lock when it is free, stale, or held by the token that the caller knows to be abandoned. A holder that
        is the caller's own token or process keeps it. Returns (record or None, the holder found or None). used_epoch in
        the record: when another one took or released the lock or beat last, 0 if none did since this one has it.
        """
        used = self.used()
        with self.guarded():
            found = self.holder()
            if found and found["heartbeat_age"] < -1:
                # The clock was set back. Counted from now on, a dead holder becomes stale as well.
                self.beat(found["token"])
                found = self.holder()
            if found and ((token and found["token"] == token) or (process and found["process"] == process)):
                self.beat(found["token"])
                return {"used_epoch": 0.0, **{key: found[key] for key in ("token", "owner", "acquired_at")}}, None
            if found and not found["stale"] and not (abandoned and found["token"] == abandoned):
                return None, found
            now = time.time()
            used = max(used, now - found["heartbeat_age"]) if found else used
            record = {
                "token": uuid.uuid4().hex,
                "owner": owner,
                "purpose": purpose,
                "ttl": ttl,
                "process": process or {},
                "acquired_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                "acquired_epoch": now,
            }
            # In this order the old owner is told before there is a new one, and a full disk leaves no half a lock.
            self.forget_heartbeats()
            self.beat(record["token"])
            self.write(record)
            return {"used_epoch": used, **{key: record[key] for key in ("token", "owner", "acquired_at")}}, found

    def used(self):
        """When the files of the lock came or went last."""
        try:
            return os.stat(self.path).st_mtime if os.path.exists(os.path.join(self.path, "guard")) else 0.0
        except FileNotFoundError:
            return 0.0

    def verify(self, token):
        """Renew the token's lock; raises LockError when it is not the holder any more or its heartbeat too old."""
        with self.guarded():
            found = self.holder()
            if not found or found["token"] != token or not os.path.exists(self.beat_path(token)):
                raise LockError(lost(self.path, found if found and found["token"] != token else None))
            if found["stale"]:
                raise LockError(outdated(self.path, found))
            self.beat(token)

    def release(self, token):
        """Give up the token's lock; returns whether it was held."""
        if not os.path.isdir(self.path):
            return False
        with self.guarded():
            found = self.holder()
            if not token or not found or found["token"] != token:
                return False
            os.unlink(self.record_path)
            self.forget_heartbeats()
            return True
