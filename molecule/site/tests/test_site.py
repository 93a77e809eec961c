"""What the users of a production host see, and what nobody may see."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
STACK = "broadcast"
DOMAIN = "stack.test"
SHARED = yaml.safe_load((ROOT / "molecule/shared/inventory/group_vars/all/10_molecule.yml").read_text())
SECRETS = [value for name, value in SHARED.items() if name.startswith("secret_")]


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(1)


@pytest.fixture(scope="module")
def containers(host) -> dict[str, dict]:
    names = host.check_output(f"docker ps -q --filter label=broadcast.stack.name={STACK}").split()
    return {
        item["Name"].strip("/"): item for item in json.loads(host.check_output("docker inspect %s" % " ".join(names)))
    }


@pytest.fixture(scope="module")
def token(host) -> str:
    """API token of a superuser."""
    code = (
        "from django.contrib.auth import get_user_model as m; from rest_framework.authtoken.models import Token; "
        "u, _ = m().objects.get_or_create(username='operator', is_staff=True, is_superuser=True); "
        "print('token', Token.objects.get_or_create(user=u)[0].key)"
    )
    output = host.check_output(f'docker exec {STACK}-web-blue python manage.py shell -c "{code}"')
    return re.search(r"token (\w+)", output).group(1)


@pytest.fixture(scope="module", autouse=True)
def client(host) -> None:
    """A client on the host that knows the local authority."""
    authority = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki" / "ca.crt"
    program = Path(__file__).with_name("request.py")
    for target, text in (("/tmp/ca.pem", authority.read_text()), ("/tmp/request.py", program.read_text())):
        host.check_output(f"cat > {target} <<'END'\n{text}\nEND")


def request(host, url: str, method: str = "GET", token: str = "", body: str = "") -> dict:
    """Status, headers and body of the edge's answer."""
    return json.loads(host.check_output("python3 /tmp/request.py %s %s %s %s", url, method, token, body))


def api(host, token: str, method: str, path: str, body: dict | None = None) -> dict:
    answer = request(host, f"https://{DOMAIN}{path}", method, token, json.dumps(body) if body else "")
    assert answer["status"] < 300, answer
    return json.loads(answer["body"])


def test_a_broadcast_is_delivered_through_the_edge_api_broker_worker_and_database(host, token):
    audience = api(host, token, "POST", "/api/audiences/", {"name": "Hooks"})["id"]
    for number in range(5):
        hook = {"audience": audience, "name": f"Hook {number}", "webhook_url": f"http://{STACK}-sink:9000/{number}"}
        api(host, token, "POST", "/api/recipients/", hook)
    message = {"subject": "Hello", "body": "To all.", "audience": audience, "channel": "webhook"}
    broadcast = api(host, token, "POST", "/api/broadcasts/", message)["id"]
    wait_until(lambda: api(host, token, "GET", f"/api/broadcasts/{broadcast}/")["status"] == "finished", 90)
    progress = api(host, token, "GET", f"/api/broadcasts/{broadcast}/")["progress"]
    assert (progress["sent"], progress["failed"]) == (5, 0)
    received = re.findall(r'"POST /(\d) ', host.run(f"docker logs {STACK}-sink-blue").stderr)
    assert sorted(received) == list("01234")


def test_http_is_redirected_to_https_and_static_files_come_from_the_edge(host, token):
    redirect = request(host, f"http://{DOMAIN}/")
    assert redirect["status"] == 301
    assert redirect["headers"]["location"] == f"https://{DOMAIN}/"
    login = request(host, f"https://{DOMAIN}/accounts/login/")
    style = re.search(r'href="(/static/[^"]+\.css)"', login["body"]).group(1)
    static = request(host, f"https://{DOMAIN}{style}")
    assert static["status"] == 200
    assert "immutable" in static["headers"]["cache-control"]
    assert "strict-transport-security" in login["headers"]


def test_the_application_is_ready_and_says_so_to_the_run_alone(host):
    web = f"{STACK}-web-blue"
    asked = host.check_output(f"cat /opt/{STACK}/containers/{STACK}-web/state/ready/sha256")
    assert asked == host.check_output("docker inspect --format '{{.Id}}' " + web)
    for path in ("/health/ready/", "//health/ready/", "/health//ready/", "/health/%72eady/"):
        refused = request(host, f"https://{DOMAIN}{path}")
        assert refused["status"] in (400, 404), (path, refused)
        assert "checked" not in refused["body"], path


