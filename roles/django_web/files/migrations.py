"""Pending migrations of a Django project: which of them the release that still runs would not survive.

Runs inside the application's image, with the project's own Django, in its working directory:

    python migrations.py inspect    prints {"django": true, "pending": [{"app", "name", "breaking": [reasons],
                                    "unknown": [reasons], "safe", "declared": [reasons]}], "heads": {app: name}}
    python migrations.py hold 60    holds the lock of releases until its input ends; each line that it reads is the name
                                    of a restore point to create

A migration with an attribute `release_safe = "why"` is believed: what would be breaking is then listed as declared.
Answers are lines of JSON. They hold no text of errors that may quote settings.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

# The lock of releases: any two numbers that applications do not use for advisory locks of their own.
LOCK = (1651666785, 4)
POLL_SECONDS = 0.5
# Neither side waits long for one that is gone: the server frees the lock of a dead host.
KEEPALIVE = {"idle": 10, "interval": 5, "count": 3}

DANGEROUS_SQL = {
    "DROP": r"\bDROP\s+(?!INDEX\b|CONSTRAINT\b|NOT\s+NULL\b|DEFAULT\b)\w+",
    "RENAME": r"\bRENAME\b",
    "ALTER ... TYPE": r"\bALTER\s+(?!TYPE\b)[^;]*?\bTYPE\b",
    "SET NOT NULL": r"\bSET\s+NOT\s+NULL\b",
}


# What an operation does -----------------------------------------------------------------------------------------------


def table(state, app: str, model: str) -> str:
    found = state.models.get((app, model.lower()))
    return (found.options.get("db_table") if found else "") or f"{app}_{model.lower()}"


def field_of(state, app: str, model: str, name: str):
    """A field as the state has it, whichever of the two shapes this Django keeps fields in."""
    fields = state.models[app, model.lower()].fields
    return dict(fields)[name] if isinstance(fields, list) else fields[name]


def column(field, name: str) -> str:
    return field.db_column or (f"{name}_id" if field.many_to_one or field.one_to_one else name)


def has_database_default(field) -> bool:
    from django.db.models import NOT_PROVIDED

    return getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED


def is_wider(old: str, new: str) -> bool:
    """Whether a column of the new type takes and gives all that one of the old type does."""
    sizes = [re.fullmatch(r"(varchar|numeric)\((\d+)(?:, ?(\d+))?\)", text) for text in (old, new)]
    if old.startswith("varchar") and new in ("varchar", "text"):
        return True
    if not all(sizes):
        return False
    (kind, size, scale), (new_kind, new_size, new_scale) = (match.groups() for match in sizes)
    return kind == new_kind and scale == new_scale and int(new_size) >= int(size)


def added_field(operation, name: str, connection) -> list[str]:
    field = operation.field
    if field.many_to_many or field.null or has_database_default(field) or getattr(field, "generated", False):
        return []
    if field.primary_key or (not field.remote_field and field.db_type(connection) is None):
        return []
    return [f"adds {name}.{column(field, operation.name)}, NOT NULL without db_default"]


def altered_field(operation, app: str, before, after, connection) -> list[str]:
    """Compares the field before and after as models have them: a foreign key's type is that of what it points to."""
    old, new = (
        state.clone().apps.get_model(app, operation.model_name)._meta.get_field(operation.name)
        for state in (before, after)
    )
    if old.column is None or new.column is None:
        return []
    name = f"{table(after, app, operation.model_name)}.{new.column}"
    found = []
    if old.column != new.column:
        found.append(f"renames {name} (was {old.column})")
    if old.null and not new.null:
        found.append(f"makes {name} NOT NULL")
    types = old.db_type(connection), new.db_type(connection)
    if types[0] != types[1] and not is_wider(*map(str, types)):
        found.append(f"changes the type of {name} from {types[0]} to {types[1]}")
    if new.unique and not old.unique:
        found.append(f"makes {name} unique")
    if new.remote_field and new.db_constraint and not (old.remote_field and old.db_constraint):
        found.append(f"adds a foreign key to {name}")
    if has_database_default(old) and not has_database_default(new) and not new.null:
        found.append(f"drops the default of {name}")
    return found


