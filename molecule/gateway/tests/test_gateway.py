"""The gateway as other hosts meet it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# As the container's health check asks: Redis answers nobody else.
PING = r"AUTH health none\r\nPING\r\n"


@pytest.fixture(scope="module")
def pki(host) -> str:
    """The authority and the host's own certificate, on the host."""
    store = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki"
    host.check_output("mkdir -p /root/pki")
    for name in ("ca.crt", "molecule-gateway.crt", "molecule-gateway.key"):
        host.run_expect([0], f"printf %s '{(store / name).read_text()}' > /root/pki/{name}")
    return "--cacert /root/pki/ca.crt"


@pytest.fixture
def ours(pki) -> str:
    return f"{pki} --cert /root/pki/molecule-gateway.crt --key /root/pki/molecule-gateway.key"


def curl(host, options: str, port: int = 8100, scheme: str = "https"):
    return host.run(f"curl -sS --max-time 5 {options} {scheme}://127.0.0.1:{port}/")


def started(host) -> str:
    return host.check_output("docker inspect --format '{{.State.StartedAt}}' shop-gateway")


def test_a_client_of_the_authority_reaches_web(host, ours):
    answer = curl(host, ours)
    assert answer.stdout.startswith("from 10.213.77."), answer.stderr


def test_a_client_without_a_certificate_does_not(host, pki):
    answer = curl(host, pki)
    assert answer.rc != 0
    assert "from" not in answer.stdout


def test_a_client_of_another_authority_does_not(host, pki):
    host.check_output(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /root/pki/o.key -out /root/pki/o.crt"
    )
    answer = curl(host, f"{pki} --cert /root/pki/o.crt --key /root/pki/o.key")
    assert answer.rc != 0
    assert "from" not in answer.stdout


def test_plain_text_reaches_nobody(host, pki):
    assert "from" not in curl(host, "", scheme="http").stdout
    answer = host.run(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379; printf \"{PING}\" >&3; timeout 3 cat <&3'")
    assert "PONG" not in answer.stdout
    assert "NOAUTH" not in answer.stdout


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "not within 30 seconds"
        time.sleep(0.5)


def test_redis_answers_by_tls(host, pki):
    talk = f"(printf '{PING}'; sleep 1)"
    answer = host.run(
        f"{talk} | timeout 5 openssl s_client -quiet -verify_return_error -verify_ip 127.0.0.1 "
        "-CAfile /root/pki/ca.crt -connect 127.0.0.1:6379"
    )
    assert "+PONG" in answer.stdout, answer.stderr


def test_a_target_that_is_down_harms_no_other(host, ours):
    assert curl(host, ours, 8101).rc != 0
    assert curl(host, ours).rc == 0


def test_it_starts_and_is_healthy_while_everything_else_is_down(host, ours):
    host.check_output("docker stop --time 1 shop-web-blue shop-redis-cache")
    try:
        host.check_output("docker restart shop-gateway")
        for _second in range(30):
            if host.check_output("docker inspect --format '{{.State.Health.Status}}' shop-gateway") == "healthy":
                break
            time.sleep(1)
        else:
            pytest.fail("not healthy within 30 seconds")
    finally:
        host.check_output("docker start shop-web-blue shop-redis-cache")
    for _second in range(15):
        if curl(host, ours).rc == 0:
            break
        time.sleep(1)
    assert curl(host, ours).rc == 0


def test_a_renewed_certificate_is_served_and_an_open_connection_stays(host, pki, converge):
    shown = "openssl s_client -connect 127.0.0.1:6379 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    before, since = host.check_output(shown), started(host)
    host.check_output(
        f"(printf '{PING}'; sleep 60; printf '{PING}'; sleep 2) | openssl s_client -quiet "
        "-CAfile /root/pki/ca.crt -connect 127.0.0.1:6379 > /root/open.log 2>&1 &"
    )
    run = converge(certificates_renew_days=365, certificates_valid_days=366)
    assert run.returncode == 0, run.stdout
    # An old worker may take one more connection.
    wait(lambda: host.check_output(shown) != before)
    assert started(host) == since
    for _second in range(70):
        if host.file("/root/open.log").content_string.count("+PONG") == 2:
            break
        time.sleep(1)
    assert host.file("/root/open.log").content_string.count("+PONG") == 2


def test_a_target_that_moves_is_loaded_without_a_restart(host, ours, converge):
    since = started(host)
    services = [
        {"name": "web-green", "port": port, "target": "10.213.77.11:8000", "mutual": True} for port in (8100, 8101)
    ]
    redis = {"name": "redis-cache", "port": 6379, "target": "10.213.77.170:6379"}
    try:
        assert converge(gateway_services=[*services, redis]).returncode == 0
        wait(lambda: curl(host, ours, 8101).rc == 0)
        assert started(host) == since
    finally:
        assert converge().returncode == 0


def test_two_services_at_one_port_are_refused(converge):
    services = [{"name": name, "port": 8100, "target": "10.0.0.1:80"} for name in ("a", "b")]
    run = converge(gateway_services=services)
    assert run.returncode != 0
    assert "two services have the same port" in " ".join(run.stdout.split())
