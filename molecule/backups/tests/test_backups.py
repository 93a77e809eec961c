"""What an operator relies upon: backups are taken, encrypted, watched, and bring the data back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DATABASE, BACKUPS, VOLUMES, WEB = "shop-postgres", "shop-backups", "shop-backups-volumes", "shop-web"
PASSPHRASE = "molecule-passphrase-of-the-repository"
REPOSITORY = "/var/lib/docker/volumes/shop-backups/_data"
VOLUMES_REPOSITORY = "/var/lib/docker/volumes/shop-backups-volumes/_data"
MEDIA = "/var/lib/docker/volumes/shop-media/_data"
SHOP = "/var/lib/docker/volumes/shop-shop/_data"
EMPTY = "/var/lib/docker/volumes/shop-empty/_data"
# Run on the host: whatever a file system can hold that the application's user can read.
MAKE = r"""
import os, socket, sys
os.chdir(sys.argv[1])
def file(name, mode=0o644, owner=(10003, 10003), text=b"text"):
    with open(name, "wb") as stream:
        stream.write(text)
    os.chown(name, *owner)
    os.chmod(name, mode)
def folder(name, mode=0o755, owner=(10003, 10003)):
    os.mkdir(name)
    file(os.path.join(name, b"file" if isinstance(name, bytes) else "file"), owner=owner)
    os.chown(name, *owner)
    os.chmod(name, mode)
file("of-another", owner=(10099, 10099))
folder("folder-of-another", owner=(10099, 10099))
folder("folder-of-root", owner=(0, 0))
folder("read-only", mode=0o555)
folder("shared", mode=0o2770, owner=(10003, 10777))
folder(".restore")
folder(".before-lunch")
file("program", mode=0o4755)
file("capable", mode=0o755)
os.setxattr("capable", "security.capability", bytes([1, 0, 0, 2, 0, 4]) + bytes(14))
os.setxattr("shared", "user.note", b"x" * 3000)
for number, name in enumerate((b"-rf", b"line\nbreak", b"not \xff UTF-8", b"* ? [a] {b} $HOME", b"\"' \\", b"n" * 255)):
    file(name, mode=0o600, text=b"%d" % number)
folder(b"folder \xfe")
os.symlink("/etc/shadow", "away")
os.symlink("nowhere", "dangling")
os.symlink("shared", "to-folder")
os.link("of-another", "another-name")
with open("holes", "wb") as stream:
    stream.truncate(300 << 20)
os.chown("holes", 10003, 10003)
os.mkfifo("pipe", 0o644)
os.mknod("device", 0o644 | 0o020000, os.makedev(1, 3))
socket.socket(socket.AF_UNIX).bind("socket")
"""
LOOK = """
import hashlib, json, os, stat, sys
found = {}
for base, folders, files in os.walk(os.fsencode(sys.argv[1])):
    for name in folders + files:
        path = os.path.join(base, name)
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        # A socket is of the process that listens, and in no backup.
        if kind == stat.S_IFSOCK or b".before-2" in path:
            continue
        content = os.readlink(path) if kind == stat.S_IFLNK else b""
        content = open(path, "rb").read() if kind == stat.S_IFREG else content
        extra = {key: os.getxattr(path, key).hex() for key in os.listxattr(path, follow_symlinks=False)}
        found[repr(path)] = [
            oct(status.st_mode), status.st_uid, status.st_gid, status.st_rdev, int(status.st_mtime),
            status.st_nlink if kind == stat.S_IFREG else 0, hashlib.sha256(content).hexdigest(), extra,
        ]
