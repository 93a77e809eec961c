"""What clients, operators and the next release see of an application that shares nothing with the collection's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

BASE = "http://10.213.77.10:8000"
FOLDER = "/opt/shop/containers/shop-web"


def ask(host, path: str, name: str = "shop.example.org") -> tuple[int, str]:
    """Status and body, asked as the edge would."""
    run = host.run(
        f"curl -sS --max-time 40 -w '\\n%{{http_code}}' -H 'Host: {name}' -H 'X-Forwarded-Proto: https' '{BASE}{path}'"
    )
    assert run.rc == 0, run.stderr
    body, _newline, status = run.stdout.rpartition("\n")
    return int(status), body


def greeting(host) -> dict:
    status, body = ask(host, "/")
    assert status == 200
    return json.loads(body)


def releases(host) -> list[str]:
    return json.loads(ask(host, "/releases")[1])["notes"]


def succeeded(run: subprocess.CompletedProcess) -> bool:
    assert run.returncode == 0, run.stdout
    return True


def container_id(host, name: str = "shop-web") -> str:
    return host.check_output(f"docker inspect -f '{{{{.Id}}}}' {name}")


@pytest.fixture(scope="module")
def own(scenario) -> dict:
    """The scenario's variables."""
    return yaml.safe_load((scenario / "molecule.yml").read_text())["provisioner"]["inventory"]["group_vars"]["all"]


@pytest.fixture
def restored(converge):
    """Bring the host back to the scenario's own variables afterwards."""
    yield
    assert succeeded(converge())


def test_it_answers_to_its_own_name_and_knows_that_the_client_came_by_https(host):
    assert greeting(host) == {"greeting": "hello", "host": "shop.example.org", "secure": True, "uid": 10003}


def test_another_name_is_a_bad_request(host):
    assert ask(host, "/", "other.example.org")[0] == 400


def test_it_is_healthy_by_its_own_check(host):
    state = json.loads(host.check_output("docker inspect -f '{{json .State.Health}}' shop-web"))
    assert state["Status"] == "healthy"


def test_the_check_fails_when_the_path_does_not_answer_200(host):
    script = json.loads(host.check_output("docker inspect -f '{{json .Config.Healthcheck.Test}}' shop-web"))[3]

    def ask(name: str, path: str):
        return host.run("docker exec shop-web bash -c %s 8000 %s https 5 200 %s", script, name, path)

    wrong_path = ask("shop.example.org", "/nothing")
    assert wrong_path.rc == 1
    assert "/nothing with Host shop.example.org answered 404" in wrong_path.stdout
    assert ask("other.example.org", "/up").rc == 1
    assert ask("shop.example.org", "/up").rc == 0


def test_the_release_commands_ran_once_and_with_their_own_secrets(host):
    assert releases(host) == ["molecule with 12 characters"]
    assert host.run("docker exec shop-web ls /run/secrets").stdout.split() == ["django_secret_key"]


def log_in(host, name: str, password: str) -> str:
    """Status of the attempt; whoever came in is asked for with the session it gave."""
    form = shlex.quote(urlencode({"username": name, "password": password}))
    edge = "-H 'Host: shop.example.org' -H 'X-Forwarded-Proto: https'"
    return host.check_output(
        f"curl -sS {edge} -c /tmp/session -o /dev/null -w '%{{http_code}} ' -d {form} {BASE}/account"
        f" && curl -sS {edge} -b /tmp/session {BASE}/account && rm -f /tmp/session"
    )


