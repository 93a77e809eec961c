"""Three applications of others on one host: each gets what it asked for, and none meets another."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAY = Path(__file__).resolve().parents[1] / "play.py"
# Name of the stack to its address.
APPS = {"ledger": "https://ledger.test", "pulse": "https://pulse.test:8443", "bazaar": "https://bazaar.test:9443"}


def inventory(app: str, file: str) -> dict:
    return yaml.safe_load((ROOT / f"tests/apps/{app}/inventory/group_vars/all/{file}.yml").read_text())


def secrets(app: str) -> dict[str, str]:
    return inventory(app, "20_secrets")


def play(app: str, playbook: str, *arguments: str) -> str:
    """What a playbook printed for one of the applications."""
    command = [sys.executable, str(PLAY), app, playbook, *arguments]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(1)


@pytest.fixture(scope="module", autouse=True)
def client(host) -> None:
    """A client on the host that knows the authority of each stack."""
    pki = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
    files = {f"/tmp/{app}.pem": pki / f"pki-{app}" / "ca.crt" for app in APPS}
    files["/tmp/client.py"] = Path(__file__).with_name("client.py")
    for target, source in files.items():
        host.check_output(f"cat > {target} <<'END'\n{source.read_text()}\nEND")


def ask(host, app: str, path: str, **asked: object) -> dict:
    """The answer of an application's edge."""
    asked = {"url": APPS[app] + path, "authority": f"/tmp/{app}.pem", **asked}
    return json.loads(host.check_output("python3 /tmp/client.py %s", json.dumps(asked)))


def data(host, app: str, path: str) -> dict:
    answer = ask(host, app, path)
    assert answer["status"] == 200, answer
    return json.loads(answer["body"])


def entries(host, kind: str) -> list[str]:
    """Notes of ledger's entries of one kind."""
    return [entry["note"] for entry in data(host, "ledger", "/entries/")["entries"] if entry["kind"] == kind]


def events(host, kind: str) -> list[str]:
    """Notes of pulse's events of one kind."""
    return [event["note"] for event in data(host, "pulse", "/events/")["events"] if event["kind"] == kind]


def articles(host, kind: str) -> list[str]:
    """Pictures of bazaar's articles of one kind."""
    found = data(host, "bazaar", "/articles/")["articles"]
    return [article["picture"] for article in found if article["kind"] == kind]


def containers(host, app: str) -> dict[str, dict]:
    """Name to what docker inspect says, of the containers of one stack; those that run without their release slot."""
    names = host.check_output(f"docker ps -aq --filter label=broadcast.stack.name={app}").split()
    found = json.loads(host.check_output("docker inspect " + " ".join(names))) if names else []
    # A release before may still finish what it does.
    found.sort(key=lambda item: int(item["Config"]["Labels"].get("broadcast.stack.release", 0)))
    return {service(item) if item["State"]["Running"] else item["Name"].strip("/"): item for item in found}


def service(item: dict) -> str:
    slot = item["Config"]["Labels"].get("broadcast.stack.slot", "")
    return item["Name"].strip("/").removesuffix(f"-{slot}")


def inside(host, app: str, name: str) -> str:
    """`docker exec` in the live container of a service."""
    return "docker exec " + containers(host, app)[f"{app}-{name}"]["Id"]


def ids(host, app: str) -> dict[str, str]:
    return {name: item["Id"] for name, item in containers(host, app).items()}


def image_users(host, app: str) -> list[str]:
    """Ids of the containers that run the application's image."""
    found = containers(host, app)
    image = found[f"{app}-web"]["Image"]
    return [item["Id"] for item in found.values() if item["Image"] == image and item["State"]["Running"]]