print(json.dumps(found))
"""


class Stack:
    """The database as its superuser, and the backups."""

    def __init__(self, host) -> None:
        self.host = host

    def sql(self, text: str) -> str:
        return self.host.check_output("docker exec %s psql -X -q -t -A -d shop -c %s", DATABASE, text)

    def application(self, password: str, text: str):
        image = self.host.check_output("docker inspect -f '{{.Config.Image}}' %s", DATABASE)
        return self.host.run(
            "docker run --rm --network shop-data -e PGPASSWORD=%s %s psql -X -q -t -A -h %s -U shop_app -d shop -c %s",
            password, image, DATABASE, text,
        )  # fmt: skip

    def time(self) -> str:
        """The database's time, with a second of silence before and after."""
        time.sleep(1)
        now = self.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00'")
        time.sleep(1)
        return now

    def back_up(self, name: str = BACKUPS, kind: str = "incr") -> None:
        self.host.check_output("docker exec %s backups now --type=%s", name, kind)

    def backups(self, name: str = BACKUPS) -> list[dict]:
        return json.loads(self.host.check_output("docker exec %s backups list", name))

    def health(self, name: str = BACKUPS) -> str:
        return self.host.check_output("docker inspect -f '{{.State.Health.Status}}' %s", name)

    def wait(self, what, seconds: int = 120) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "\n".join(
                self.host.run("docker logs --tail 30 %s", name).stderr for name in (BACKUPS, VOLUMES)
            )
            time.sleep(3)

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        """A file of the application, with its folders."""
        self.host.check_output("mkdir -p %s", str(Path(MEDIA, path).parent))
        self.host.check_output("printf %%s %s > %s/%s && chmod %s %s/%s", text, MEDIA, path, mode, MEDIA, path)
        self.host.check_output("chown -R 10003:10003 %s/%s", MEDIA, Path(path).parts[0])

    def files(self) -> dict[str, tuple[str, str]]:
        """Path -> owner and mode, content: what the application finds in its volume."""
        found = self.host.check_output(
            "cd %s && find . -name '.before-*' -prune -o -type f -printf '%%U %%m %%P\n'", MEDIA
        )
        return {
            path: (f"{uid} {mode}", self.host.check_output("cat %s/%s", MEDIA, path))
            for uid, mode, path in (line.split(" ", 2) for line in found.splitlines())
        }

    def started(self, name: str) -> str:
        return self.host.check_output("docker inspect -f '{{.State.StartedAt}}' %s", name)


Playbook = Callable[..., subprocess.CompletedProcess]
# Molecule's whole inventory: the groups of this scenario lie beside the file that names the instance.
INVENTORY = f"--inventory={Path(os.environ['MOLECULE_INVENTORY_FILE']).parent}"


@pytest.fixture
def converge(play: Playbook, scenario: Path) -> Playbook:
    """Run the scenario's playbook once more, with other variables."""
    return lambda **variables: play(scenario / "converge.yml", INVENTORY, **variables)


@pytest.fixture
def operate(play: Playbook, scenario: Path) -> Playbook:
    """Run a playbook of the collection; without its preflight, which wants the whole stack."""
    playbooks = scenario.parents[1] / "playbooks"
    return lambda name, **variables: play(playbooks / f"{name}.yml", INVENTORY, "--skip-tags=always", **variables)


@pytest.fixture
def stack(host) -> Stack:
    return Stack(host)


def test_first_full_backup_is_taken_right_after_the_start(stack: Stack) -> None:
    for name in (BACKUPS, VOLUMES):
        stack.wait(lambda name=name: stack.backups(name))
        assert stack.backups(name)[0]["type"] == "full"
        stack.wait(lambda name=name: stack.health(name) == "healthy")


def test_backup_on_demand_says_what_was_written(stack: Stack, operate) -> None:
    stack.sql("CREATE TABLE before AS SELECT 'before the backup' AS text")
    stack.write("before.txt", "before the backup")
    result = operate("backup", backup_type="incr")
    assert result.returncode == 0, result.stdout
    for name, size in ((BACKUPS, "database_mb:"), (VOLUMES, "volumes_mb:")):
        latest = stack.backups(name)[-1]
        assert latest["type"] == "incr"
        # A label that has digits only is quoted.
        for shown in (f"label: '?{latest['label']}", "seconds:", size, "repository_mb:"):
            assert re.search(shown, result.stdout), result.stdout