def test_the_documented_example_makes_an_administrator_who_can_log_in(host, own):
    """And the password is nowhere afterwards but in its variable, as a hash in the database, and in who logs in."""
    project = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
    documentation = (project / "docs/your-own-app/release-commands.md").read_text()
    (example,) = [
        entry
        for block in re.findall(r"```yaml\n(backend_release_commands:.*?)```", documentation, re.DOTALL)
        for entry in yaml.safe_load(block)["backend_release_commands"]
        if "createsuperuser" in (entry["command"] if isinstance(entry, dict) else entry)
    ]
    assert example in own["backend_release_commands"]
    (name, password), *others = own["backend_release_secret_env"].items()
    assert (name, others) == ("DJANGO_SUPERUSER_PASSWORD", [])
    # As Molecule reads its file.
    password = password.replace("$$", "$")

    assert log_in(host, "admin", password) == '200 {"name": "admin", "superuser": true}'
    assert log_in(host, "admin", password + "x") == '403 {"name": "", "superuser": false}'

    containers = host.check_output("docker ps -aq").split()
    assert host.run("docker inspect shop-web-release").rc != 0
    seen = host.check_output("docker inspect " + " ".join(containers)) + host.check_output("ps axwwe -o args")
    seen += "".join(host.check_output(f"docker logs {container} 2>&1") for container in containers)
    # A part of it without the characters that each place would quote in a way of its own.
    assert "goldfinch" not in seen
    for container in host.check_output("docker ps -q").split():
        environments = host.check_output(f"docker exec {container} sh -c 'cat /proc/[0-9]*/environ' | tr '\\0' '\\n'")
        assert name not in environments


def test_the_password_of_the_release_commands_is_in_no_file_of_the_host(host, keepers):
    places = ("/opt/shop", "/var/lib/docker/containers", "/var/lib/docker/volumes", "/var/log", "/root", "/tmp")
    assert keepers("-F", "goldfinch", *places) == set()


def test_the_release_came_before_the_start(host):
    query = "SELECT max(applied) FROM django_migrations"
    code = f"import sqlite3; print(*sqlite3.connect('/srv/media/shop.sqlite3').execute('{query}').fetchone())"
    migrated = host.check_output("docker exec shop-web python -c %s", code) + " UTC"
    started = host.check_output("docker inspect -f '{{.State.StartedAt}}' shop-web")
    earlier, later = (int(host.check_output("date -d %s +%%s", text)) for text in (migrated, started))
    assert earlier <= later


def test_static_files_are_published_beside_those_of_earlier_releases(host):
    volume = host.check_output("docker volume inspect -f '{{.Mountpoint}}' shop-static")
    published = host.check_output("cd %s && find . -type f", volume).split()
    assert {"./earlier.css", "./shop/shop.css", "./staticfiles.json"} <= set(published)
    assert host.file(f"{volume}/shop/shop.css").mode == 0o644


def test_it_runs_without_privileges(host):
    assert host.check_output("docker exec shop-web id -u") == "10003"
    assert host.run("docker exec shop-web touch /app/x").rc != 0
    details = json.loads(host.check_output("docker inspect shop-web"))[0]["HostConfig"]
    assert details["ReadonlyRootfs"] is True
    assert details["CapDrop"] == ["ALL"]
    assert details["Memory"] == 256 * 2**20


def test_no_secret_is_visible(host):
    everything = host.check_output("docker inspect shop-web shop-ticker") + host.check_output("ps axww -o args")
    assert "canary" not in everything
    secret = host.file(f"{FOLDER}/secrets/django_secret_key")
    assert (secret.mode, secret.uid) == (0o400, 10003)


def test_a_further_process_of_the_image_runs(host):
    # The run has asked it. This Engine looks for the first time after ten seconds.
    deadline = time.monotonic() + 60
    while host.check_output("docker inspect -f '{{.State.Health.Status}}' shop-ticker") != "healthy":
        assert time.monotonic() < deadline
        time.sleep(1)
    assert "tick from hello" in host.check_output("docker logs shop-ticker")


def test_a_failed_release_command_leaves_the_old_container_serving(host, converge, own):
    before, notes = container_id(host), releases(host)
    changed = {
        "django_web_release_commands": [["python", "manage.py", "nonsense"]],
        "django_web_env": {**own["django_web_env"], "SHOP_GREETING": "never"},
    }
    # A failure is not remembered as a release: the second run tries again.
    for _attempt in range(2):
        run = converge(**changed)
        assert run.returncode != 0
        assert "Unknown command: 'nonsense'" in run.stdout
        assert container_id(host) == before
        assert greeting(host)["greeting"] == "hello"
    assert host.run("docker inspect shop-web-release").rc != 0
    assert not host.file("/opt/shop/containers/shop-web-release").exists
    assert releases(host) == notes