def breaking(operation, app: str, before, after, connection) -> list[str]:
    """Why the code that knows the state before an operation on a model fails after it."""
    from django.db.migrations import operations

    def is_a(name: str) -> bool:
        return isinstance(operation, getattr(operations, name, ()))

    model = getattr(operation, "model_name", None) or getattr(operation, "name", "")
    name = table(before, app, model)
    if is_a("DeleteModel"):
        return [f"drops table {name}"]
    if is_a("RemoveField"):
        field = field_of(before, app, model, operation.name)
        if field.many_to_many:
            return [f"drops the table of {name}.{operation.name}"]
        return [f"drops column {name}.{column(field, operation.name)}"]
    if is_a("RenameModel"):
        new = table(after, app, operation.new_name)
        return [f"renames table {table(before, app, operation.old_name)} to {new}"] * (
            table(before, app, operation.old_name) != new
        )
    if is_a("RenameField"):
        old = column(field_of(before, app, model, operation.old_name), operation.old_name)
        new = column(field_of(after, app, model, operation.new_name), operation.new_name)
        return [f"renames column {name}.{old} to {new}"] * (old != new)
    if is_a("AlterModelTable"):
        new = table(after, app, model)
        return [f"renames table {name} to {new}"] * (name != new)
    if is_a("AddField"):
        return added_field(operation, name, connection)
    if is_a("AlterField"):
        return altered_field(operation, app, before, after, connection)
    if is_a("AddConstraint"):
        return [f"adds constraint {operation.constraint.name} to {name}"]
    if is_a("AlterUniqueTogether"):
        old, new = (
            {tuple(fields) for fields in state.models[app, model.lower()].options.get("unique_together") or ()}
            for state in (before, after)
        )
        return [f"makes {', '.join(fields)} of {name} unique together" for fields in sorted(new - old)]
    if is_a("AlterOrderWithRespectTo"):
        old, new = (state.models[app, model.lower()].options.get("order_with_respect_to") for state in (before, after))
        return [f"{'adds' if new else 'drops'} column {name}._order"] * (bool(old) != bool(new))
    return []


def statements(sql) -> str:
    """The text of RunSQL without comments: a string, or a list of strings and of pairs with parameters."""
    parts = [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql or ()]
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", ";\n".join(map(str, parts)), flags=re.DOTALL).strip()


def analyse_code(operation) -> tuple[list[str], list[str]]:
    """(breaking, unknown) of an operation that is no change of a model."""
    from django.db.migrations import operations

    if isinstance(operation, operations.RunSQL):
        text = statements(operation.sql)
        found = [name for name, pattern in DANGEROUS_SQL.items() if re.search(pattern, text, re.IGNORECASE)]
        if found:
            return [f"runs SQL with {', '.join(found)}"], []
        return [], ["runs SQL"] if text else []
    if isinstance(operation, operations.RunPython):
        code = operation.code
        noop = code is operations.RunPython.noop
        return [], [] if noop else [f"runs Python: {getattr(code, '__name__', type(code).__name__)}"]
    # Operations of Django itself that are left create things, or concern indexes and options.
    return [], [] if type(operation).__module__.startswith("django.") else [f"runs {type(operation).__name__}"]