def test_the_schema_of_the_api_is_for_accounts(host, token):
    assert request(host, f"https://{DOMAIN}/api/schema/")["status"] == 401
    assert "/api/broadcasts/" in request(host, f"https://{DOMAIN}/api/schema/", "GET", token)["body"]


def test_only_the_edge_is_published(containers):
    published = {
        name: sorted(container["HostConfig"]["PortBindings"])
        for name, container in containers.items()
        if container["HostConfig"]["PortBindings"]
    }
    assert list(published) == [f"{STACK}-nginx"]


def test_every_container_runs_hardened(containers):
    assert len(containers) >= 8
    for name, container in containers.items():
        config = container["HostConfig"]
        assert container["State"]["Health"]["Status"] == "healthy", name
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert config["ReadonlyRootfs"], name
        assert config["CapDrop"] == ["ALL"], name
        assert not config["CapAdd"], name
        assert "no-new-privileges:true" in config["SecurityOpt"], name
        assert 0 < config["Memory"] == config["MemorySwap"], name
        assert 0 < config["PidsLimit"] <= 4096, name
        assert config["LogConfig"]["Config"]["max-size"] == "10m", name
        assert config["RestartPolicy"]["Name"] == "unless-stopped", name


def test_no_process_of_a_container_runs_as_root(host, containers):
    for name in containers:
        # The reaping init is Docker's own and has no capability either.
        users = set(host.check_output(f"docker exec {name} sh -c 'cat /proc/[0-9]*/status' | grep ^Uid").split("\n"))
        assert not [line for line in users if line.split()[1] == "0"], name


def test_no_secret_is_where_others_can_read_it(host, containers):
    ids = " ".join(container["Id"] for container in containers.values())
    images = " ".join({container["Image"] for container in containers.values()})
    places = {
        "docker inspect": json.dumps(containers),
        "docker history": host.check_output(f"for i in {images}; do docker history --no-trunc $i; done"),
        "process arguments": host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
        "logs": host.check_output(f"for i in {ids}; do docker logs $i 2>&1; done"),
        "files that others can read": host.check_output(
            "find /opt /etc /tmp /root /var/log -xdev -type f -perm /044 -size -1000k -exec cat {} + "
            "| tr -cd '\\11\\12\\40-\\176'"
        ),
        "the Engine's log": host.run("cat /var/log/docker.log").stdout,
    }
    found = {place for place, text in places.items() for secret in SECRETS if secret in text}
    assert found == set()


def test_secrets_belong_to_the_containers_user_alone(host):
    listing = host.check_output(f"find /opt/{STACK}/containers -path '*/secrets/*' -printf '%m %U\\n'")
    assert {line.split()[0] for line in listing.splitlines()} == {"400"}
    assert "0" not in {line.split()[1] for line in listing.splitlines()}


def test_a_run_that_changes_nothing_executes_at_most_twelve_modules(converge, tmp_path, monkeypatch):
    counts = tmp_path / "counts.json"
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "broadcast.stack.module_count")
    monkeypatch.setenv("MODULE_COUNT_PATH", str(counts))
    done = converge()
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout, done.stdout
    assert 0 < len(json.loads(counts.read_text())) <= 12, done.stdout


def test_the_most_verbose_output_of_check_and_diff_shows_no_secret(converge):
    done = converge(
        "--check", "--diff", "-vvv", postgres_memory="600m", secret_redis_cache="canary-rotated-redis-cache-77"
    )
    assert done.returncode == 0, done.stdout
    assert "changed=0" not in done.stdout
    assert [secret for secret in [*SECRETS, "canary-rotated-redis-cache-77"] if secret in done.stdout] == []


# A machine outside with an address of its own and that of a metadata service; it and the host answer at port 2222.
OUTSIDE = """
set -e
ip netns add outside
ip link add to-outside type veth peer name to-host netns outside
ip address add 192.0.2.1/24 dev to-outside
ip link set to-outside up
ip -n outside address add 192.0.2.2/24 dev to-host
ip -n outside address add 169.254.169.254/32 dev to-host
ip -n outside link set to-host up
ip -n outside route add default via 192.0.2.1
ip route add 169.254.169.254 via 192.0.2.2
mkdir -p /tmp/empty
cd /tmp/empty
(setsid ip netns exec outside python3 -m http.server 2222 > /dev/null 2>&1 &)
(setsid python3 -m http.server 2222 > /dev/null 2>&1 &)
sleep 2
"""


@pytest.fixture
def outside(host) -> str:
    host.run_expect([0], f"bash -c '{OUTSIDE}'")
    yield "192.0.2.2"
    host.check_output("pkill -f 'http.serve[r] 2222'; ip netns del outside")