def test_schedule_takes_backups_by_itself(host, stack: Stack, converge) -> None:
    result = converge(backups_differential_schedule="* * * * *")
    assert result.returncode == 0, result.stdout
    for name in (BACKUPS, VOLUMES):
        stack.wait(lambda name=name: any(backup["type"] == "diff" for backup in stack.backups(name)), seconds=150)


def test_old_backups_of_volumes_go_even_after_one_was_killed(host, stack: Stack, converge) -> None:
    # The test before has changed the schedule, which this run takes back.
    result = converge(backups_retention_full=1)
    assert result.returncode == 0, result.stdout
    # Killed when its lock is there, which has another name while it is written.
    killed = (
        # No pipeline: bash would wait for all of it, the sleep as well.
        "restic --no-cache backup --stdin < <(sleep 300 2> /dev/null) &\n"
        "for n in {1..600}; do\n"
        "    [[ $(compgen -G '/var/lib/restic/locks/*') =~ /[0-9a-f]{64}([[:space:]]|$) ]] && break\n"
        "    sleep 0.2\n"
        "done\n"
        "kill -KILL $!\n"
        "wait $!"
    )
    assert host.run("docker exec %s bash -c %s", VOLUMES, killed).rc == 137
    assert host.check_output(f"ls {VOLUMES_REPOSITORY}/locks")
    for _ in range(2):
        stack.back_up(VOLUMES, "full")
    # The one before the oldest full backup stays, see roles/backups/README.md.
    assert [backup["type"] for backup in stack.backups(VOLUMES)] == ["full", "full"]
    result = converge()
    assert result.returncode == 0, result.stdout


def test_repository_is_encrypted(host, stack: Stack, keepers) -> None:
    stack.sql("CREATE TABLE canary AS SELECT repeat('readable-canary', 100) AS text FROM generate_series(1, 100)")
    stack.sql("SELECT pg_switch_wal()")
    host.check_output("docker exec %s backups now --type=diff", BACKUPS)
    assert keepers("-E", "readable-canary|backrest-checksum|system-id", REPOSITORY) == set()
    assert host.check_output(f"head -c 8 {REPOSITORY}/backup/main/backup.info") == "Salted__"


def test_repository_of_the_volumes_is_encrypted(host, stack: Stack, keepers) -> None:
    stack.write("readable-name.txt", "readable-canary " * 1000)
    stack.back_up(VOLUMES)
    assert keepers("-E", "readable-canary|readable-name", VOLUMES_REPOSITORY) == set()
    restic = "docker exec %s restic --no-lock --no-cache"
    assert "readable-name.txt" in host.check_output(f"{restic} ls latest", VOLUMES)
    opened = host.run(f"{restic.replace('%s', '-e RESTIC_PASSWORD_FILE=/etc/hostname %s')} ls latest", VOLUMES)
    assert "wrong password" in opened.stderr


def test_backups_can_neither_write_the_data_nor_shows_anything_the_passphrase(host, keepers) -> None:
    assert "Read-only file system" in host.run("docker exec %s touch /var/lib/postgresql/x", BACKUPS).stderr
    assert "Read-only file system" in host.run("docker exec %s touch /volumes/media/x", VOLUMES).stderr
    for name in (DATABASE, BACKUPS, VOLUMES):
        seen = host.check_output("docker inspect %s && docker logs %s 2>&1 && ps axww", name, name)
        assert PASSPHRASE not in seen
    keeping = keepers("-F", PASSPHRASE, "/opt/shop", "/var/lib/docker/containers")
    expected = {
        f"/opt/shop/containers/{BACKUPS}/secrets/pgbackrest-cipher.conf": 10001,
        f"/opt/shop/containers/{DATABASE}/secrets/pgbackrest-cipher.conf": 10001,
        f"/opt/shop/containers/{VOLUMES}/secrets/restic-password": 10003,
    }
    assert {path: host.file(path).uid for path in keeping} == expected
    assert {host.file(path).mode for path in keeping} == {0o400}


