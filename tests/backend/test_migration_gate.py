"""The gate of a release, on tiny Django projects: SQLite for what it says, the PostgreSQL at hand for what it does.

Programs of the role are taken from RELEASE_PROGRAMS when this file is not in its repository.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

PROGRAMS = Path(
    os.environ.get("RELEASE_PROGRAMS") or Path(__file__).resolve().parents[2] / "roles" / "django_web" / "files"
)
LOCK = (1651666785, 4)
MIGRATE = [sys.executable, "-m", "django", "migrate", "--no-input"]
PASSWORD = "not-to-be-seen"

SETTINGS = """
print("settings are being read")
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = {applications}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {{"default": {database}}}
"""
INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Maker", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel("Item", [
            ("id", models.BigAutoField(primary_key=True)),
            ("colour", models.CharField(max_length=20, null=True)),
            ("size", models.IntegerField(default=0)),
            ("price", models.DecimalField(max_digits=8, decimal_places=2, default=0)),
            ("number", models.IntegerField(null=True)),
            ("fixed", models.IntegerField(db_column="kept", null=True)),
            ("maker", models.ForeignKey("shop.Maker", models.CASCADE, null=True)),
            ("makers", models.ManyToManyField("shop.Maker", related_name="+")),
        ]),
        migrations.CreateModel("Shadow", [("id", models.BigAutoField(primary_key=True))], options={"managed": False}),
    ]
"""
MIGRATION = """
import django.contrib.postgres.operations
from django.db import migrations, models
from django.db.models import Q

def fill(apps, schema_editor):
    pass

class Migration(migrations.Migration):
    dependencies = [("shop", "{before}")]
    {attributes}
    operations = [
        {operations}
    ]
"""


def renamed(text: str, application: str) -> str:
    """What is written about the application shop, about another one."""
    return re.sub(r"\bshop(?=[._\"'])", application, text)


@dataclasses.dataclass
class Project:
    """A Django project, of which one application changes."""

    folder: Path
    last: str = "0001_initial"
    application: str = "shop"
    database: dict[str, str] = dataclasses.field(default_factory=dict)

    def run(self, *command: str, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**known, "DJANGO_SETTINGS_MODULE": "settings", **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def add(self, name: str, *operations: str, attributes: str = "") -> None:
        lines = "\n        ".join(f"{operation}," for operation in operations)
        text = renamed(MIGRATION.format(before=self.last, operations=lines, attributes=attributes), self.application)
        (self.folder / self.application / "migrations" / f"{name}.py").write_text(text)
        self.last = name

    def inspect(self, **options: str) -> dict:
        return json.loads(self.run(sys.executable, str(PROGRAMS / "migrations.py"), "inspect", **options).stdout)

    def second(self, *operations: str, attributes: str = "") -> dict:
        """What is said about a second migration of these operations."""
        self.add("0002_second", *operations, attributes=attributes)
        (found,) = self.inspect()["pending"]
        return found

    def release_file(self, *commands: list[str], **gate: object) -> str:
        keys = {"name": "", "working_dir": str(self.folder), "timeout": 60, "env": {}, "once": False}
        wished = {"lock_seconds": 5, "lock_timeout_ms": 1000, "maintenance_window": False, "restore_point": ""}
        content = {"commands": [{**keys, "command": command} for command in commands], "static": None}
        path = self.folder / "release.json"
        path.write_text(json.dumps({**content, "gate": {**wished, **gate}}))
        return str(path)

    def release(self, *commands: list[str], code: int = 0, **gate: object) -> str:
        path = self.release_file(*(commands or (MIGRATE,)), **gate)
        return self.run(sys.executable, str(PROGRAMS / "release.py"), path, code=code).stdout


def result(output: str) -> dict:
    last = output.splitlines()[-1]
    assert last.startswith("RELEASE-RESULT ")
    return json.loads(last.removeprefix("RELEASE-RESULT "))


def make(folder: Path, database: dict, applications: tuple[str, ...] = ("shop",)) -> Project:
    for application in applications:
        (folder / application / "migrations").mkdir(parents=True)
        for name in (application, f"{application}/migrations"):
            (folder / name / "__init__.py").touch()
        (folder / application / "migrations" / "0001_initial.py").write_text(renamed(INITIAL, application))
    (folder / "settings.py").write_text(SETTINGS.format(database=database, applications=list(applications)))
    return Project(folder)


# In the working directory.
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "db"}