def test_web_and_workers_alone_have_a_way_out_and_none_reaches_the_host(host, outside):
    addresses = [outside, "169.254.169.254", "192.0.2.1"]
    program = (ROOT / "molecule/fleet/scan.py").read_text()
    host.check_output(f"cat > /tmp/scan.py <<'END'\n{program}\nEND")

    def reached(container: str) -> list[str]:
        pid = host.check_output("docker inspect --format '{{.State.Pid}}' %s", container)
        command = f"nsenter --target {pid} --net python3 /tmp/scan.py 2222 2.5 {' '.join(addresses)}"
        return [address for address, ports in json.loads(host.check_output(command)).items() if ports]

    found = {name: reached(name) for name in host.check_output("docker ps --format '{{.Names}}'").split()}
    kinds = {name.removeprefix(f"{STACK}-").split("-")[0] for name in found}
    assert {"web", "worker", "beat", "nginx", "postgres", "redis", "backups"} <= kinds
    # A process beside web is the application as well.
    way_out = ("web", "worker", "sink")
    expected = {name: [outside] if name.removeprefix(f"{STACK}-").split("-")[0] in way_out else [] for name in found}
    assert found == expected
    # Without the table what is refused here would answer.
    host.check_output(f"nft delete table inet broadcast_{STACK}")
    try:
        assert reached(f"{STACK}-nginx") == addresses
    finally:
        host.check_output(f"nft --file /etc/broadcast.stack/{STACK}.nft")


def test_a_bad_inventory_is_refused_before_anything_changes(host, converge, containers):
    done = converge(backend_domains=[], stack_environment="production", postgres_memroy="1g")
    assert done.returncode != 0
    for name in ("backend_domains", "stack_environment", "postgres_memroy"):
        assert name in done.stdout
    running = host.check_output("docker ps -q --no-trunc").split()
    assert {container["Id"] for container in containers.values()} <= set(running)


def test_a_host_that_leaves_a_group_is_rid_of_what_ran_for_it(host, play, converge, containers, monkeypatch):
    workers = {name for name in containers if re.match(f"{STACK}-(worker|beat|periodic)-", name)}
    assert len(workers) >= 2
    complete = Path(os.environ["MOLECULE_INVENTORY_FILE"])
    inventory = yaml.safe_load(complete.read_text())
    inventory["worker"]["hosts"] = {}
    # Beside the variables of its groups.
    without = complete.with_name("without_worker.yml")

    def names() -> set[str]:
        return set(host.check_output("docker ps --all --format '{{.Names}}'").split())

    def left(*arguments: str, playbook: str = "site") -> str:
        done = play(ROOT / f"playbooks/{playbook}.yml", *arguments, backend_beat_enabled=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    try:
        without.write_text(yaml.safe_dump(inventory))
        monkeypatch.setenv("MOLECULE_INVENTORY_FILE", str(without))
        plan = left(playbook="plan")
        for name in workers:
            assert f"celery_worker: remove {name}: the host is not in group worker any more" in plan
        left("--check")
        assert workers <= names()
        left()
        assert not workers & names()
        # A healthy status ends with 0.
        assert "differs from what is specified" not in left(playbook="status")
        folders = host.check_output(f"ls /opt/{STACK}/containers").split()
        assert not workers & set(folders)
        assert "changed=0" in left()
    finally:
        without.unlink()
        monkeypatch.undo()
    done = converge()
    assert done.returncode == 0, done.stdout
    assert workers <= names()
    now = host.check_output("docker ps --quiet --no-trunc").split()
    assert {container["Id"] for name, container in containers.items() if name not in workers} <= set(now)


def test_changed_code_is_delivered_and_only_what_runs_it_is_replaced(host, converge, containers, tmp_path):
    source = tmp_path / "backend"
    host_source = ROOT / "backend"
    for path in host_source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = source / path.relative_to(host_source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode)
    health = source / "config" / "health.py"
    health.write_text(health.read_text().replace('{"status": "ok"}', '{"status": "second release"}', 1))
    done = converge(backend_context=str(source))
    assert done.returncode == 0, done.stdout
    assert json.loads(request(host, f"https://{DOMAIN}/health/")["body"]) == {"status": "second release"}
    running = set(host.check_output("docker ps -q --no-trunc").split())
    replaced = {name for name, container in containers.items() if container["Id"] not in running}
    assert f"{STACK}-web-blue" in replaced
    assert not replaced & {
        f"{STACK}-{name}" for name in ("postgres", "redis-broker", "redis-cache", "nginx", "backups")
    }