def test_failing_backups_are_unhealthy_with_the_reason_until_one_succeeds(host, stack: Stack) -> None:
    host.check_output(f"mv {REPOSITORY}/backup/main/backup.info {REPOSITORY}/aside")
    host.check_output(f"mv {REPOSITORY}/backup/main/backup.info.copy {REPOSITORY}/aside.copy")
    try:
        assert host.run("docker exec %s backups now", BACKUPS).rc == 1
        stack.wait(lambda: stack.health() == "unhealthy")
        assert "backup" in host.run("docker exec %s backups health", BACKUPS).stderr
    finally:
        host.check_output(f"mv {REPOSITORY}/aside {REPOSITORY}/backup/main/backup.info")
        host.check_output(f"mv {REPOSITORY}/aside.copy {REPOSITORY}/backup/main/backup.info.copy")
    host.check_output("docker exec %s backups now", BACKUPS)
    stack.wait(lambda: stack.health() == "healthy")


def test_failing_backups_of_volumes_are_unhealthy_with_the_reason_until_one_succeeds(host, stack: Stack) -> None:
    host.check_output(f"mv {VOLUMES_REPOSITORY}/config {VOLUMES_REPOSITORY}/aside")
    try:
        assert host.run("docker exec %s backups now", VOLUMES).rc == 1
        stack.wait(lambda: stack.health(VOLUMES) == "unhealthy")
        assert "config" in host.run("docker exec %s backups health", VOLUMES).stderr
        assert stack.health(BACKUPS) == "healthy"
    finally:
        host.check_output(f"mv {VOLUMES_REPOSITORY}/aside {VOLUMES_REPOSITORY}/config")
    stack.back_up(VOLUMES)
    stack.wait(lambda: stack.health(VOLUMES) == "healthy")

    # A file that could not be read is missing from the backup.
    host.check_output(f"install -m 0600 /dev/null {MEDIA}/of-root.txt")
    try:
        result = host.run("docker exec %s backups now", VOLUMES)
        assert result.rc == 1
        assert "of-root.txt: permission denied" in result.stderr
    finally:
        host.check_output(f"rm {MEDIA}/of-root.txt")
    stack.back_up(VOLUMES)


@pytest.fixture
def web(host) -> Iterator[str]:
    """Something that the playbook takes for the application."""
    image = host.check_output("docker inspect -f '{{.Config.Image}}' %s", BACKUPS)
    labels = "--label broadcast.stack.name=shop --label broadcast.stack.role=django_web"
    host.check_output(f"docker run -d --init --name {WEB} {labels} {image} sleep infinity")
    yield WEB
    host.check_output(f"docker rm -f {WEB}")


def test_restore_wants_a_confirmation_and_a_time_that_can_be_reached(stack: Stack, operate) -> None:
    before = stack.started(DATABASE)
    refused = operate("restore")
    assert refused.returncode != 0
    assert "database and the files of shop" in " ".join(refused.stdout.split())
    assert "Confirm with -e restore_confirm=shop" in " ".join(refused.stdout.split())
    for target, reason in (("2001-01-01 00:00:00+00:00", "the oldest backup ends at"), ("noon", "is no time such as")):
        refused = operate("restore", restore_confirm="shop", restore_target_time=target)
        assert refused.returncode != 0
        assert reason in " ".join(refused.stdout.split())
    assert stack.started(DATABASE) == before