class Walk:
    """Goes through the operations of pending migrations with the project's state before and after each."""

    def __init__(self, state, connection) -> None:
        self.state = state
        self.connection = connection
        # Models that the running release cannot know.
        self.created: set[tuple[str, str]] = set()

    def migration(self, migration) -> tuple[list[str], list[str]]:
        found: tuple[list[str], list[str]] = ([], [])
        self.operations(migration.operations, migration.app_label, found)
        return found

    def operations(self, wanted, app: str, found: tuple[list[str], list[str]]) -> None:
        from django.db.migrations import operations

        for operation in wanted:
            before, after = self.state, self.state.clone()
            operation.state_forwards(app, after)
            if isinstance(operation, operations.SeparateDatabaseAndState):
                # What it does to the database starts from the same state, and what it does to the state is no matter.
                self.operations(operation.database_operations, app, found)
            else:
                self.operation(operation, app, before, after, found)
            self.state = after

    def operation(self, operation, app: str, before, after, found: tuple[list[str], list[str]]) -> None:
        from django.db.migrations import operations
        from django.db.migrations.operations.models import ModelOperation

        is_model = isinstance(operation, (ModelOperation, operations.fields.FieldOperation)) or hasattr(
            operation, "model_name"
        )
        own = not type(operation).__module__.startswith("django.")
        if not is_model:
            reasons, unknown = analyse_code(operation)
        else:
            try:
                reasons = self.model_operation(operation, app, before, after)
                unknown = [f"runs {type(operation).__name__}"] if own and not reasons else []
            except Exception as error:
                # Fields of packages may be like no other; that is no reason to release nothing.
                reasons, unknown = [], [f"{type(operation).__name__} is not understood ({describe(error)})"]
        found[0].extend(reasons)
        found[1].extend(unknown)

    def model_operation(self, operation, app: str, before, after) -> list[str]:
        from django.db.migrations import operations

        model = getattr(operation, "model_name", None) or operation.name
        if isinstance(operation, operations.RenameModel):
            model = operation.old_name
        key = app, model.lower()
        if isinstance(operation, operations.CreateModel):
            self.created.add(key)
        if key in self.created:
            if isinstance(operation, operations.RenameModel):
                self.created.add((app, operation.new_name.lower()))
            return []
        return breaking(operation, app, before, after, self.connection) if self.in_database(*key, before) else []

    def in_database(self, app: str, model: str, state) -> bool:
        """Whether Django keeps a table for the model in this database."""
        from django.db import router

        options = state.models[app, model].options if (app, model) in state.models else {}
        if options.get("proxy") or not options.get("managed", True) or options.get("swapped"):
            return False
        return router.allow_migrate(self.connection.alias, app, model_name=model)


def heads(loader) -> dict[str, str]:
    """App to the last migration that the database has."""
    applied = set(loader.applied_migrations)
    found = {}
    for app, name in sorted(key for key in loader.graph.nodes if key in applied):
        children = loader.graph.node_map[app, name].children
        if not any(child.key[0] == app and child.key in applied for child in children):
            found[app] = name
    return found