# All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", APPS)
def test_it_answers_through_its_own_edge_with_its_own_certificate(host, app):
    answer = ask(host, app, "/")
    assert answer["status"] == 200, answer
    assert "strict-transport-security" in answer["headers"]
    for other in APPS.keys() - {app}:
        refused = ask(host, app, "/", authority=f"/tmp/{other}.pem")
        assert "certificate" in refused.get("error", ""), refused
    port = {"ledger": "", "pulse": ":8080", "bazaar": ":9080"}[app]
    redirect = ask(host, app, "/", url=f"http://{app}.test{port}/page")
    assert (redirect["status"], redirect["headers"]["location"]) == (301, f"{APPS[app]}/page")


@pytest.mark.parametrize("app", APPS)
def test_every_container_is_healthy_and_unprivileged(host, app):
    found = containers(host, app)
    assert f"{app}-web" in found
    for name, item in found.items():
        assert item["State"]["Running"], name
        assert item["State"]["Health"]["Status"] == "healthy", name
        assert item["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert item["HostConfig"]["CapDrop"] == ["ALL"], name
        assert 0 < item["HostConfig"]["Memory"] == item["HostConfig"]["MemorySwap"], name


@pytest.mark.parametrize("app", APPS)
def test_no_secret_is_where_others_can_read_it(host, app):
    found = containers(host, app)
    names, images = (
        " ".join(item["Id"] for item in found.values()),
        " ".join({item["Image"] for item in found.values()}),
    )
    places = {
        "docker inspect": json.dumps(found),
        "docker history": host.check_output(f"for i in {images}; do docker history --no-trunc $i; done"),
        "process arguments": host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
        "logs": host.check_output(f"for i in {names}; do docker logs $i 2>&1; done"),
        "the image's /app": host.check_output(f"{inside(host, app, 'web')} sh -c 'grep -r canary- /app || :'"),
        "files that others can read": host.check_output(
            # The inventory of ledger gives its configuration to the group of its user as well.
            "find /opt /etc /tmp /root /var/log -xdev -type f -perm /004 -size -1000k -exec cat {} + "
            "| tr -cd '\\11\\12\\40-\\176'"
        ),
    }
    shapes = {
        shape for value in secrets(app).values() for shape in (value, quote(value, safe=""), json.dumps(value)[1:-1])
    }
    assert {place for place, text in places.items() for shape in shapes if shape in text} == set()


def test_the_stacks_share_no_container_volume_network_or_database(host):
    of_stack = tuple(f"{app}-" for app in APPS)
    for kind in ("ps -a --format {{.Names}}", "volume ls --format {{.Name}}", "network ls --format {{.Name}}"):
        names = set(host.check_output(f"docker {kind}").split()) - {"bridge", "host", "none"}
        assert [name for name in names if not name.startswith(of_stack)] == [], kind
    for app in APPS:
        for name, item in containers(host, app).items():
            assert name.startswith(f"{app}-"), name
            assert all(network.startswith(f"{app}-") for network in item["NetworkSettings"]["Networks"]), name
            volumes = [mount["Name"] for mount in item["Mounts"] if mount["Type"] == "volume"]
            assert all(volume.startswith(f"{app}-") for volume in volumes), name
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
        databases = host.check_output(f'docker exec {app}-postgres psql -XAtU postgres -c "{query}"').split()
        assert databases == sorted([app, "postgres"])


# Ledger: a package without a tree -------------------------------------------------------------------------------------


def test_ledger_greets_with_a_program_of_a_debian_package(host):
    home = data(host, "ledger", "/")
    assert home["greeting"] == "Welcome to the books of ledger"
    assert home["url"] == f"{APPS['ledger']}/"


def test_ledger_consumes_the_queue_that_it_names_itself_and_changes_its_schema(host):
    assert ask(host, "ledger", "/books/2031/")["status"] == 202
    wait_until(lambda: entries(host, "book"), 60)
    assert set(entries(host, "book")) == {"2031 in /srv/ledger"}
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'ledger_book_2031'"
    assert (
        host.check_output(f'docker exec ledger-postgres psql -XAtU postgres -d ledger -c "{owner}"') == "ledger_owner"
    )


def test_ledger_gets_its_periodic_tasks_from_beat(host):
    wait_until(lambda: len(entries(host, "close")) > 1, 60)


def test_ledger_releases_again_without_what_must_happen_once(host):
    """Creating the administrator a second time would be an error."""
    released, announced = len(entries(host, "released")), len(entries(host, "announced"))
    assert released > 0 < announced
    play("ledger", "playbooks/release_commands.yml")
    assert set(entries(host, "released")) == {"first edition"}
    assert len(entries(host, "released")) == released + 1
    assert entries(host, "admin") == ["treasurer in /tmp"]
    # By commands that run after the switch, so web was there.
    assert set(entries(host, "announced")) == {"204"}
    assert host.run(f"{inside(host, 'ledger', 'web')} test -e /run/secrets/ledger_admin_password").rc == 1


def test_ledger_reads_a_configuration_that_belongs_to_its_user(host):
    users = image_users(host, "ledger")
    assert len(users) >= 3
    for name in users:
        assert (
            host.check_output(f"docker exec {name} stat -c '%a %u:%g' /etc/ledger/settings.py") == "440 10100:10100"
        ), name
        assert host.check_output(f"docker exec {name} id -u") == "10100", name


def test_ledger_serves_its_static_files_itself(host):
    style = ask(host, "ledger", "/assets/ledger/ledger.css")
    assert (style["status"], "Ledger Sans" in style["body"]) == (200, True), style
    assert "ledger-static" not in host.check_output("docker volume ls -q").split()


def test_ledger_keeps_uploads_in_a_volume_of_its_own_that_is_backed_up(host):
    assert ask(host, "ledger", "/receipts/coffee/", method="PUT", body="two cups")["status"] == 201
    assert ask(host, "ledger", "/receipts/coffee/")["body"] == "two cups"
    assert host.check_output(f"{inside(host, 'ledger', 'web')} stat -c '%a %u:%g' /srv/ledger") == "750 10100:10100"
    mounts = [mount.get("Name") for mount in containers(host, "ledger")["ledger-backups-volumes"]["Mounts"]]
    assert "ledger-data" in mounts


def test_ledgers_edge_does_what_the_inventory_says(host):
    for name in ("www.ledger.test", "accounts.test"):
        redirect = ask(host, "ledger", "/", url=f"https://{name}/page?a=b")
        assert redirect["status"] in (301, 308), redirect
        assert redirect["headers"]["location"] == "https://ledger.test/page?a=b"
    assert ask(host, "ledger", "/receipts/large/", method="PUT", size=900_000)["status"] == 201
    assert ask(host, "ledger", "/receipts/large/", method="PUT", size=1_200_000)["status"] == 413
    assert ask(host, "ledger", "/robots.txt")["body"] == "User-agent: *\nDisallow: /\n"
    assert ask(host, "ledger", "/ping")["status"] == 421


def test_ledger_has_the_limits_of_its_inventory(host):
    found = containers(host, "ledger")
    assert found["ledger-web"]["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["ledger-web"]["HostConfig"]["Memory"] == 384 * 2**20
    assert found["ledger-worker-books"]["HostConfig"]["NanoCpus"] == 500_000_000


# Pulse: a source tree that is installed as a package ------------------------------------------------------------------


def test_pulse_has_its_version_its_lists_and_its_files(host):
    home = data(host, "pulse", "/")
    assert home["version"] == "7.3"
    assert home["hosts"] == ["pulse.test", "api.pulse.test"]
    assert [origin.partition("://")[0] for origin in home["origins"]] == ["https", "https"]
    assert home["features"] == {"stream": True, "public_url": APPS["pulse"]}
    assert (home["mail"], home["spool"], home["cache"]) == ("pulse", "spooled", "cached")
    assert home["url"] == f"{APPS['pulse']}/"
    assert ask(host, "pulse", "/", url="https://api.pulse.test:8443/")["status"] == 200


def test_pulse_runs_a_task_of_each_queue_in_the_pool_that_consumes_it(host):
    answer = ask(host, "pulse", "/beats/", method="POST")
    assert json.loads(answer["body"]) == {"results": ["fast", "mail", "reports", "media-in", "low"]}, answer
    threads = {queue: set(events(host, f"queue {queue}")) for queue in ("fast", "mail", "reports", "media-in", "low")}
    own, main = {"thread"}, {"main"}
    assert threads == {"fast": own, "mail": own, "reports": main, "media-in": main, "low": main}
    assert "pulse-beat" not in containers(host, "pulse")


def test_pulse_runs_its_commands_on_their_timers_and_its_further_process(host):
    assert events(host, "listening") == ["hospital"]
    wait_until(lambda: len(events(host, "tally")) > 1, 90)
    assert set(events(host, "tally")) == {"every fifteen seconds in /tmp"}
    wait_until(lambda: events(host, "sweep"), 120)
    assert set(events(host, "sweep")) == {" in /app"}


def test_pulses_files_have_the_modes_of_its_inventory(host):
    for name in image_users(host, "pulse"):
        files = "/etc/pulse/pulse.ini /etc/pulse/features.yml /run/secrets/db_password"
        modes = host.check_output(f"docker exec {name} stat -c '%a %u %n' {files}").splitlines()
        assert modes[0] == "400 10003 /etc/pulse/pulse.ini", name
        assert modes[1].startswith("444 "), name
        assert modes[2] == "400 10003 /run/secrets/db_password", name
        assert host.check_output(f"docker exec {name} cat /etc/pulse/motd") == "Counts heartbeats.", name


def test_pulses_static_files_come_from_the_edge(host):
    path = data(host, "pulse", "/")["style"]
    style = ask(host, "pulse", path)
    assert path == "/pulse-static/pulse/pulse.css"
    assert (style["status"], "Pulse Mono" in style["body"]) == (200, True), style
    # Of the edge; the application has no view for it.
    assert "max-age" in style["headers"]["cache-control"]


def test_pulse_streams_and_talks_through_the_edge(host):
    stream = ask(host, "pulse", "/stream/")
    assert re.findall(r"data: (\d)", stream["body"]) == list("0123")
    assert stream["seconds_between_first_and_last"] > 0.5
    assert ask(host, "pulse", "/talk/", say="hello") == {"status": 101, "body": "heard hello"}


# Bazaar: manage.py, nested requirements, secrets in the environment ---------------------------------------------------


def test_bazaar_is_built_as_its_inventory_says(host):
    code = "import importlib.metadata as m, psycopg2; print(*map(m.version, ('sqlparse', 'wcwidth', 'psycopg2')))"
    # The first of the constraints that the inventory names, the second of those that a requirements file includes.
    assert host.check_output(f'{inside(host, "bazaar", "web")} python -c "{code}"') == "0.5.5 0.2.13 2.9.11"
    assert host.check_output(f"{inside(host, 'bazaar', 'web')} cat /etc/acme-release") == "ACME Debian 1"
    assert host.run(f"{inside(host, 'bazaar', 'web')} sh -c 'command -v gcc'").rc != 0
    config = containers(host, "bazaar")["bazaar-web"]
    assert (config["HostConfig"]["ReadonlyRootfs"], config["Config"]["WorkingDir"]) == (False, "/app/server")


def test_bazaar_gets_its_secrets_from_the_environment_whatever_is_in_them(host):
    key = secrets("bazaar")["secret_django_key"]
    assert data(host, "bazaar", "/articles/")["key"] == hashlib.sha256(key.encode()).hexdigest()


def test_bazaar_shows_an_upload_and_counts_it_by_a_task(host):
    form = ask(host, "bazaar", "/")
    cookie = re.search(r"csrftoken=\w+", form["headers"]["set-cookie"]).group()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form["body"]).group(1)
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n',
        '--b\r\nContent-Disposition: form-data; name="picture"; filename="chair.svg"\r\n\r\na chair\r\n--b--\r\n',
    ]
    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Cookie": cookie,
        # What browsers send; Django compares both with the host that it is asked for.
        "Origin": APPS["bazaar"],
        "Referer": APPS["bazaar"] + "/",
    }
    answer = ask(host, "bazaar", "/", method="POST", headers=headers, body="".join(parts))
    assert answer["status"] == 302, answer
    picture = ask(host, "bazaar", articles(host, "uploaded")[-1])
    assert (picture["status"], picture["body"]) == (200, "a chair")
    wait_until(lambda: articles(host, "counted"), 60)


