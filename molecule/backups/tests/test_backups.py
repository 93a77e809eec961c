"""What an operator relies upon: backups are taken, encrypted, watched, and bring the data back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DATABASE, BACKUPS, WEB = "shop-postgres", "shop-backups", "shop-web"
PASSPHRASE = "molecule-passphrase-of-the-repository"
REPOSITORY = "/var/lib/docker/volumes/shop-backups/_data"


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

    def back_up(self) -> None:
        self.host.check_output("docker exec %s backups now --type=incr", BACKUPS)

    def backups(self) -> list[dict]:
        return json.loads(self.host.check_output("docker exec %s backups list", BACKUPS))

    def health(self) -> str:
        return self.host.check_output("docker inspect -f '{{.State.Health.Status}}' %s", BACKUPS)

    def wait(self, what, seconds: int = 120) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.host.run("docker logs --tail 30 %s", BACKUPS).stderr
            time.sleep(3)

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
    stack.wait(lambda: stack.backups())
    assert stack.backups()[0]["type"] == "full"
    stack.wait(lambda: stack.health() == "healthy")


def test_backup_on_demand_says_what_was_written(stack: Stack, operate) -> None:
    stack.sql("CREATE TABLE before AS SELECT 'before the backup' AS text")
    result = operate("backup", backup_type="incr")
    assert result.returncode == 0, result.stdout
    latest = stack.backups()[-1]
    assert latest["type"] == "incr"
    for shown in (f"label: {latest['label']}", "seconds:", "database_mb:", "repository_mb:"):
        assert shown in result.stdout


def test_schedule_takes_backups_by_itself(host, stack: Stack, converge) -> None:
    result = converge(backups_differential_schedule="* * * * *")
    assert result.returncode == 0, result.stdout
    stack.wait(lambda: any(backup["type"] == "diff" for backup in stack.backups()), seconds=150)
    result = converge()
    assert result.returncode == 0, result.stdout


def test_repository_is_encrypted(host, stack: Stack) -> None:
    stack.sql("CREATE TABLE canary AS SELECT repeat('readable-canary', 100) AS text FROM generate_series(1, 100)")
    stack.sql("SELECT pg_switch_wal()")
    host.check_output("docker exec %s backups now --type=diff", BACKUPS)
    assert host.run(f"grep -rqE 'readable-canary|backrest-checksum|system-id' {REPOSITORY}").rc == 1
    assert host.check_output(f"head -c 8 {REPOSITORY}/backup/main/backup.info") == "Salted__"


def test_backups_can_neither_write_the_data_nor_shows_anything_the_passphrase(host) -> None:
    assert "Read-only file system" in host.run("docker exec %s touch /var/lib/postgresql/x", BACKUPS).stderr
    seen = host.check_output("docker inspect %s %s && docker logs %s 2>&1 && ps axww", DATABASE, BACKUPS, BACKUPS)
    assert PASSPHRASE not in seen
    keepers = host.check_output("grep -rlF -- %s /opt/shop /var/lib/docker/containers", PASSPHRASE).split()
    assert sorted(keepers) == [
        f"/opt/shop/containers/{name}/secrets/pgbackrest-cipher.conf" for name in (BACKUPS, DATABASE)
    ]
    for path in keepers:
        file = host.file(path)
        assert (file.mode, file.uid) == (0o400, 10001)


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
    assert "Confirm with -e restore_confirm=shop" in " ".join(refused.stdout.split())
    for target, reason in (("2001-01-01 00:00:00+00:00", "the oldest backup ends at"), ("noon", "is no time such as")):
        refused = operate("restore", restore_confirm="shop", restore_target_time=target)
        assert refused.returncode != 0
        assert reason in " ".join(refused.stdout.split())
    assert stack.started(DATABASE) == before


def test_destroyed_table_comes_back_and_everything_serves_again(host, stack: Stack, web: str, operate) -> None:
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
    stack.wait(lambda: stack.health() == "healthy")

    kept = "docker exec %s ls /var/lib/postgresql/17"
    assert "main.before-" in host.check_output(kept, DATABASE)
    assert operate("restore_cleanup").returncode == 0
    assert host.check_output(kept, DATABASE) == "main"


def test_state_of_a_named_backup_can_be_restored_after_the_data_was_lost(host, stack: Stack, operate) -> None:
    stack.sql("CREATE TABLE kept AS SELECT 'kept' AS text")
    stack.back_up()
    label = stack.backups()[-1]["label"]
    stack.sql("DROP TABLE kept")
    host.check_output("docker kill %s", DATABASE)
    host.check_output("rm -r /var/lib/docker/volumes/shop-postgres/_data/17/main/base")

    result = operate("restore", restore_confirm="shop", restore_backup=label)

    assert result.returncode == 0, result.stdout
    assert stack.sql("SELECT text FROM kept") == "kept"


def test_old_data_is_put_back_when_the_log_cannot_be_replayed(host, stack: Stack, web: str, operate) -> None:
    stack.back_up()
    stack.sql("CREATE TABLE latest AS SELECT 'latest' AS text")
    moment = stack.time()
    stack.sql("INSERT INTO latest VALUES ('even later')")
    stack.sql("SELECT pg_switch_wal()")
    archive = f"{REPOSITORY}/archive/main/17-1"
    segment = stack.sql("SELECT last_archived_wal FROM pg_stat_archiver")[:16]
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
    assert stack.sql("SELECT count(*) FROM latest") == "2"
    assert host.docker(web).is_running


def test_wrong_input_is_refused_before_anything_changes(stack: Stack, converge) -> None:
    before = stack.started(BACKUPS)
    result = converge(backups_cipher_pass="short", backups_full_schedule="daily", backups_maximum_age_hours=0)
    assert result.returncode != 0
    answer = " ".join(result.stdout.split())
    for message in (
        "backups_cipher_pass: must have at least 16 characters",
        "backups_full_schedule: 'daily' is not a cron expression",
        "must be at least 1",
    ):
        assert message in answer
    assert stack.started(BACKUPS) == before