def inspect(connection) -> dict:
    """The pending migrations of the project, in the order they would be applied in."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    loader = executor.loader
    plan = [migration for migration, _backwards in executor.migration_plan(loader.graph.leaf_nodes())]
    applied_apps = {app for app, _name in loader.applied_migrations}
    walk = Walk(executor._create_project_state(with_applied_migrations=True), connection)
    pending = []
    for migration in plan:
        reasons, unknown = walk.migration(migration)
        if migration.app_label not in applied_apps:
            # No release runs that uses the tables of this app; its SQL may still do anything.
            reasons, unknown = [], unknown + reasons
        safe = str(getattr(migration, "release_safe", "") or "")
        pending.append(
            {
                "app": migration.app_label,
                "name": migration.name,
                "breaking": [] if safe else reasons,
                "unknown": [] if safe else unknown,
                "safe": safe,
                "declared": reasons if safe else [],
            }
        )
    return {"django": True, "pending": pending, "heads": heads(loader)}


# Lock and restore point -----------------------------------------------------------------------------------------------


def holder(cursor) -> str:
    """Who holds the lock of releases, in words."""
    cursor.execute(
        "SELECT a.pid, a.application_name, a.client_addr FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.objsubid = 2"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        LOCK,
    )
    row = cursor.fetchone()
    if row is None:
        return "nobody any more"
    return f"pid {row[0]}, application_name {row[1] or 'unknown'}, client_addr {row[2] or 'local'}"


def connect(connection, database: str = ""):
    """A connection of its own, which no pool shares and no timeout of the project ends."""
    own = connection.copy()
    if database:
        own.settings_dict["NAME"] = database
    options = {key: value for key, value in own.settings_dict.get("OPTIONS", {}).items() if key != "pool"}
    own.settings_dict["OPTIONS"] = {
        **options,
        "application_name": f"release on {os.uname().nodename}",
        "keepalives": 1,
        **{f"keepalives_{key}": value for key, value in KEEPALIVE.items()},
    }
    own.settings_dict["AUTOCOMMIT"] = True
    with own.cursor() as cursor:
        for key, value in KEEPALIVE.items():
            cursor.execute(f"SET tcp_keepalives_{key} = {value:d}")
        if own.pg_version >= 140000:
            cursor.execute("SET idle_session_timeout = 0")
    return own


def acquire(cursor, seconds: float, tell) -> bool:
    """Waits so long for the lock; tells who holds it."""
    end = time.monotonic() + seconds
    told = ""
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK)
        if cursor.fetchone()[0]:
            return True
        who = holder(cursor)
        if time.monotonic() >= end:
            tell({"error": f"another release migrates this database ({who}); waited {seconds:g} seconds for it"})
            return False
        if who != told:
            tell({"note": f"waits for the release that migrates this database ({who})"})
            told = who
        time.sleep(POLL_SECONDS)


def create_restore_point(connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_create_restore_point(%s)", [name])


def restore_point(own, name: str) -> dict:
    """Creates one for the whole server. The right to do so may be given in the database postgres alone."""
    from django.db import Error

    try:
        create_restore_point(own, name)
    except Error as error:
        try:
            with contextlib.closing(connect(own, "postgres")) as other:
                create_restore_point(other, name)
        except Error:
            return {"restore_point": "", "note": f"no restore point {name}: {first_line(error)}"}
    return {"restore_point": name}


def hold(connection, seconds: float, tell, lines) -> int:
    """Holds the lock while lines come: names of restore points."""
    if connection.vendor != "postgresql":
        tell({"held": False, "note": f"no lock: the database is {connection.vendor}, not PostgreSQL"})
        return 0
    with contextlib.closing(connect(connection)) as own:
        with own.cursor() as cursor:
            if not acquire(cursor, seconds, tell):
                return 1
        tell({"held": True})
        for line in lines:
            tell(restore_point(own, line.strip()))
    return 0


# The project ----------------------------------------------------------------------------------------------------------


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def settings_module() -> str:
    """What the environment names, or else what manage.py falls back to."""
    named = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not named and Path("manage.py").is_file():
        match = re.search(r"""DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']""", Path("manage.py").read_text())
        named = match.group(1) if match else ""
    return named


def default_connection():
    """The project's default database; None when this is no Django project."""
    try:
        import django
    except ImportError:
        return None
    named = settings_module()
    if not named:
        return None
    os.environ["DJANGO_SETTINGS_MODULE"] = named
    django.setup()
    from django.db import connection

    return connection


def describe(error: Exception) -> str:
    """Words for an error. Only those of the database are quoted: others may hold a connection's password."""
    module = type(error).__module__
    if module.startswith("django.db") or isinstance(error, ImportError):
        return f"{type(error).__name__}: {first_line(error)}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.filename}, line {frame.lineno}"


def main(arguments: list[str]) -> int:
    # What the project prints while it is imported is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(answer: dict) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    # Modules of the project, not those beside this file.
    sys.path[0] = str(Path.cwd())
    try:
        connection = default_connection()
        if arguments[0] == "hold":
            return hold(connection, float(arguments[1]), tell, sys.stdin)
        tell({"django": False} if connection is None or not is_configured(connection) else inspect(connection))
    except Exception as error:
        tell({"error": describe(error)})
        return 1
    return 0


def is_configured(connection) -> bool:
    return connection.vendor != "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