@pytest.fixture
def new(tmp_path: Path) -> Project:
    return make(tmp_path, SQLITE)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    make(folder, SQLITE).run(*MIGRATE)
    return folder


@pytest.fixture
def project(migrated: Path, tmp_path: Path) -> Project:
    """A project whose first migration is applied."""
    return Project(Path(shutil.copytree(migrated, tmp_path, dirs_exist_ok=True)))


# What it says ---------------------------------------------------------------------------------------------------------

RUN_SQL = "migrations.RunSQL(%r)"
ALTER = "migrations.AlterField('item', '%s', models.%s)"
ADD = "migrations.AddField('item', 'new', models.%s)"


FATAL = [
    ("migrations.DeleteModel('Item')", "drops table shop_item"),
    ("migrations.RemoveField('item', 'colour')", "drops column shop_item.colour"),
    ("migrations.RemoveField('item', 'maker')", "drops column shop_item.maker_id"),
    ("migrations.RemoveField('item', 'makers')", "drops the table of shop_item.makers"),
    ("migrations.RenameModel('Item', 'Thing')", "renames table shop_item to shop_thing"),
    ("migrations.RenameField('item', 'colour', 'tint')", "renames column shop_item.colour to tint"),
    ("migrations.AlterModelTable('item', 'things')", "renames table shop_item to things"),
    (ADD % "IntegerField(default=1)", "adds shop_item.new, NOT NULL without db_default"),
    (ADD % "ForeignKey('shop.Maker', models.CASCADE, default=1)", "adds shop_item.new_id, NOT NULL"),
    (ALTER % ("colour", "CharField(max_length=20, default='')"), "makes shop_item.colour NOT NULL"),
    (ALTER % ("colour", "IntegerField(null=True)"), "changes the type of shop_item.colour from varchar(20)"),
    (ALTER % ("colour", "CharField(max_length=10, null=True)"), "from varchar(20) to varchar(10)"),
    (ALTER % ("colour", "CharField(max_length=20, null=True, unique=True)"), "makes shop_item.colour unique"),
    (ALTER % ("colour", "CharField(max_length=20, null=True, db_column='c')"), "renames shop_item.c"),
    (
        "migrations.AddConstraint('item', models.UniqueConstraint(fields=['size'], name='one'))",
        "adds constraint one to shop_item",
    ),
    ("migrations.AlterUniqueTogether('item', {('size', 'colour')})", "makes size, colour of shop_item unique"),
    ("migrations.AlterOrderWithRespectTo('item', 'maker')", "adds column shop_item._order"),
    (RUN_SQL % "ALTER TABLE shop_item DROP COLUMN colour", "runs SQL with DROP"),
    (RUN_SQL % "alter table shop_item rename to x", "runs SQL with RENAME"),
    (RUN_SQL % "ALTER TABLE shop_item ALTER COLUMN size SET DATA TYPE bigint", "runs SQL with ALTER ... TYPE"),
    (RUN_SQL % [("ALTER TABLE x ALTER y SET NOT NULL", None)], "runs SQL with SET NOT NULL"),
    (
        "migrations.SeparateDatabaseAndState(database_operations=[migrations.RemoveField('item', 'colour')])",
        "drops column shop_item.colour",
    ),
]
HARMLESS = [
    ADD % "IntegerField(null=True)",
    ADD % "IntegerField(db_default=1)",
    ADD % "ManyToManyField('shop.Maker')",
    ALTER % ("colour", "CharField(max_length=40, null=True)"),
    ALTER % ("colour", "CharField(max_length=20, null=True, help_text='new')"),
    ALTER % ("price", "DecimalField(max_digits=10, decimal_places=2, default=0)"),
    ALTER % ("size", "IntegerField(null=True)"),
    "migrations.RenameField('item', 'fixed', 'other')",
    "migrations.AddIndex('item', models.Index(fields=['size'], name='by_size'))",
    "migrations.AlterModelOptions('item', {'verbose_name': 'x'})",
    "migrations.CreateModel('Shelf', [('id', models.BigAutoField(primary_key=True))])",
    "migrations.DeleteModel('Shadow')",
    "migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField('item', 'colour')])",
    "migrations.RunPython(migrations.RunPython.noop)",
    "migrations.RunSQL('-- DROP TABLE of a comment')",
]
APPLICATIONS = {operation: f"shop{number}" for number, operation in enumerate([*(one for one, _ in FATAL), *HARMLESS])}