def test_bazaar_gets_its_periodic_tasks_from_beat(host):
    wait_until(lambda: len(articles(host, "restocked")) > 1, 60)


def test_bazaars_page_names_a_static_file_that_the_edge_has(host):
    path = re.search(r'href="(/static/[^"]+)"', ask(host, "bazaar", "/")["body"]).group(1)
    assert re.fullmatch(r"/static/bazaar/bazaar\.[0-9a-f]{12}\.css", path)
    style = ask(host, "bazaar", path)
    assert (style["status"], "Bazaar Serif" in style["body"]) == (200, True), style
    assert "immutable" in style["headers"]["cache-control"]


# What changes a stack, at last ----------------------------------------------------------------------------------------


def test_a_changed_secret_restarts_what_uses_it_and_nothing_else(host):
    before = {app: ids(host, app) for app in APPS}
    play("bazaar", "site.yml", "-e", "secret_redis_cache=canary-bazaar-redis-cache-rotated-5d2")
    after = {app: ids(host, app) for app in APPS}
    assert (after["ledger"], after["pulse"]) == (before["ledger"], before["pulse"])
    changed = {name for name, container in before["bazaar"].items() if after["bazaar"][name] != container}
    assert changed >= {"bazaar-web", "bazaar-worker-default", "bazaar-beat", "bazaar-redis-cache"}
    assert not changed & {"bazaar-postgres", "bazaar-redis-broker", "bazaar-nginx"}
    assert articles(host, "uploaded")