def test_a_changed_environment_replaces_the_container_and_releases_nothing(host, converge, own):
    before, notes = container_id(host), releases(host)
    assert succeeded(converge(django_web_env={**own["django_web_env"], "SHOP_GREETING": "hi"}))
    assert container_id(host) != before
    assert greeting(host)["greeting"] == "hi"
    assert releases(host) == notes


def test_changed_release_commands_run_once_more(host, converge, own):
    notes = releases(host)
    changed = {"django_web_release_commands": [*own["backend_release_commands"], ["true"]]}
    assert succeeded(converge(**changed))
    assert succeeded(converge(**changed))
    assert len(releases(host)) == len(notes) + 1


# The next test changes the same and restores.
def test_an_application_that_is_not_ready_fails_the_run_and_says_why(host, converge, own):
    environment = {**own["django_web_env"], "SHOP_GREETING": "not ready"}
    run = converge(django_web_env=environment, backend_ready_path="/unready", backend_ready_wait_seconds=6)
    assert run.returncode != 0
    assert "/unready with Host shop.example.org answered 503" in run.stdout
    assert "no such table: shop_nothing" in run.stdout


def test_web_that_loads_refuses_connections_instead_of_letting_them_wait(host, converge, own, restored):
    assert succeeded(converge(django_web_env={**own["django_web_env"], "SHOP_LOAD_SECONDS": "12"}))
    main = host.check_output("docker inspect -f '{{.State.Pid}}' shop-web")

    def answers_until_it_is_back() -> list[tuple[int, float]]:
        """curl's exit code for each attempt, and its seconds."""
        answers = []
        for _attempt in range(100):
            begun = time.monotonic()
            run = host.run(f"curl -sS -o /dev/null --max-time 40 -H 'Host: shop.example.org' {BASE}/up")
            answers.append((run.rc, time.monotonic() - begun))
            if run.rc == 0:
                return answers
            time.sleep(0.5)
        pytest.fail(str(answers))

    # First every worker, then the server itself, as when the memory does not suffice.
    for victims in ("pgrep -P $(pgrep -P %s -f gunicorn)", "pgrep -P %s -f gunicorn"):
        host.run_expect([0], f"kill -9 $({victims % main})")
        time.sleep(3)
        answers = answers_until_it_is_back()
        # 7: refused. Nobody waits for the twelve seconds.
        assert 7 in {code for code, _seconds in answers}
        assert {code for code, _seconds in answers} <= {0, 7}
        assert max(seconds for _code, seconds in answers) < 6
        main = host.check_output("docker inspect -f '{{.State.Pid}}' shop-web")


def test_large_requests_pass(host):
    host.run_expect([0], "printf 'Cookie: a=%030000d' 0 > /root/cookie")
    options = (
        "-o /dev/null -w '%{http_code}' -H @/root/cookie -H 'Host: shop.example.org' -H 'X-Forwarded-Proto: https'"
    )
    query = "x" * 9000
    assert host.check_output(f"curl -sS --max-time 40 {options} '{BASE}/?{query}'") == "200"


def test_a_running_request_is_finished_at_a_stop_and_the_container_is_started_again(host, converge):
    before, notes = container_id(host), releases(host)
    host.run_expect(
        [0],
        f"nohup curl -sS -o /tmp/slow -w '%{{http_code}}' --max-time 40 -H 'Host: shop.example.org' "
        f"-H 'X-Forwarded-Proto: https' '{BASE}/slow?seconds=5' > /tmp/slow.status 2>&1 &",
    )
    time.sleep(2)
    host.run_expect([0], "docker stop shop-web")
    assert host.file("/tmp/slow.status").content_string == "200"
    assert json.loads(host.file("/tmp/slow").content_string) == {"slept": "5"}
    assert host.check_output("docker inspect -f '{{.State.ExitCode}}' shop-web") == "0"
    assert succeeded(converge())
    assert (container_id(host), releases(host)) == (before, notes)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"django_web_release_commands": ["python manage.py migrate"]}, "each command is a list of arguments"),
        ({"django_web_processes": {"ticker": {"comand": ["true"]}}}, "django_web_processes.ticker"),
        ({"django_web_server": {"threads": "many"}}, "django_web_server"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(host, converge, variables, message):
    before = container_id(host)
    run = converge(**variables)
    assert run.returncode != 0
    assert message in " ".join(run.stdout.split())
    assert container_id(host) == before