def test_destroyed_table_comes_back_and_everything_serves_again(host, stack: Stack, web: str, operate) -> None:
    stack.write("new/unsaved.txt", "in no backup")
    files = stack.files()
    stack.sql("CREATE TABLE orders AS SELECT id, 'in the backup' AS text FROM generate_series(1, 1000) AS id")
    stack.back_up()
    stack.sql("INSERT INTO orders SELECT id, 'after the backup' FROM generate_series(1001, 1500) AS id")
    moment = stack.time()
    stack.sql("DROP TABLE orders")
    before = stack.started(web)

    result = operate(
        "restore",
        restore_confirm="shop",
        restore_target_time=moment,
        restore_volumes=False,
        # The restored data brings the old password back; today's has to win.
        secret_postgres_application="password-of-today",
    )

    assert result.returncode == 0, result.stdout
    assert stack.sql("SELECT count(*), max(text), min(text) FROM orders") == "1500|in the backup|after the backup"
    assert stack.sql("SELECT pg_is_in_recovery()") == "f"
    assert stack.application("password-of-today", "SELECT 1").stdout.strip() == "1"
    assert stack.started(web) > before
    assert "password-of-today" not in result.stdout
    assert PASSPHRASE not in result.stdout
    assert stack.files() == files
    stack.wait(lambda: stack.health() == "healthy")

    kept = "docker exec %s ls /var/lib/postgresql/17"
    assert "main.before-" in host.check_output(kept, DATABASE)
    assert operate("restore_cleanup").returncode == 0
    assert host.check_output(kept, DATABASE) == "main"


def test_files_come_back_as_they_were_at_the_time_and_the_later_ones_are_kept(host, stack: Stack, operate) -> None:
    stack.sql("CREATE TABLE pictures AS SELECT 'changed.jpg' AS name")
    stack.write("changed.jpg", "original")
    stack.write("albums/1/deleted.jpg", "not deleted", mode="0640")
    host.check_output(f"mkdir {MEDIA}/empty && chown 10003:10003 {MEDIA}/empty")
    stack.back_up(VOLUMES)
    stack.back_up()
    expected = stack.files()
    moment = stack.time()
    stack.sql("DROP TABLE pictures")
    stack.write("changed.jpg", "defaced")
    host.check_output(f"rm -r {MEDIA}/albums {MEDIA}/empty")
    stack.write("added/later.jpg", "later")
    # This backup is newer than the wished time and must not be chosen.
    stack.back_up(VOLUMES)
    taken = len(stack.backups(VOLUMES))

    result = operate("restore", restore_confirm="shop", restore_target_time=moment)

    assert result.returncode == 0, result.stdout
    assert stack.sql("SELECT name FROM pictures") == "changed.jpg"
    assert stack.files() == expected
    assert expected["changed.jpg"] == ("10003 600", "original")
    assert host.file(f"{MEDIA}/empty").is_directory
    assert host.file(MEDIA).uid == 10003
    stack.wait(lambda: stack.health(VOLUMES) == "healthy")

    (kept,) = host.check_output(f"ls -d {MEDIA}/.before-*").split()
    assert host.check_output("cat %s/added/later.jpg %s/changed.jpg", kept, kept) == "laterdefaced"
    image = host.check_output("docker inspect -f '{{.Config.Image}}' %s", VOLUMES)
    nginx = f"docker run --rm --user 10004:10004 -v shop-media:/srv/media:ro {image} ls"
    assert host.run(f"{nginx} /srv/media").rc == 0
    assert "Permission denied" in host.run(f"{nginx} /srv/media/{Path(kept).name}").stderr
    # The last backup was of the files that have been replaced, so there is another one.
    stack.wait(lambda: len(stack.backups(VOLUMES)) > taken)
    listed = host.check_output("docker exec %s restic --no-lock --no-cache ls latest", VOLUMES)
    assert "changed.jpg" in listed
    assert ".before" not in listed

    result = operate("restore_cleanup")
    assert result.returncode == 0, result.stdout
    assert f"media/{Path(kept).name}" in result.stdout
    assert host.run(f"ls -d {MEDIA}/.before-* {MEDIA}/.broadcast-restore").rc != 0
    assert stack.files() == expected