def test_removing_a_stack_takes_a_confirmation_and_leaves_the_others_alone(host):
    def volumes(app: str) -> list[str]:
        names = host.check_output("docker volume ls -q").split()
        return sorted(name for name in names if name.startswith(f"{app}-"))

    def networks() -> set[str]:
        return {name.partition("-")[0] for name in host.check_output("docker network ls --format {{.Name}}").split()}

    before, kept = {app: ids(host, app) for app in APPS}, {app: volumes(app) for app in APPS}
    command = [sys.executable, str(PLAY), "bazaar", "playbooks/remove.yml", "-e", "remove_confirm=pulse"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert {app: ids(host, app) for app in APPS} == before

    play("bazaar", "playbooks/remove.yml", "-e", "remove_confirm=bazaar")
    assert {app: ids(host, app) for app in APPS} == {**before, "bazaar": {}}
    assert {app: volumes(app) for app in APPS} == kept
    assert {"ledger", "pulse"} <= networks()
    assert "bazaar" not in networks()
    assert not host.file("/opt/bazaar").exists

    play("bazaar", "playbooks/remove.yml", "-e", "remove_confirm=bazaar", "-e", "remove_volumes=true")
    assert {app: volumes(app) for app in APPS} == {**kept, "bazaar": []}
    assert {app: ids(host, app) for app in APPS} == {**before, "bazaar": {}}
    for app in ("ledger", "pulse"):
        assert ask(host, app, "/")["status"] == 200


def test_a_ready_image_takes_the_place_of_one_that_is_built(host):
    built = containers(host, "ledger")["ledger-web"]["Config"]["Image"]
    host.check_output(f"docker tag {built} acme/ledger:1.0")
    play("ledger", "site.yml", "-e", "backend_image=acme/ledger:1.0")
    found = {item["Id"]: item for item in containers(host, "ledger").values()}
    images = {found[identity]["Config"]["Image"] for identity in image_users(host, "ledger")}
    assert images == {"acme/ledger:1.0"}
    assert ask(host, "ledger", "/")["status"] == 200
