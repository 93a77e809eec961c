import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import Environment

BACKEND = Path(__file__).resolve().parents[1]
REQUIRED = ["CACHE_URL", "CELERY_BROKER_URL", "DATABASE_URL", "DJANGO_ALLOWED_HOSTS", "DJANGO_SECRET_KEY"]


def manage(*arguments: str, env: dict[str, str], cwd: Path = BACKEND) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BACKEND / "manage.py", *arguments],
        env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def problem(env: Environment) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        env.verify()
    return str(caught.value)


def test_start_names_every_missing_variable_at_once() -> None:
    result = manage("check", env={})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert [name for name in REQUIRED if name not in last] == []


def test_debug_needs_no_allowed_hosts() -> None:
    last = manage("check", env={"DJANGO_DEBUG": "1"}).stderr.strip().splitlines()[-1]
    assert "DJANGO_SECRET_KEY" in last
    assert "DJANGO_ALLOWED_HOSTS" not in last


def test_missing_and_wrong_variables_are_reported_together() -> None:
    env = {"DJANGO_DEBUG": "maybe", "EMAIL_PORT": "smtp", "DATABASE_URL": "mysql://root:hunter2@db/x"}
    error = manage("check", env=env).stderr
    last = error.strip().splitlines()[-1]
    for expected in (
        "DJANGO_DEBUG: expected 1 or 0",
        "EMAIL_PORT: expected a number",
        "DATABASE_URL: expected postgresql",
    ):
        assert expected in last
    assert "CACHE_URL" in last
    assert "hunter2" not in error


def test_secret_is_read_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret \n")
    assert Environment({"KEY_FILE": str(file)}).required("KEY") == "s3cret "


def test_variable_and_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("b")
    env = Environment({"KEY": "a", "KEY_FILE": str(file)})
    env.text("KEY")
    assert "KEY and KEY_FILE are both set" in problem(env)


def test_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("b")
    assert Environment({"KEY": "", "KEY_FILE": str(file)}).text("KEY") == "b"


def test_empty_secret_file_counts_as_missing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch()
    env = Environment({"KEY_FILE": str(file)})
    env.required("KEY")
    assert env.missing == ["KEY"]


def test_unreadable_file_is_named_once() -> None:
    env = Environment({"KEY_FILE": "/nowhere/key"})
    env.required("KEY")
    assert env.missing == []
    assert "KEY_FILE: cannot read /nowhere/key: No such file or directory" in problem(env)


def test_unreadable_file_of_a_url_is_one_problem() -> None:
    env = Environment({"DATABASE_URL_FILE": "/nowhere/a", "CACHE_URL_FILE": "/nowhere/b"})
    env.database("DATABASE_URL")
    env.redis("CACHE_URL")
    assert len(env.invalid) == 2


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("TRUE", True), ("off", False), ("0", False), ("", True)])
def test_boolean(value: str, expected: bool) -> None:
    assert Environment({"X": value}).boolean("X", default=True) is expected


def test_numbers_have_a_minimum() -> None:
    env = Environment({"X": "0", "Y": "2.5", "Z": "nan"})
    assert env.integer("X", 7, minimum=1) == 7
    assert env.decimal("Y", 1) == 2.5
    assert env.decimal("Z", 1) == 1
    assert len(env.invalid) == 2


def test_list_ignores_spaces_and_empty_items() -> None:
    assert Environment({"X": " a, ,b,"}).list("X") == ["a", "b"]


def test_database_url_is_decoded() -> None:
    env = Environment({"DB": "postgresql://us%40er:p%2Fw%3A%23@db.example:6432/na%20me?sslmode=verify-full"})
    assert env.database("DB") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "na me",
        "USER": "us@er",
        "PASSWORD": "p/w:#",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {"connect_timeout": "5", "sslmode": "verify-full"},
    }


def test_database_url_may_name_a_socket_directory() -> None:
    database = Environment({"DB": "postgresql:///name?host=/var/run/postgresql"}).database("DB")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("/var/run/postgresql", "", "name")


@pytest.mark.parametrize(
    "url", ["postgresql://db", "postgresql://db:port/x", "http://db/x", "postgresql://[::1/x", "x"]
)
def test_wrong_database_url_is_refused(url: str) -> None:
    env = Environment({"DB": url})
    assert env.database("DB") == {}
    assert "DB: expected postgresql://" in problem(env)


@pytest.mark.parametrize("command", [["check"], ["collectstatic", "--noinput"]])
def test_image_build_needs_no_secrets(command: list[str], tmp_path: Path) -> None:
    env = {"DJANGO_BUILD": "1", "DJANGO_STATIC_ROOT": str(tmp_path / "static")}
    result = manage(*command, env=env)
    assert result.returncode == 0, result.stderr
    if command[0] == "collectstatic":
        assert (tmp_path / "static" / "staticfiles.json").exists()


def test_check_deploy_is_clean(process_environment: dict[str, str]) -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", env=process_environment)
    assert result.returncode == 0, result.stderr


@pytest.mark.django_db
def test_migrations_are_complete(process_environment: dict[str, str]) -> None:
    result = manage("makemigrations", "--check", "--dry-run", env=process_environment)
    assert result.returncode == 0, result.stdout


def test_schema_describes_everything(process_environment: dict[str, str]) -> None:
    result = manage("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null", env=process_environment)
    assert result.returncode == 0, result.stderr


def test_manage_works_in_any_directory_and_leaves_nothing_there(
    tmp_path: Path, process_environment: dict[str, Any]
) -> None:
    here = tmp_path / "elsewhere"
    here.mkdir()
    result = manage("check", env=process_environment, cwd=here)
    assert result.returncode == 0, result.stderr
    assert list(here.iterdir()) == []