def test_whatever_can_be_backed_up_comes_back_with_a_named_backup_after_the_data_was_lost(
    host, stack: Stack, web: str, operate
) -> None:
    image = host.check_output("docker inspect -f '{{.Config.Image}}' %s", VOLUMES)
    # As the application has them: Docker makes the mount point of the inner one, as root.
    nested = "-v shop-shop:/srv/shop -v shop-media:/srv/shop/media"
    host.check_output(f"docker run --rm --user 10003:10003 {nested} {image} true")
    assert host.file(f"{SHOP}/media").uid == 0
    host.check_output("python3 -c %s %s", MAKE, SHOP)
    stack.write("nested.txt", "in the inner volume")
    # Beside the data directory, where a tablespace of the live data is.
    host.check_output("docker exec %s mkdir -p /var/lib/postgresql/fast", DATABASE)
    stack.sql("CREATE TABLESPACE fast LOCATION '/var/lib/postgresql/fast'")
    stack.sql("CREATE TABLE kept TABLESPACE fast AS SELECT 'kept' AS text")

    def look(folder: str) -> dict:
        return json.loads(host.check_output("python3 -c %s %s", LOOK, folder))

    expected, media = look(SHOP), stack.files()
    assert len(expected) > 30
    stack.back_up(VOLUMES)
    stack.back_up()
    label = stack.backups()[-1]["label"]
    host.check_output(f"cd {SHOP} && rm -r read-only away holes && chmod 0700 shared && echo defaced > program")
    host.check_output(f"find {MEDIA} -mindepth 1 -delete")
    stack.sql("DROP TABLE kept")
    host.check_output("docker kill %s", DATABASE)
    host.check_output("rm -r /var/lib/docker/volumes/shop-postgres/_data/17/main/base")

    result = operate("restore", restore_confirm="shop", restore_backup=label)

    assert result.returncode == 0, result.stdout
    assert stack.sql("SELECT text FROM kept") == "kept"
    assert look(SHOP) == expected
    assert stack.files() == media
    assert host.check_output(f"ls -A {EMPTY} | grep -v .before-2 || true") == ""
    assert int(host.check_output(f"stat -c %b {SHOP}/holes")) < 2048
    host.check_output(f"docker run --rm --user 10003:10003 {nested} {image} cat /srv/shop/media/nested.txt")
    # The user of the files looks into what was kept.
    (kept,) = host.check_output(f"cd {SHOP} && ls -d .before-2*").split()
    seen = f"docker run --rm --user 10003:10003 {nested} {image} cat /srv/shop/{kept}/program"
    assert host.check_output(seen) == "defaced"
    # All of it is read and written by the backups' own user once more.
    stack.back_up(VOLUMES)
    stack.wait(lambda: stack.health(VOLUMES) == "healthy")

    result = operate("restore_cleanup")
    assert result.returncode == 0, result.stdout
    assert look(SHOP) == expected
    assert host.run(f"ls -d {SHOP}/.before-2* {SHOP}/.broadcast*").rc != 0
    assert host.run("docker exec %s ls /var/lib/postgresql/fast", DATABASE).rc != 0
    assert stack.sql("SELECT text FROM kept") == "kept"
    host.check_output(f"find {SHOP} -mindepth 1 -delete")


