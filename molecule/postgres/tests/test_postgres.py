"""What an application, its owner and an intruder see of the database."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest

NAME = "shop-postgres"
# As in molecule.yml.
PASSWORDS = {"postgres": "super'visor $1 \\ secret", "shop_owner": "owner #;:' secret", "shop_app": "app-secret"}


class Client:
    """psql over TCP with a password, and as the superuser over the socket."""

    def __init__(self, host) -> None:
        self.host = host

    def __call__(self, user: str, sql: str, database: str = "shop", password: str | None = None, inside: str = ""):
        secret = shlex.quote(PASSWORDS[user] if password is None else password)
        return self.host.run(
            f"docker {inside or 'exec'} -e PGPASSWORD={secret} {NAME if not inside else self.image()}"
            f" psql -X -q -t -A -h {NAME} -U {user} -d {database} -c {shlex.quote(sql)}"
        )

    def image(self) -> str:
        return self.host.check_output("docker inspect -f '{{.Config.Image}}' %s", NAME)

    def rows(self, user: str, sql: str) -> list[str]:
        result = self(user, sql)
        assert result.rc == 0, result.stderr
        return result.stdout.split()

    def show(self, sql: str) -> str:
        return self.host.check_output("docker exec %s psql -X -q -t -A -d shop -c %s", NAME, sql)

    def presented(self) -> str:
        """Who the server's certificate is for, as clients of the network see it."""
        address = self.host.check_output(
            "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' %s", NAME
        )
        return self.host.check_output(
            f"openssl s_client -starttls postgres -connect {address}:5432 </dev/null 2>/dev/null"
            " | openssl x509 -noout -subject"
        )

    def wait(self) -> None:
        self.host.run_expect([0], f"timeout 90 sh -c 'until docker exec {NAME} pg_isready -q; do sleep 1; done'")


@pytest.fixture
def psql(host) -> Client:
    client = Client(host)
    client.wait()
    return client


@pytest.fixture
def notes(psql: Client) -> Iterator[str]:
    psql.rows("shop_owner", "CREATE TABLE notes (id serial PRIMARY KEY, text text)")
    yield "notes"
    psql.rows("shop_owner", "DROP TABLE notes")


def identity(host) -> str:
    return host.check_output("docker inspect -f '{{.Id}} {{.State.StartedAt}}' %s", NAME)


def test_application_reads_and_writes_rows_of_the_owners_tables(psql: Client, notes: str) -> None:
    psql.rows("shop_app", f"INSERT INTO {notes} (text) VALUES ('one'), ('two'), ('three')")
    psql.rows("shop_app", f"UPDATE {notes} SET text = 'zwei' WHERE id = 2; DELETE FROM {notes} WHERE id = 3")
    assert psql.rows("shop_app", f"SELECT text FROM {notes} ORDER BY id") == ["one", "zwei"]


def test_application_reads_tables_of_schemas_that_come_later(psql: Client) -> None:
    psql.rows("shop_owner", "CREATE SCHEMA later; CREATE TABLE later.notes AS SELECT 'new' AS text")
    assert psql.rows("shop_app", "SELECT text FROM later.notes") == ["new"]
    psql.rows("shop_owner", "DROP SCHEMA later CASCADE")


def test_application_in_another_container_finds_the_database_by_name(psql: Client) -> None:
    result = psql("shop_app", "SELECT current_user", inside="run --rm --network shop-data")
    assert result.stdout.strip() == "shop_app"