@pytest.fixture(scope="session")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """
    Application -> what is said about its second migration, which is one of the operations above. They are looked at by
    one process, since Django takes longer to start than for all of them.
    """
    project = make(tmp_path_factory.mktemp("looked-at"), SQLITE, tuple(APPLICATIONS.values()))
    project.run(*MIGRATE)
    for operation, application in APPLICATIONS.items():
        Project(project.folder, application=application).add("0002_second", operation)
    return {one["app"]: one for one in project.inspect()["pending"]}


@pytest.mark.parametrize(("operation", "reason"), FATAL)
def test_what_the_running_release_would_not_survive(looked_at: dict[str, dict], operation: str, reason: str) -> None:
    found = looked_at[APPLICATIONS[operation]]
    assert len(found["breaking"]) == 1, found
    assert renamed(reason, APPLICATIONS[operation]) in found["breaking"][0]
    assert found["unknown"] == []


@pytest.mark.parametrize("operation", HARMLESS)
def test_what_it_does_survive(looked_at: dict[str, dict], operation: str) -> None:
    found = looked_at[APPLICATIONS[operation]]
    assert (found["breaking"], found["unknown"]) == ([], [])


def test_what_cannot_be_known_is_named(project: Project) -> None:
    found = project.second(
        "migrations.RunPython(fill)", RUN_SQL % "UPDATE shop_item SET size = 1; DROP INDEX CONCURRENTLY x"
    )
    assert (found["breaking"], found["unknown"]) == ([], ["runs Python: fill", "runs SQL"])


def test_a_field_that_is_not_understood_is_named(project: Project) -> None:
    field = "type('Odd', (models.TextField,), {'db_type': lambda self, connection: 1 / 0})()"
    found = project.second(f"migrations.AddField('item', 'new', {field})")
    assert found["breaking"] == []
    assert found["unknown"][0].startswith("AddField is not understood (ZeroDivisionError in ")


def test_models_that_are_created_in_the_same_plan_may_change(project: Project) -> None:
    project.add("0002_new", "migrations.CreateModel('Shelf', [('id', models.BigAutoField(primary_key=True))])")
    project.add(
        "0003_more",
        "migrations.AddField('shelf', 'width', models.IntegerField(default=1))",
        "migrations.RenameModel('Shelf', 'Rack')",
        "migrations.RemoveField('rack', 'width')",
    )
    assert [one["breaking"] for one in project.inspect()["pending"]] == [[], []]


def test_nothing_breaks_in_an_empty_database(new: Project) -> None:
    new.add("0002_second", "migrations.RemoveField('item', 'colour')", RUN_SQL % "DROP TABLE IF EXISTS other")
    found = new.inspect()
    assert [one["breaking"] for one in found["pending"]] == [[], []]
    assert found["heads"] == {}


def test_an_author_may_declare_it_safe(project: Project) -> None:
    found = project.second("migrations.RemoveField('item', 'colour')", attributes="release_safe = 'unused since 4'")
    assert (found["breaking"], found["safe"]) == ([], "unused since 4")
    assert found["declared"] == ["drops column shop_item.colour"]