@pytest.mark.parametrize("backups_run", [False, True], ids=["before the backups run", "beside the backups"])
def test_lost_host_comes_back_from_copied_repositories(
    host, stack: Stack, play: Playbook, scenario: Path, converge, operate, backups_run: bool
) -> None:
    stack.sql("CREATE TABLE IF NOT EXISTS survivors (name text)")
    stack.sql("INSERT INTO survivors VALUES ('row')")
    stack.write("survivor.txt", "file")
    for name in (VOLUMES, BACKUPS):
        stack.back_up(name)
    files, rows, taken = stack.files(), stack.sql("SELECT count(*) FROM survivors"), stack.backups(VOLUMES)

    # What another host does not have; the repositories are copied there, by the documented commands.
    host.check_output(f"docker rm -f {BACKUPS} {VOLUMES} {DATABASE}")
    host.check_output("docker volume rm shop-postgres shop-postgres-socket")
    host.check_output(f"find {MEDIA} -mindepth 1 -delete && rm -r /opt/shop")
    if not backups_run:
        # The application, which makes its volumes, is deployed after the restore.
        host.check_output("docker volume rm shop-media shop-shop shop-empty")
    for path in (REPOSITORY, VOLUMES_REPOSITORY):
        volume = Path(path).parent.name
        create = f"docker volume create --label broadcast.stack.name=shop {volume}"
        host.check_output(f"cp -a {path} /root/copy && docker volume rm {volume} && {create}")
        host.check_output(f"cp -aT /root/copy {path} && rm -r /root/copy")
    if backups_run:
        # A backup of the volumes is due at once, and would be the newest.
        result = converge(backups_differential_schedule="* * * * *")
        assert result.returncode != 0
        assert "the repository is of another database; restore it" in " ".join(result.stdout.split())
        stack.wait(lambda: stack.health(VOLUMES) == "unhealthy")
        assert "the volumes are empty" in host.run("docker exec %s backups health", VOLUMES).stderr
        assert stack.backups(VOLUMES) == taken
    else:
        result = play(scenario / "converge.yml", INVENTORY, "--skip-tags=backups")
        assert result.returncode == 0, result.stdout

    result = operate("restore", restore_confirm="shop")

    assert result.returncode == 0, result.stdout
    assert stack.sql("SELECT count(*) FROM survivors") == rows
    assert stack.files() == files
    # As the application's role does with a volume of root's.
    host.check_output(f"chown 10003:10003 {MEDIA} {SHOP} {EMPTY}")
    result = converge()
    assert result.returncode == 0, result.stdout
    for name in (BACKUPS, VOLUMES):
        stack.wait(lambda name=name: stack.health(name) == "healthy")
        stack.back_up(name)


def test_old_data_is_put_back_when_the_log_cannot_be_replayed(host, stack: Stack, web: str, operate) -> None:
    stack.back_up()
    stack.sql("CREATE TABLE latest AS SELECT 'latest' AS text")
    moment = stack.time()
    stack.sql("INSERT INTO latest VALUES ('even later')")
    stack.write("latest.txt", "latest")
    files = stack.files()
    last = stack.sql("SELECT pg_walfile_name(pg_switch_wal())")
    archive = f"{REPOSITORY}/archive/main/17-1"
    segment = last[:16]
    # What is archived later would lie in a new folder, and be found.
    # The database tells, not the folder: a file that is still being written has a name there already.
    stack.wait(lambda: stack.sql(f"SELECT last_archived_wal >= '{last}' COLLATE \"C\" FROM pg_stat_archiver") == "t")
    host.check_output(f"mv {archive}/{segment} {archive}/aside")
    try:
        result = operate("restore", restore_confirm="shop", restore_target_time=moment)
    finally:
        host.check_output(
            f"mkdir -p {archive}/{segment}; cp -rp {archive}/aside/. {archive}/{segment}; rm -r {archive}/aside"
        )
    assert result.returncode != 0
    answer = " ".join(result.stdout.split())
    assert "FATAL" in answer
    assert "the old data is back in its place" in answer
    assert "the old files are back in their place" in answer
    assert stack.files() == files
    assert stack.sql("SELECT count(*) FROM latest") == "2"
    assert host.docker(web).is_running


def test_wrong_input_is_refused_before_anything_changes(stack: Stack, converge) -> None:
    before = stack.started(BACKUPS)
    result = converge(
        backups_cipher_pass="short",
        backups_full_schedule="daily",
        backups_maximum_age_hours=0,
        backups_volumes={"Media": "shop-media"},
        backups_volumes_user="www-data",
        backups_volumes_repository_volume="",
    )
    assert result.returncode != 0
    answer = " ".join(result.stdout.split())
    for message in (
        "backups_cipher_pass: must have at least 16 characters",
        "backups_full_schedule: 'daily' is not a cron expression",
        "must be at least 1",
        "backups_volumes: names are made of",
        "backups_volumes_user: 'www-data' is no uid:gid in numbers",
        "backups_volumes_repository_volume: backups_volumes need a volume",
    ):
        assert message in answer
    result = converge(backups_volumes={"media": "shop-medai"})
    assert result.returncode != 0
    assert "there is no shop-medai on" in " ".join(result.stdout.split())
    assert stack.started(BACKUPS) == before