def test_application_changes_no_structure(psql: Client, notes: str) -> None:
    for sql in (
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        f"ALTER TABLE {notes} ADD COLUMN more text",
        f"TRUNCATE {notes}",
        f"DROP TABLE {notes}",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "SELECT rolpassword FROM pg_authid",
        "SET ROLE shop_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ):
        result = psql("shop_app", sql)
        assert result.rc != 0, sql
        assert any(word in result.stderr for word in ("permission denied", "must be owner")), result.stderr


def test_owner_is_no_superuser(psql: Client) -> None:
    for sql in ("CREATE ROLE mine", "SELECT rolpassword FROM pg_authid", "SELECT pg_read_file('/etc/passwd')"):
        assert "permission denied" in psql("shop_owner", sql).stderr, sql


def test_owner_may_create_a_restore_point(psql: Client) -> None:
    assert psql("shop_owner", "SELECT pg_create_restore_point('before')", database="postgres").rc == 0


def test_superuser_is_refused_over_the_network(psql: Client) -> None:
    assert "pg_hba.conf rejects" in psql("postgres", "SELECT 1").stderr


def test_wrong_password_and_foreign_database_are_refused(psql: Client) -> None:
    assert "password authentication failed" in psql("shop_app", "SELECT 1", password="wrong").stderr
    assert "permission denied for database" in psql("shop_app", "SELECT 1", database="postgres").stderr


def test_every_rule_for_the_network_demands_scram_and_passwords_are_stored_so(psql: Client) -> None:
    rules = "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE type <> 'local' ORDER BY 1"
    assert psql.show(rules).split() == ["reject", "scram-sha-256"]
    assert psql.show("SELECT count(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$4096:%'") == "3"


def session(host, name: str, mode: str = "prefer"):
    """Opens a connection of the application; what is returned asks it once more, and returns the answer."""
    here = f"/tmp/{name}"
    asked = f"(echo 'SELECT 1;'; until [ -e {here}.go ]; do sleep 1; done; echo \"SELECT 'went on';\")"
    psql = f"psql -X -q -t -A 'host={NAME} user=shop_app dbname=shop sslmode={mode}'"
    client = f"docker exec -i -e PGPASSWORD=app-secret {NAME} {psql}"
    host.check_output(f"rm -f {here}.*; ({asked} | {client} > {here}.said 2>&1; touch {here}.end) > /dev/null 2>&1 &")
    host.run_expect([0], f"timeout 60 sh -c 'until grep -q 1 {here}.said; do sleep 1; done'")

    def go_on() -> str:
        host.run_expect([0], f"touch {here}.go; timeout 60 sh -c 'until [ -e {here}.end ]; do sleep 1; done'")
        return host.check_output(f"tail -n 1 {here}.said")

    return go_on


def self_signed(tmp_path, name: str) -> dict[str, str]:
    files = {kind: tmp_path / f"{name}.{kind}" for kind in ("crt", "key")}
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -days 30"
    subprocess.run([*command.split(), "-keyout", files["key"], "-out", files["crt"]], check=True, capture_output=True)
    return {
        "postgres_tls_certificate": files["crt"].read_text(),
        "postgres_tls_certificate_key": files["key"].read_text(),
        "postgres_hba": ["host all postgres all reject", "hostssl all all all scram-sha-256"],
    }


def test_a_renewed_certificate_is_served_without_a_restart_and_plain_text_is_refused(
    host, psql: Client, converge, tmp_path
) -> None:
    try:
        result = converge(**self_signed(tmp_path, "first"))
        assert result.returncode == 0, result.stdout
        psql.wait()
        assert "CN=first" in psql.presented().replace(" ", "")
        plain = host.run(
            f"docker exec -e PGPASSWORD=app-secret {NAME}"
            f" psql -X 'host={NAME} user=shop_app dbname=shop sslmode=disable' -c 'SELECT 1'"
        )
        assert "no encryption" in plain.stderr, plain
        before, go_on = identity(host), session(host, "renewed", "require")
        result = converge(**self_signed(tmp_path, "second"))
        assert result.returncode == 0, result.stdout
        assert "CN=second" in psql.presented().replace(" ", "")
        assert identity(host) == before
        assert go_on() == "went on"
    finally:
        result = converge()
    assert result.returncode == 0, result.stdout
    psql.wait()


def test_image_makes_a_database_under_any_uid(host, psql: Client) -> None:
    """As in development, where containers run under the developer's."""
    run = "docker run -d --rm --name anybody --user 4242:4242 --network none --tmpfs /run/postgresql:mode=1777"
    try:
        host.check_output(
            f"{run} {psql.image()} postgres -c listen_addresses= -c unix_socket_directories=/run/postgresql"
        )
        answer = "docker exec anybody postgres-entrypoint psql -X -t -A -d postgres -c 'SELECT 42'"
        host.run_expect([0], f'timeout 90 sh -c "until [ \\"\\$({answer} 2>&1)\\" = 42 ]; do sleep 1; done"')
    finally:
        host.run("docker rm -f -v anybody")


def test_password_changes_on_the_running_server(host, psql: Client, converge) -> None:
    before = identity(host)
    go_on = session(host, "rotated")
    result = converge(secret_postgres_application="rotated-secret")
    assert result.returncode == 0, result.stdout
    assert go_on() == "went on"
    assert "password authentication failed" in psql("shop_app", "SELECT 1").stderr
    assert psql("shop_app", "SELECT 1", password="rotated-secret").rc == 0
    assert identity(host) == before
    assert "rotated-secret" not in result.stdout
    result = converge()
    assert result.returncode == 0, result.stdout
    assert psql.rows("shop_app", "SELECT 1") == ["1"]


def test_settings_follow_from_the_memory_limit_and_can_be_overridden(host, psql: Client) -> None:
    limits = json.loads(host.check_output("docker inspect -f '{{json .HostConfig}}' %s", NAME))
    assert limits["Memory"] == limits["MemorySwap"] == 512 * 2**20
    names = (
        "shared_buffers",
        "effective_cache_size",
        "max_connections",
        "data_checksums",
        "archive_mode",
        "statement_timeout",
    )
    shown = [psql.show(f"SHOW {name}") for name in names]
    assert shown == ["128MB", "384MB", "50", "on", "off", "30s"]
    assert limits["PidsLimit"] > 50


def test_data_survives_another_container_and_the_port_is_published_on_request(
    host, psql: Client, converge, notes
) -> None:
    psql.rows("shop_app", f"INSERT INTO {notes} (text) VALUES ('kept')")
    assert host.run("timeout 2 bash -c '</dev/tcp/127.0.0.1/5432'").rc != 0
    assert host.check_output("docker port %s", NAME) == ""
    before = identity(host)
    result = converge(postgres_published_ports=["127.0.0.1:5432:5432"])
    assert result.returncode == 0, result.stdout
    assert identity(host) != before
    assert psql.rows("shop_app", f"SELECT text FROM {notes}") == ["kept"]
    assert host.run("timeout 2 bash -c '</dev/tcp/127.0.0.1/5432'").rc == 0
    # Nothing below minds the port, and the next run takes it back.
    assert host.check_output("docker port %s", NAME) == "5432/tcp -> 127.0.0.1:5432"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_database_has_what_was_committed_when_it_ends_and_starts_again(
    host, psql: Client, notes: str, end: str
) -> None:
    """The log is replayed without anybody's rights: row level security and triggers of the owner change nothing."""
    rules = [
        f"ALTER TABLE {notes} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON {notes} USING (text <> 'hidden')",
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;"
        f"CREATE TRIGGER refuse BEFORE DELETE ON {notes} EXECUTE FUNCTION refuse()",
    ]
    psql.rows("shop_app", f"INSERT INTO {notes} (text) VALUES ('committed'), ('hidden')")
    for rule in rules:
        psql.rows("shop_owner", rule)
    host.check_output("docker %s %s && docker start %s", end, NAME, NAME)
    psql.wait()
    assert psql.rows("shop_app", f"SELECT text FROM {notes}") == ["committed"]
    assert psql.show(f"SELECT count(*) FROM {notes}") == "2"
    psql.rows("shop_owner", f"DROP TRIGGER refuse ON {notes}; DROP FUNCTION refuse()")


def test_commit_waits_until_it_is_on_the_disk(psql: Client) -> None:
    """As the application's own sessions have it: what was committed survives a loss of power."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert psql.rows("shop_app", f"SHOW {setting}") == ["on"]


def test_what_the_owner_sets_for_the_application_does_not_keep_the_role_from_its_work(
    host, psql: Client, converge
) -> None:
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": "'1ms'",
        "search_path": "nowhere",
        "role": "shop_app",
    }
    for name, value in settings.items():
        sql = f"ALTER DATABASE shop SET {name} = {value}"
        host.check_output("docker exec %s psql -q -d postgres -c %s", NAME, sql)
    try:
        result = converge(postgres_application_password="another")
        assert result.returncode == 0, result.stdout
        assert psql("shop_app", "SHOW fsync", password="another").rc == 0
    finally:
        host.check_output("docker exec %s psql -q -d postgres -c %s", NAME, "ALTER DATABASE shop RESET ALL")
        assert converge().returncode == 0


def test_initial_sql_is_applied_once_and_more_of_it_later(psql: Client, converge) -> None:
    assert psql.rows("shop_app", "SELECT count(*) FROM greeting WHERE word = 'hello'") == ["1"]
    seed = ["CREATE TABLE greeting (word text); INSERT INTO greeting VALUES ('hello')"]
    result = converge(postgres_init_sql=[*seed, "INSERT INTO greeting VALUES ('again')"])
    assert result.returncode == 0, result.stdout
    assert psql.rows("shop_app", "SELECT word FROM greeting ORDER BY word DESC") == ["hello", "again"]


def test_failed_sql_is_reported_and_leaves_nothing_behind(psql: Client, converge) -> None:
    result = converge(postgres_init_sql=["CREATE TABLE half (id int); SELECT 1 / 0"])
    assert result.returncode != 0
    assert "division by zero" in result.stdout, result.stdout
    assert "does not exist" in psql("shop_owner", "SELECT * FROM half").stderr
    result = converge()
    assert result.returncode == 0, result.stdout


CLIMB = """CREATE FUNCTION climb() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE shop_owner SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN 'climbed'; END $$;
CREATE FUNCTION climb_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.climb(); RETURN NEW; END $$;
CREATE SCHEMA postgres_init;"""
APPLIED = "CREATE TABLE postgres_init.applied (checksum text PRIMARY KEY, applied_at timestamptz DEFAULT now())"


@pytest.fixture
def without_record(psql: Client) -> Iterator[None]:
    """The database as it is before any initial SQL was applied."""
    psql.show("ALTER SCHEMA postgres_init RENAME TO kept")
    yield
    psql.show("ALTER ROLE shop_owner NOSUPERUSER; DROP SCHEMA IF EXISTS postgres_init CASCADE")
    psql.show("DROP FUNCTION IF EXISTS climb, climb_at CASCADE; DROP TABLE IF EXISTS trap")
    psql.show("ALTER SCHEMA kept RENAME TO postgres_init")


@pytest.mark.parametrize(
    ("trap", "accepted"),
    [
        ("CREATE VIEW postgres_init.applied AS SELECT public.climb() AS checksum, now() AS applied_at", False),
        (f"{APPLIED}; CREATE TRIGGER t BEFORE INSERT ON postgres_init.applied EXECUTE FUNCTION climb_at()", True),
        (
            f"{APPLIED}; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON postgres_init.applied"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION climb_at()",
            True,
        ),
        (
            "CREATE TABLE trap (id int DEFAULT length(public.climb()));"
            " CREATE TRIGGER t BEFORE INSERT ON trap EXECUTE FUNCTION climb_at()",
            True,
        ),
    ],
    ids=["view as record", "trigger of record", "deferred trigger of record", "what the text uses"],
)
def test_owner_does_not_become_superuser_by_what_initial_sql_meets(
    host, psql: Client, converge, without_record, trap: str, accepted: bool
) -> None:
    psql.rows("shop_owner", f"{CLIMB} {trap}")
    # Of each case another, since what was applied is not tried again.
    text = "INSERT INTO trap DEFAULT VALUES" if "TABLE trap" in trap else f"SELECT {len(trap)}"
    result = converge(postgres_init_sql=[text])
    answer = " ".join(result.stdout.split())
    assert psql.show("SELECT rolsuper FROM pg_roles WHERE rolname = 'shop_owner'") == "f"
    assert (result.returncode == 0) == accepted, result.stdout
    assert accepted or "postgres_init.applied is no table of shop_owner" in answer, answer
    assert not accepted or psql.rows("shop_owner", "SELECT count(*) FROM postgres_init.applied") == ["1"]
    host.check_output("docker exec %s psql -X -q service=owner -c 'SELECT climb()'", NAME)
    assert psql.show("SELECT rolsuper FROM pg_roles WHERE rolname = 'shop_owner'") == "f"


def test_record_that_was_the_superusers_becomes_the_owners_and_the_application_cannot_change_it(
    psql: Client, converge, without_record
) -> None:
    """As the version before left it, or a dump that a superuser restored."""
    psql.show(f"CREATE SCHEMA postgres_init; {APPLIED}; GRANT ALL ON postgres_init.applied TO shop_app")
    texts = ["CREATE TABLE trap (id int)", "RESET ROLE; ALTER TABLE trap ADD made_by text DEFAULT current_user"]
    for number in (1, 2):
        result = converge(postgres_init_sql=texts[:number])
        assert result.returncode == 0, result.stdout
    assert psql.rows("shop_app", "INSERT INTO trap (id) VALUES (1) RETURNING id") == ["1"]
    assert psql.rows("shop_owner", "SELECT count(*) FROM postgres_init.applied") == ["2"]
    assert "permission denied" in psql("shop_app", "DELETE FROM postgres_init.applied").stderr


@pytest.fixture
def dump(host, psql: Client) -> Iterator[str]:
    """A dump of another stack's database, whose roles have other names."""
    psql.show(
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.orders (id serial PRIMARY KEY, state text);"
        " CREATE TYPE elsewhere.state AS ENUM ('new'); CREATE VIEW elsewhere.open AS SELECT id FROM elsewhere.orders;"
        " CREATE FUNCTION elsewhere.one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        " CREATE SEQUENCE elsewhere.numbers; INSERT INTO elsewhere.orders (state) VALUES ('paid')"
    )
    host.check_output(f"docker exec {NAME} pg_dump -Fc -n elsewhere -d shop > /root/dump")
    psql.show("DROP SCHEMA elsewhere CASCADE")
    yield "/root/dump"
    psql.show("DROP SCHEMA IF EXISTS elsewhere CASCADE")


OWNERS = (
    "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'elsewhere'::regnamespace"
    " AND relkind IN ('r', 'v', 'S') UNION SELECT pg_get_userbyid(typowner) FROM pg_type WHERE typname = 'state'"
    " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'one'"
    " UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'elsewhere'"
)


def test_dump_that_is_restored_by_the_documented_shell_serves(host, psql: Client, dump: str) -> None:
    shell = f"docker exec -i {NAME} pg_restore --no-owner --no-privileges --dbname=service=owner"
    host.check_output(f"{shell} < {dump}")
    assert psql.show(OWNERS).split() == ["shop_owner"]
    assert psql.rows("shop_app", "SELECT state FROM elsewhere.orders") == ["paid"]
    assert psql.show("SELECT 1") == "1"


def test_dump_that_the_superuser_restored_is_seen_and_mended(host, psql: Client, dump: str, converge) -> None:
    host.check_output(f"docker exec -i {NAME} pg_restore --no-owner --no-privileges -U postgres -d shop < {dump}")
    assert "permission denied" in psql("shop_app", "SELECT state FROM elsewhere.orders").stderr
    before = identity(host)

    result = converge()

    assert result.returncode == 0, result.stdout
    answer = " ".join(result.stdout.split())
    assert "table elsewhere.orders belongs to postgres" in answer, answer
    assert identity(host) == before
    assert psql.show(OWNERS).split() == ["shop_owner"]
    psql.rows("shop_app", "INSERT INTO elsewhere.orders (state) VALUES ('new'); SELECT nextval('elsewhere.numbers')")
    assert psql.rows("shop_app", "SELECT state FROM elsewhere.orders ORDER BY id") == ["paid", "new"]
    assert psql.rows("shop_app", "SELECT id FROM elsewhere.open, elsewhere.one() ORDER BY id") == ["1", "2"]
    result = converge()
    assert "belongs to postgres" not in result.stdout
    assert "changed=0" in result.stdout


def test_schemas_of_others_and_rights_that_were_taken_away_are_left(host, psql: Client, converge) -> None:
    psql.show(
        "CREATE ROLE reports NOLOGIN; CREATE SCHEMA reports AUTHORIZATION reports;"
        " CREATE TABLE reports.mine (); ALTER TABLE reports.mine OWNER TO reports"
    )
    psql.rows(
        "shop_owner", "CREATE TABLE log (); REVOKE ALL ON log FROM shop_app; CREATE TYPE span AS RANGE (subtype = date)"
    )
    try:
        result = converge()
        assert result.returncode == 0, result.stdout
        assert "changed=0" in result.stdout, result.stdout
        assert psql.show("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'mine'") == "reports"
        assert "permission denied" in psql("shop_app", "SELECT * FROM log").stderr
    finally:
        psql.show("DROP SCHEMA reports CASCADE; DROP ROLE reports; DROP TABLE log; DROP TYPE span")


def test_database_that_was_dropped_is_made_again_with_its_rights(psql: Client, converge) -> None:
    psql.host.check_output("docker exec %s psql -X -d postgres -c 'DROP DATABASE shop WITH (FORCE)'", NAME)
    result = converge()
    assert result.returncode == 0, result.stdout
    assert "database shop is missing" in " ".join(result.stdout.split())
    psql.rows("shop_owner", "CREATE TABLE again AS SELECT 'again' AS text")
    assert psql.rows("shop_app", "SELECT text FROM again") == ["again"]
    psql.show("DROP TABLE again")


def test_application_cannot_take_the_last_connection_and_comings_are_logged(host, psql: Client) -> None:
    limit = psql.show("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'shop_app'")
    assert 0 < int(limit) < int(psql.show("SHOW max_connections")) - 3
    assert psql.show("SHOW idle_in_transaction_session_timeout") == "15min"
    psql.rows("shop_app", "SELECT 1")
    assert "connection authorized: user=shop_app" in host.check_output("docker logs --tail 50 %s 2>&1", NAME)


def test_extension_is_there(psql: Client) -> None:
    assert psql.show("SELECT extname FROM pg_extension WHERE extname = 'pg_stat_statements'") == "pg_stat_statements"


def test_password_is_nowhere_but_in_the_heads_of_its_users(host, keepers) -> None:
    seen = host.check_output("docker inspect %s && docker logs %s 2>&1 && ps axww", NAME, NAME)
    places = ("/opt/shop", "/var/lib/docker/containers", "/var/lib/docker/volumes")
    for password in PASSWORDS.values():
        assert password not in seen
        assert keepers("-F", password, *places) == set()


def test_setting_that_the_server_refuses_does_not_reach_the_running_one(host, converge) -> None:
    before = identity(host)
    result = converge(postgres_settings={"work_mem": "12 apples"})
    assert result.returncode != 0
    assert 'invalid value for parameter "work_mem": "12 apples"' in result.stdout
    assert identity(host) == before


# One run each: whatever a check finds wrong is reported at once.
@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"postgres_memory": "plenty"}, ["'plenty' is not a size such as 512m or 2g"]),
        ({"postgres_networks": [{"nam": "shop-data"}]}, ["nam. Supported parameters include"]),
        (
            {
                "postgres_owner_password": "",
                "postgres_database": "Shop-1",
                "postgres_owner": "shop_app",
                "postgres_application_user": "shop_app",
                "postgres_hba": ["host all all all trust"],
                "postgres_settings": {"listen_addresses": "127.0.0.1"},
                "postgres_backup_repository_volume": "shop-backups",
                "postgres_backup_cipher_pass": "",
            },
            [
                "postgres_owner_password: must consist of printable ASCII characters",
                "postgres_database: Shop-1 must consist of a-z",
                "must differ from postgres_owner",
                "its method is reject, scram-sha-256, cert or peer",
                "listen_addresses, unix_socket_directories",
                "backups are encrypted",
            ],
        ),
    ],
)
def test_wrong_input_is_refused_before_anything_changes(host, converge, change: dict, messages: list[str]) -> None:
    before = identity(host)
    result = converge(**change)
    assert result.returncode != 0
    answer = " ".join(result.stdout.split())
    assert [message for message in messages if message not in answer] == []
    assert identity(host) == before