def test_heads_are_what_the_database_has(project: Project) -> None:
    project.add("0002_second")
    assert project.inspect()["heads"] == {"shop": "0001_initial"}


def test_without_settings_it_is_no_django_project(project: Project) -> None:
    assert project.inspect(DJANGO_SETTINGS_MODULE="") == {"django": False}


def test_settings_may_be_named_by_manage(project: Project) -> None:
    (project.folder / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")')
    assert project.inspect(DJANGO_SETTINGS_MODULE="")["django"] is True


def test_errors_of_settings_are_not_quoted(project: Project) -> None:
    (project.folder / "settings.py").write_text(f"raise ValueError('postgresql://me:{PASSWORD}@there/db')")
    done = project.run(sys.executable, str(PROGRAMS / "migrations.py"), "inspect", code=1)
    assert "ValueError in " in json.loads(done.stdout)["error"]
    assert "settings.py, line 1" in done.stdout


# What it does ---------------------------------------------------------------------------------------------------------


def administration() -> str:
    """The superuser's connection to the database postgres."""
    url = os.environ.get("DATABASE_URL") or Path(os.environ["DATABASE_URL_FILE"]).read_text().strip()
    return urlsplit(url)._replace(path="/postgres").geturl()


@contextlib.contextmanager
def made(admin: psycopg.Connection, template: str, owner: str) -> Iterator[dict[str, str]]:
    """A database of its own on the PostgreSQL at hand, whose owner may do little else."""
    name = f"gate_{secrets.token_hex(4)}"
    create = "CREATE DATABASE {} OWNER {} TEMPLATE {}"
    admin.execute(sql.SQL(create).format(*map(sql.Identifier, (name, owner, template))))
    parts = urlsplit(administration())
    yield {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "NAME": name,
        "USER": owner,
        "PASSWORD": PASSWORD,
    }
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def admin() -> Iterator[psycopg.Connection]:
    with psycopg.connect(administration(), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, admin: psycopg.Connection) -> Iterator[Project]:
    """A project whose first release is in the database, of which tests have copies."""
    owner = f"gate_{secrets.token_hex(4)}"
    create = "CREATE ROLE {} LOGIN PASSWORD {}"
    admin.execute(sql.SQL(create).format(sql.Identifier(owner), sql.Literal(PASSWORD)))
    with made(admin, "template1", owner) as database:
        project = make(tmp_path_factory.mktemp("first"), database)
        output = project.release()
        assert "migrations: 1 pending" in output
        assert [one["name"] for one in result(output)["applied"]] == ["0001_initial"]
        yield dataclasses.replace(project, database=database)
    admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(owner)))
    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))


@pytest.fixture
def database(admin: psycopg.Connection, first: Project) -> Iterator[dict[str, str]]:
    with made(admin, first.database["NAME"], first.database["USER"]) as database:
        yield database


@pytest.fixture
def connect(database: dict[str, str]) -> Callable[..., psycopg.Connection]:
    def open_one(**options: str) -> psycopg.Connection:
        return psycopg.connect(
            host=database["HOST"],
            port=database["PORT"],
            dbname=database["NAME"],
            user=database["USER"],
            password=PASSWORD,
            autocommit=True,
            **options,
        )

    return open_one


@pytest.fixture
def served(tmp_path: Path, first: Project, database: dict[str, str]) -> Project:
    """A project whose first release is in the database."""
    folder = shutil.copytree(first.folder, tmp_path, dirs_exist_ok=True)
    (folder / "settings.py").write_text(SETTINGS.format(database=database, applications=["shop"]))
    return Project(folder)


def test_nothing_pending_runs_the_commands_as_ever(served: Project, connect: Callable) -> None:
    with connect() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", LOCK)
        output = served.release([sys.executable, "-c", "import os; print('PGOPTIONS' in os.environ)"])
    assert "migrations: none pending" in output
    assert "False" in output.splitlines()
    assert result(output) == {"applied": [], "heads": {"shop": "0001_initial"}, "restore_point": ""}


