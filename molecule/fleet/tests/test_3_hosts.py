"""Hosts join by the inventory; and each of them shows others what they need, nothing else."""

from __future__ import annotations

import json
import subprocess

import pytest
from fleet import DOMAIN, FULL, SCENARIO, STACK, needs_full

PROGRAM = (SCENARIO / "scan.py").read_text()
# The ports that anything of the stack or of a Docker host could listen on, or all.
PORTS = "1-65535" if FULL else "1-1024,2375-2377,5432-5433,6379-6390,7946,8000-8200,8432,8443,9000-9200,26379"


def probe(source: str, command: str, ports: str, seconds: float, addresses: list[str]) -> dict[str, list[int]]:
    """Address -> the ports of it that take a connection within these seconds."""
    done = subprocess.run(
        ["docker", "exec", "-i", source, *command.split(), "-", ports, str(seconds), *addresses],
        input=PROGRAM,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def scan(fleet, source: str, command: str = "python3") -> dict[str, list[int]]:
    """Host -> the ports of it that a process on another one reaches."""
    targets = {host: fleet.address(host) for host in fleet.hosts if host != source}
    # Long enough for the second packet of an attempt whose first was lost.
    found = probe(source, command, PORTS, 2.5, list(targets.values()))
    for host, address in targets.items():
        # Thousands of attempts at once: on a busy machine one that would succeed can take longer.
        if missed := set(listening(fleet, host)) - set(found[address]):
            found[address] += probe(source, command, ",".join(map(str, missed)), 15, [address])[address]
    return {host: sorted(found[address]) for host, address in targets.items()}


def listening(fleet, target: str) -> list[int]:
    """What answers at any time: nothing listens in the slot of a release that is stopped, but the gateway does."""
    return [22, 443] if target in fleet.group("edge") else [22]


def allowed(fleet, target: str, source: str = "") -> list[int]:
    """What issue 4 allows: SSH, the edges' two ports, and services for the groups that use them."""
    ports = {22}
    if target in fleet.group("edge"):
        ports |= {80, 443}
    if target in fleet.group("web") and source in fleet.group("edge"):
        ports |= {8100, 8101, 8102}
    if target in fleet.group("postgres") and source in fleet.group("web", "worker", "backups"):
        ports |= {5432}
    if target in fleet.group("redis") and source in fleet.group("web", "worker"):
        ports |= {6379, 6380}
    return sorted(ports)


def check(fleet, record, label: str, found: dict[str, list[int]], source: str = "") -> None:
    record(source=label, reaches=found)
    for target, ports in found.items():
        unexpected = set(ports) - set(allowed(fleet, target, source))
        assert not unexpected, (label, target, ports)
        assert set(listening(fleet, target)) <= set(ports), (label, target, ports)


def test_a_scan_from_each_host_finds_what_its_groups_use(fleet, record):
    for source in fleet.hosts:
        check(fleet, record, source, scan(fleet, source), source)


def test_a_scan_from_outside_finds_the_edges(fleet, record):
    for source in set(fleet.group("nested")) - set(fleet.hosts):
        check(fleet, record, f"{source} (outside)", scan(fleet, source))


def test_a_scan_from_a_foreign_container_finds_the_edges(fleet, record):
    for source in (fleet.group("edge")[0], fleet.group("worker")[0]):
        image = fleet.on(source, f"docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' {STACK}/django").split()[0]
        found = scan(fleet, source, f"docker run --rm -i --user 65534 --entrypoint python {image}")
        check(fleet, record, f"foreign container on {source}", found)


METADATA = "169.254.169.254"


@pytest.fixture
def metadata(fleet):
    """The host outside has the address of a metadata service; its sshd answers there and at its own address."""
    (outside,) = set(fleet.group("nested")) - set(fleet.hosts)
    fleet.on(outside, f"ip address replace {METADATA}/32 dev lo")
    for host in fleet.hosts:
        fleet.on(host, f"ip route replace {METADATA} via {fleet.address(outside)}")
    yield fleet.address(outside)
    for host in fleet.hosts:
        fleet.on(host, f"ip route del {METADATA}")
    fleet.on(outside, f"ip address del {METADATA}/32 dev lo")


def reached(fleet, host: str, container: str, ports: str, addresses: list[str]) -> dict[str, list[int]]:
    pid = fleet.on(host, "docker inspect --format '{{.State.Pid}}' %s", container)
    return probe(host, f"nsenter --target {pid} --net python3", ports, 2.5, addresses)


def test_web_and_workers_alone_have_a_way_out_and_none_reaches_its_host(fleet, metadata, record):
    addresses = {host: fleet.address(host) for host in fleet.hosts}
    kinds = set()
    for host in fleet.hosts:
        for container in fleet.containers(host):
            kind = container.removeprefix(f"{STACK}-").split("-")[0]
            found = reached(fleet, host, container, "22", [METADATA, metadata, *addresses.values()])
            way_out = [22] if kind in ("web", "worker") else []
            others = {address: way_out for name, address in addresses.items() if name != host}
            assert found == {METADATA: [], metadata: way_out, addresses[host]: [], **others}, (host, container)
            kinds.add(kind)
    record(kinds=sorted(kinds))
    assert {"web", "worker", "beat", "nginx", "gateway", "postgres", "redis", "backups"} <= kinds


def test_who_has_no_way_out_reaches_what_it_needs_of_other_hosts_and_its_own(fleet):
    webs = [fleet.address(host) for host in fleet.group("web")]
    for host in fleet.group("edge"):
        found = reached(fleet, host, f"{STACK}-nginx", "8100-8102", webs)
        assert found == {address: [8100, 8101, 8102] for address in webs}, host
    (host,) = [host for host in fleet.group("worker") if any("-beat-" in name for name in fleet.containers(host))]
    beat = next(name for name in fleet.containers(host) if "-beat-" in name)
    data = [fleet.address(fleet.group(group)[0]) for group in ("postgres", "redis")]
    found = reached(fleet, host, beat, "5432,6379,6380", data)
    assert all(ports == [5432, 6379, 6380] for ports in found.values()), found


def test_without_the_filter_an_edge_has_a_way_out(fleet, metadata):
    """What is refused above would answer."""
    host = fleet.group("edge")[0]
    fleet.on(host, f"nft delete table inet broadcast_{STACK}")
    try:
        found = reached(fleet, host, f"{STACK}-nginx", "22", [METADATA, metadata, fleet.address(host)])
    finally:
        fleet.on(host, f"nft --file /etc/broadcast.stack/{STACK}.nft")
    assert set(map(tuple, found.values())) == {(22,)}, found


def test_plain_text_is_refused_across_hosts(fleet):
    host, slot = fleet.group("web")[0], fleet.slot()
    database, broker = (fleet.address(fleet.group(group)[0]) for group in ("postgres", "redis"))
    postgres = (
        "import psycopg, os; "
        f"psycopg.connect(host='{database}', user='{STACK}_app', dbname='{STACK}', sslmode='disable', "
        "password='canary-postgres-application-f7a0')"
    )
    redis = (
        f"import socket; s = socket.create_connection(('{broker}', 6379), 5); s.sendall(b'PING\\r\\n'); "
        "s.settimeout(5); print(s.recv(100))"
    )
    for code, good in ((postgres, "no encryption"), (redis, "")):
        done = subprocess.run(
            ["docker", "exec", host, "docker", "exec", f"{STACK}-web-{slot}", "python", "-c", code],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert good in done.stdout, done.stdout
        assert "PONG" not in done.stdout
        assert done.returncode != 0 or "b''" in done.stdout, done.stdout


@needs_full
def test_a_host_joins_by_two_lines_in_the_inventory(fleet, site, loaded, record, tmp_path):
    (joining,) = set(fleet.group("nested")) - set(fleet.hosts)
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(f"[web]\n{joining}\n")
    fleet.inventories.append(str(inventory))
    fleet.__dict__.pop("inventory")
    with loaded() as result:
        done = site()
        assert done.returncode == 0, done.stdout
    record(requests=result["requests"], failed=result["failed"], domain=DOMAIN)
    assert result["failed"] == 0, json.dumps(result, indent=2)
    (hosts,) = fleet.serves(5).values()
    assert joining in hosts
    fleet.check_records()