def test_a_harmless_migration_is_applied_and_told(served: Project) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)", "migrations.RunPython(fill)")
    output = served.release()
    assert "  shop.0002_wide" in output
    assert "runs Python: fill (not analysed)" in output
    told = result(output)
    assert told["applied"] == [{"app": "shop", "name": "0002_wide", "breaking": [], "declared": []}]
    assert told["heads"] == {"shop": "0002_wide"}


def test_a_breaking_one_is_refused_before_anything_runs(served: Project) -> None:
    served.add("0002_drop", "migrations.RemoveField('item', 'colour')")
    output = served.release([sys.executable, "-c", "print('has run')"], code=1)
    assert "has run" not in output
    assert "shop.0002_drop drops column shop_item.colour" in output
    assert "two steps" in output
    assert "release_maintenance_window=true" in output


def test_a_maintenance_window_lets_it_through(served: Project) -> None:
    served.add("0002_drop", "migrations.RemoveField('item', 'colour')")
    told = result(served.release(maintenance_window=True))
    assert told["applied"][0]["breaking"] == ["drops column shop_item.colour"]


def test_what_was_applied_before_a_failure_is_told(served: Project) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)")
    output = served.release(MIGRATE, [sys.executable, "-c", "raise SystemExit(3)"], code=1)
    assert "exit code 3" in output
    assert [one["name"] for one in result(output)["applied"]] == ["0002_wide"]


def test_the_lock_is_waited_for_and_its_holder_named(served: Project, connect: Callable) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)")
    with connect(application_name="another release") as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", LOCK)
        output = served.release(lock_seconds=2, code=1)
        assert "waited 2 seconds" in output
        assert f"pid {other.info.backend_pid}, application_name another release, client_addr " in output
    assert served.inspect()["heads"] == {"shop": "0001_initial"}
    assert result(served.release())["heads"] == {"shop": "0002_wide"}


def test_of_two_releases_one_migrates(served: Project) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)", RUN_SQL % "SELECT pg_sleep(2)")
    command = [sys.executable, str(PROGRAMS / "release.py"), served.release_file(MIGRATE, lock_seconds=110)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings"}
    both = [
        subprocess.Popen(command, cwd=served.folder, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert sorted(len(result(output)["applied"]) for output in outputs) == [0, 1], outputs


def test_a_migration_does_not_queue_before_the_application(served: Project, connect: Callable) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)")
    with connect() as other, other.transaction():
        other.execute("SELECT * FROM shop_item")
        output = served.release(code=1, lock_timeout_ms=500)
    assert "exit code" in output
    assert result(output)["applied"] == []


def test_the_lock_ends_with_the_release(served: Project, connect: Callable) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)")
    served.release()
    with connect() as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK).fetchone() == (True,)


def test_a_restore_point_is_made_when_the_owner_may(served: Project, database: dict[str, str]) -> None:
    served.add("0002_wide", ADD % "IntegerField(null=True)")
    output = served.release(restore_point="shop-release-2")
    assert "no restore point shop-release-2: permission denied" in output
    assert result(output)["restore_point"] == ""
    grant = "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO {}"
    with psycopg.connect(administration(), autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(database["USER"])))
        admin.execute(sql.SQL(grant).format(sql.Identifier(database["USER"])))
    served.add("0003_wider", "migrations.AddField('item', 'more', models.IntegerField(null=True))")
    output = served.release(restore_point="shop-release-3")
    assert "migrations: restore point shop-release-3" in output
    assert result(output)["restore_point"] == "shop-release-3"


def test_a_database_that_does_not_answer_ends_the_release_without_its_password(served: Project) -> None:
    settings = served.folder / "settings.py"
    settings.write_text(settings.read_text().replace("'NAME': 'gate_", "'NAME': 'no_"))
    output = served.release(code=1)
    assert "migrations: OperationalError" in output
