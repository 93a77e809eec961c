"""What a browser sees at the edge, asked with curl and openssl on the host itself."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

CA = "/root/ca.crt"
RESOLVE = " ".join(
    f"--resolve {name}:{port}:127.0.0.1"
    for name in ("shop.example.org", "www.shop.example.org", "other.example.org")
    for port in (80, 443)
)
SITE = "https://shop.example.org"


@pytest.fixture(scope="module", autouse=True)
def authority(host) -> None:
    """The authority's certificate, as a user would copy it from the controller."""
    certificate = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki" / "ca.crt").read_text()
    host.run_expect([0], f"printf %s '{certificate}' > {CA}")


@pytest.fixture
def key_pair() -> Callable[..., tuple[str, str]]:
    """A self-signed certificate for names, and its key."""

    def make(*names: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=90))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return (
            certificate.public_bytes(Encoding.PEM).decode(),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )

    return make


class Answer:
    def __init__(self, text: str) -> None:
        head, _sep, self.body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _sep, value = line.partition(": ")
            assert name.lower() not in self.headers, f"{name} is there twice"
            self.headers[name.lower()] = value


def curl(host, url: str, options: str = "") -> Answer:
    run = host.run(f"curl -sS -i --max-time 15 --cacert {CA} {RESOLVE} {options} '{url}'")
    assert run.rc == 0, run.stderr
    return Answer(run.stdout)


def wait_until_healthy(host, name: str) -> None:
    for _attempt in range(30):
        if host.check_output(f"docker inspect -f '{{{{.State.Health.Status}}}}' {name}") == "healthy":
            return
        time.sleep(1)
    pytest.fail(f"{name} did not become healthy")


def test_the_certificate_is_of_the_local_authority_and_for_every_name(host):
    assert curl(host, SITE + "/").status == 200
    assert curl(host, "https://www.shop.example.org/").status == 200


def test_http_is_redirected_with_path_and_query(host):
    answer = curl(host, "http://shop.example.org/a/b?c=d")
    assert (answer.status, answer.headers["location"]) == (301, SITE + "/a/b?c=d")


@pytest.mark.parametrize("version", ["--http1.1", "--http2", "--http3-only"])
def test_every_http_version_is_spoken(host, version):
    assert curl(host, SITE + "/", version).status == 200


@pytest.mark.parametrize(("version", "accepted"), [("tls1_1", False), ("tls1_2", True), ("tls1_3", True)])
def test_only_tls_1_2_and_1_3_are_spoken(host, version, accepted):
    run = host.run(
        f"openssl s_client -connect 127.0.0.1:443 -servername shop.example.org -{version} "
        f"-cipher 'ALL:@SECLEVEL=0' -CAfile {CA} -verify_return_error </dev/null"
    )
    assert (run.rc == 0) is accepted


def test_only_the_intermediate_suites_are_spoken(host):
    """Mozilla's of TLS 1.2: forward secrecy and authenticated encryption, for an elliptic key."""
    ours = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    asked = "openssl s_client -connect 127.0.0.1:443 -servername shop.example.org -tls1_2 -cipher"
    for suite in ours:
        assert host.run(f"{asked} {suite} </dev/null").rc == 0, suite
    others = ":".join(["ALL", *(f"!{suite}" for suite in ours), "@SECLEVEL=0"])
    assert "ECDHE-ECDSA-AES256-SHA" in host.check_output(f"openssl ciphers '{others}'")
    refused = host.run(f"{asked} '{others}' </dev/null")
    assert refused.rc != 0
    assert "handshake failure" in refused.stderr, refused


def test_the_key_exchange_resists_quantum_computers(host):
    run = host.run(f"openssl s_client -connect 127.0.0.1:443 -servername shop.example.org -CAfile {CA} </dev/null")
    assert "X25519MLKEM768" in run.stdout + run.stderr


def test_an_unknown_name_gets_no_certificate(host):
    run = host.run(f"curl -sS -k --max-time 5 {RESOLVE} https://other.example.org/")
    assert run.rc == 35
    assert "unrecognized name" in run.stderr


def test_an_unknown_name_gets_no_answer(host):
    plain = host.run(f"curl -sS -i --max-time 5 {RESOLVE} http://other.example.org/")
    assert (plain.rc, plain.stdout) == (52, "")
    # A known name in the handshake and another one in the request.
    smuggled = f"curl -sS -i --http1.1 --max-time 5 --cacert {CA} {RESOLVE} -H 'Host: other.example.org' {SITE}/"
    answer = host.run(smuggled)
    assert answer.rc in (52, 56)
    assert answer.stdout == ""


def test_security_headers_are_on_every_kind_of_answer(host):
    for path in ("/", "/static/shop.css", "/media/note.txt", "/media/none"):
        headers = curl(host, SITE + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["strict-transport-security"] == "max-age=63072000"
        assert headers["server"] == "nginx"


def test_the_applications_own_header_wins_but_not_hsts(host):
    headers = curl(host, SITE + "/own-header").headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["strict-transport-security"] == "max-age=63072000"


def test_the_application_learns_who_asked_and_not_what_a_client_claims(host):
    claims = (
        "-H 'X-Forwarded-For: 6.6.6.6' -H 'Forwarded: for=6.6.6.6' -H 'X-Request-ID: mine' -H 'X-Forwarded-Proto: http'"
    )
    answer = curl(host, SITE + "/path?query=1", claims)
    asked = json.loads(answer.body)
    assert asked["host"] == "shop.example.org"
    assert asked["proto"] == "https"
    assert asked["path"] == "/path?query=1"
    assert "6.6.6.6" not in answer.body
    assert re.fullmatch("[0-9a-f]{32}", asked["request_id"])
    assert answer.headers["x-request-id"] == asked["request_id"]
    assert asked["connection"] == ""


@pytest.fixture(scope="module")
def echo(host, scenario) -> None:
    """The program echo.py, where the application is; Python is the host's, the application's image has none."""
    program = (scenario / "echo.py").read_text()
    host.run_expect([0], "printf %s %s > /root/echo.py", "%s", program)
    process = host.check_output("docker inspect -f '{{.State.Pid}}' shop-upstream")
    host.run_expect([0], f"nohup nsenter -t {process} -n python3 /root/echo.py > /root/echo.log 2>&1 &")
    for _attempt in range(30):
        if curl(host, SITE + "/echo/large").status == 200:
            return
        time.sleep(1)
    pytest.fail(host.check_output("cat /root/echo.log"))


CLAIMS = """
    X-Forwarded-For X-Forwarded-Host X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-Scheme X-Forwarded-Prefix
    X-Forwarded-User X-Forwarded-Email X-Forwarded-Port X-Forwarded-Protocol X-Forwarded X-Forwarded-Client-Cert
    Forwarded Forwarded-For X-Real-IP X-Client-IP Client-IP True-Client-IP X-True-Client-IP X-Cluster-Client-IP
    X-Originating-IP X-Original-URL X-Original-Host X-Rewrite-URL X-Host X-Scheme X-Url-Scheme Front-End-Https
    Remote-User Remote-Addr X-Remote-User X-Remote-Addr X-Script-Name Script-Name SCRIPT_NAME X_Forwarded_For
    X_Forwarded_Ssl REMOTE_USER X.Forwarded.Ssl Proxy SSL-Client-Verify SSL-Client-S-DN SSL-Client-Cert
    X-SSL-Client-Verify X-SSL-Client-DN X-SSL-Anything X-TLS-Client-Cert Client-Cert X-Client-Cert X-Client-DN
    X-Client-Verify CF-Connecting-IP CF-Access-Authenticated-User-Email Fastly-Client-IP X-Azure-ClientIP
    X-MS-Client-Principal-Name X-Amzn-Oidc-Identity X-Goog-Authenticated-User-Email X-Envoy-External-Address
    X-Authenticated-User X-Auth-Request-User X-Auth-User X-User X-WebAuth-User X-Authentik-Username Tailscale-User-Login
    X-Accel-Mapping X-Sendfile-Type
"""


@pytest.mark.parametrize("version", ["--http1.1", "--http2", "--http3-only"])
def test_no_header_tells_the_application_who_a_client_claims_to_be(host, echo, version):
    claims = " ".join(f"-H '{name}: claimed'" for name in CLAIMS.split())
    own = "-H 'X-Own: kept' -H 'Authorization: Token kept' -H 'X-Auth-Token: kept' -H 'X-Client-Version: kept'"
    answer = curl(host, SITE + "/echo/headers", f"{version} {claims} {own} -H 'X-Request-ID: claimed'")
    _path, headers = json.loads(answer.body)
    assert [name for name, value in headers if "claimed" in value] == []
    assert [name.lower() for name, value in headers if "kept" in value] == [
        "x-own", "authorization", "x-auth-token", "x-client-version",
    ]  # fmt: skip
    passed = {name.lower(): value for name, value in headers}
    assert passed["x-forwarded-proto"] == "https"
    assert passed["x-forwarded-for"] == passed["x-real-ip"]
    # Once, and the edge's.
    assert answer.headers["x-request-id"] == passed["x-request-id"]


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c", "websocketx"])
def test_no_protocol_but_web_sockets_is_switched_to(host, echo, protocol):
    claims = (
        f"--http1.1 -H 'Connection: Upgrade, HTTP2-Settings' -H 'Upgrade: {protocol}' -H 'HTTP2-Settings: AAMAAABk'"
    )
    _path, headers = json.loads(curl(host, SITE + "/echo/headers", claims).body)
    assert {"upgrade"} & {name.lower() for name, _value in headers} == set()


AMBIGUOUS = [
    "/admin/..//echo/headers",
    "/echo/../echo/headers",
    "/echo/./headers",
    "/echo/headers/..",
    "/echo/headers/.",
    "/echo/%2e%2e/echo/headers",
    "/echo/.%2E/echo/headers",
    "/echo/x%2F..%2Fheaders",
    "/echo/x%2f%2e%2e/headers",
    "/echo/headers#/../x",
    "/../echo/headers",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_that_may_be_read_in_two_ways_is_refused(visitor, path):
    assert visitor.get(path)[0] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/echo/headers",
        "/echo/headers/a%2Fb%20c",
        "/echo/headers/..a/b../.c/...",
        "/echo/headers//double",
        "/echo/headers;v=1/x",
        "/echo/headers/a%5Cb",
        "/echo/headers?next=/../x/./y%2f..%2fz",
        "/echo/headers/%E4%BD%A0",
    ],
)
def test_a_path_reaches_the_application_as_it_was_sent(echo, visitor, path):
    status, body = visitor.get(path)
    assert (status, json.loads(body)[0]) == (200, path)


@pytest.fixture(scope="module")
def locations(converge) -> None:
    """Locations of an inventory. They stay until the test of times, which has others and restores."""
    locations = {
        "/private/": "deny all;",
        "/files/": "alias /srv/media/; autoindex on;",
        "/root/": "root /srv/media; try_files $uri =404;",
        "= /linked": "alias /srv/media/link.png;",
    }
    run = converge(nginx_tls_locations=locations)
    assert run.returncode == 0, run.stdout


def test_double_slashes_are_no_way_past_a_location(visitor, locations):
    # The application takes //private/ for another path than /private/, and so does the edge.
    for path in ("/private/x", "/private/%2e./private/x", "/%70rivate/x", "/a/..//private/x"):
        assert visitor.get(path)[0] in (400, 403), path
    status, body = visitor.get("//private/x")
    assert (status, json.loads(body)["path"]) == (200, "//private/x")


def test_large_headers_pass_in_both_directions(host, echo):
    for version in ("--http1.1", "--http2", "--http3-only"):
        for size in (9_000, 30_000):
            host.run_expect([0], f"printf 'Cookie: a=%0{size}d' 0 > /root/cookie")
            answer = curl(host, SITE + "/echo/headers", f"{version} -H @/root/cookie")
            passed = {name.lower(): value for name, value in json.loads(answer.body)[1]}
            assert passed["cookie"] == "a=" + "0" * size
    for size in (17_000, 60_000):
        assert len(curl(host, f"{SITE}/echo/large?n={size}").headers["x-large"]) == size


@pytest.fixture
def links(host) -> Iterator[dict[str, str]]:
    """Links as a broken-into web or worker makes them in its volumes."""
    volumes = {
        kind: host.check_output(f"docker volume inspect -f '{{{{.Mountpoint}}}}' shop-{kind}")
        for kind in ("media", "static")
    }
    try:
        for folder in volumes.values():
            commands = [
                "ln -s /run/secrets/tls_certificate_key link.png",
                "ln -s ../../run/secrets/tls_certificate_key link.txt",
                "ln -s /run/secrets linked",
                "ln -s note.txt near.txt",
                "mkfifo pipe.txt",
                "echo plain > packed.css",
                "ln -s /run/secrets/tls_certificate_key packed.css.gz",
                "ln -s /run/secrets/tls_certificate_key packed.css.br",
                "mkdir -p deep && echo deep > deep/file.txt",
            ]
            host.run_expect([0], f"cd {folder} && " + " && ".join(commands))
        yield volumes
    finally:
        for folder in volumes.values():
            host.run_expect([0], f"cd {folder} && rm -rf link.png link.txt linked near.txt pipe.txt deep packed.css*")


def test_a_link_in_a_volume_shows_nothing_of_the_edge(host, links):
    for kind in links:
        assert curl(host, f"{SITE}/{kind}/pipe.txt").status == 404
        for path in ("link.png", "link.txt", "linked/tls_certificate_key", "near.txt"):
            answer = curl(host, f"{SITE}/{kind}/{path}")
            assert "PRIVATE KEY" not in answer.body
            # What static files lack is asked from the application.
            assert kind == "static" or answer.status == 404, path
            assert kind == "media" or json.loads(answer.body)["path"] == f"/static/{path}"
        for encoding in ("gzip", "br"):
            answer = curl(host, f"{SITE}/{kind}/packed.css", f"-H 'Accept-Encoding: {encoding}'")
            assert (answer.status, answer.body) == (200, "plain\n")
        assert curl(host, f"{SITE}/{kind}/deep/file.txt").body == "deep\n"


def test_links_show_nothing_in_locations_of_the_inventory_either(host, links, locations):
    for path in ("/files/link.png", "/files/linked/tls_certificate_key", "/files/linked/", "/linked"):
        answer = curl(host, SITE + path)
        assert (answer.status in (403, 404), "PRIVATE KEY" in answer.body) == (True, False), path
    assert curl(host, SITE + "/files/deep/file.txt").body == "deep\n"


def test_answers_web_sockets_and_locations_have_times_of_their_own(host, echo, visitor, converge, restored):
    location = "proxy_read_timeout 30s; proxy_buffer_size 128k; proxy_buffers 16 32k; include /run/config/proxy.conf;"
    run = converge(
        nginx_tls_timeouts={"connect": 1, "answer": 2},
        nginx_tls_limits={"uploads": 2, "client_uploads": 1, "connections": 4, "failures": 1},
        nginx_tls_locations={"/echo/slow/own": location},
        # Both are the same application.
        nginx_tls_slots={"blue": ["10.213.77.11:8000", "10.213.77.11:8001"]},
        nginx_tls_slot="blue",
    )
    assert run.returncode == 0, run.stdout
    assert curl(host, SITE + "/echo/slow/?n=6").status == 504
    assert curl(host, SITE + "/echo/slow/own?n=6").status == 200
    head = "GET /echo/socket HTTP/1.1\r\nHost: shop.example.org\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    with visitor.connected() as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
        # Longer than an answer may be silent.
        time.sleep(6)
        connection.sendall(b"still here")
        assert connection.recv(65536) == b"still here"

    # One upload of an address at a time; a second one is told to wait, whoever asks for pages is served.
    begun, go_on = threading.Event(), threading.Event()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        upload = pool.submit(visitor.upload, begun, go_on, 200_000)
        try:
            assert begun.wait(60)
            time.sleep(1)
            status, _body, headers = visitor.post(b"x" * 200_000)
            assert (status, headers["retry-after"]) == (429, "10")
            assert visitor.post(b"x" * 1000)[0] == 200
            assert visitor.ask() == 200
        finally:
            go_on.set()
        assert upload.result() == 200
    assert visitor.post(b"x" * 200_000)[0] == 200

    # Four requests of an address at a time.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = [pool.submit(visitor.get, "/echo/slow/own?n=12") for _number in range(4)]
        statuses = []
        while 429 not in statuses and not any(one.done() for one in slow):
            statuses.append(visitor.ask())
        statuses += [one.result()[0] for one in slow]
    assert set(statuses) == {200, 429}
    assert visitor.ask() == 200

    # All addresses have failed: they are asked all the same as soon as they answer.
    host.run_expect([0], "docker pause shop-upstream")
    try:
        for _attempt in range(4):
            assert visitor.ask() in (503, 504)
    finally:
        host.run_expect([0], "docker unpause shop-upstream")
    assert visitor.ask() == 200


def test_requests_are_logged_as_json_without_query_strings(host):
    request_id = curl(host, SITE + "/logged?token=canary").headers["x-request-id"]
    # The Engine writes it a moment later.
    for _attempt in range(60):
        lines = host.check_output("docker logs shop-nginx 2>/dev/null").splitlines()
        if any(request_id in line for line in lines):
            break
        time.sleep(0.5)
    entry = next(json.loads(line) for line in lines if request_id in line)
    assert (entry["path"], entry["status"], entry["tls"]) == ("/logged", "200", "TLSv1.3")
    assert "canary" not in "".join(lines)


def test_hashed_static_files_are_cached_for_ever_and_others_are_not(host):
    hashed = curl(host, SITE + "/static/shop.0123456789ab.css").headers
    assert hashed["cache-control"] == "public, max-age=31536000, immutable"
    assert hashed["content-type"].startswith("text/css")
    assert curl(host, SITE + "/static/shop.css").headers["cache-control"] == "public, max-age=300"


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_static_files_are_compressed_beforehand_or_on_the_way(host, encoding):
    ready = curl(host, SITE + "/static/ready.css", f"-H 'Accept-Encoding: {encoding}' --output - --compressed")
    assert (ready.headers["content-encoding"], ready.body) == (encoding, f"/* {encoding} */\n")
    made = curl(host, SITE + "/static/shop.css", f"-H 'Accept-Encoding: {encoding}' --compressed")
    assert made.headers["content-encoding"] == encoding


def test_an_absent_static_file_is_asked_from_the_application(host):
    answer = curl(host, SITE + "/static/absent.css")
    assert json.loads(answer.body)["path"] == "/static/absent.css"
    assert "max-age=31536000" not in answer.headers.get("cache-control", "")


def test_uploaded_files_are_shown_or_downloaded_but_never_run(host):
    image = curl(host, SITE + "/media/picture.png", "--output /dev/null -D -").headers
    assert image["content-type"] == "image/png"
    assert "content-disposition" not in image
    page = curl(host, SITE + "/media/page.html").headers
    assert page["content-disposition"] == "attachment"
    assert "sandbox" in page["content-security-policy"]
    assert curl(host, SITE + "/media/").status == 404


def test_a_body_that_is_too_large_is_refused(host):
    host.run_expect([0], "head -c 2000000 /dev/zero > /tmp/body")
    assert curl(host, SITE + "/upload", "--http1.1 -H 'Expect:' --data-binary @/tmp/body").status == 413


def test_too_many_logins_from_one_address_are_refused(host):
    # By one process: however slow the machine is, they come faster than the limit lets them pass.
    options = "--max-time 60 --data a=b --output /dev/null --write-out '%{http_code} '"
    attempts = host.check_output(f"curl -sS --cacert {CA} {RESOLVE} {options} '{SITE}/login/?[1-20]'").split()
    assert attempts[0] == "200"
    assert attempts.count("429") >= 10
    refused = curl(host, SITE + "/login/", "--data a=b")
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")
    assert curl(host, SITE + "/login/").status == 200
    assert curl(host, SITE + "/other/", "--data a=b").status == 200


def test_the_applications_own_errors_pass(host):
    answer = curl(host, SITE + "/broken")
    assert (answer.status, answer.body) == (503, '{"detail":"mine"}')


def test_it_starts_and_says_so_while_the_application_is_down(host):
    host.run_expect([0], "docker stop -t 1 shop-upstream")
    try:
        host.run_expect([0], "docker restart shop-nginx")
        wait_until_healthy(host, "shop-nginx")
        answer = curl(host, SITE + "/")
        assert answer.status in (503, 504)
        assert "Back in a moment" in answer.body
        assert answer.headers["retry-after"] == "10"
        assert curl(host, SITE + "/", "-d a=b").status in (503, 504)
        assert answer.headers["cache-control"] == "no-store"
    finally:
        host.run_expect([0], "docker start shop-upstream")
    wait_until_healthy(host, "shop-upstream")
    time.sleep(5)
    assert curl(host, SITE + "/").status == 200


def test_it_runs_without_privileges_and_its_key_is_private(host):
    assert host.check_output("docker exec shop-nginx id -u") == "10004"
    assert host.run("docker exec shop-nginx touch /etc/nginx/x").rc != 0
    key = host.file("/opt/shop/containers/shop-nginx/secrets/tls_certificate_key")
    assert (key.mode, key.uid) == (0o400, 10004)
    assert "PRIVATE KEY" not in host.check_output("docker inspect shop-nginx")


@pytest.fixture
def maintenance(play, tmp_path) -> Callable[[str], None]:
    """Turn maintenance on or off, as an operator does."""
    (tmp_path / "hosts").write_text("[edge]\nmolecule-nginx_tls\n")
    playbook = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "playbooks" / "maintenance.yml"

    states = []

    def turn(state: str) -> None:
        states.append(state)
        run = play(playbook, f"--inventory={tmp_path / 'hosts'}", state=state)
        assert run.returncode == 0, run.stdout

    yield turn
    if states[-1:] != ["off"]:
        turn("off")


def wait_for_status(host, url: str, status: int) -> None:
    """nginx asks for the file at most every five seconds (open_file_cache_valid)."""
    for _attempt in range(30):
        if curl(host, url).status == status:
            return
        time.sleep(1)
    pytest.fail(f"{url} did not answer {status}")


def test_maintenance_answers_everybody_but_probes_with_a_page(host, maintenance):
    maintenance("on")
    for url, options in ((SITE + "/", ""), (SITE + "/static/shop.css", ""), (SITE + "/login/", "-d a=b")):
        answer = curl(host, url, options)
        assert answer.status == 503
        assert "Maintenance" in answer.body
        assert answer.headers["retry-after"] == "120"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"]
    assert curl(host, SITE + "/health/").status == 200
    # The container's health is nginx's own.
    assert host.check_output("docker inspect -f '{{.State.Health.Status}}' shop-nginx") == "healthy"
    maintenance("off")
    wait_for_status(host, SITE + "/", 200)
    assert curl(host, SITE + "/.maintenance.html").status == 404


def test_maintenance_survives_a_restart_and_a_run(host, maintenance, converge):
    maintenance("on")
    host.run_expect([0], "docker restart shop-nginx")
    wait_until_healthy(host, "shop-nginx")
    assert curl(host, SITE + "/").status == 503
    run = converge()
    assert (run.returncode, "changed=0" in run.stdout) == (0, True), run.stdout
    assert curl(host, SITE + "/").status == 503


def test_maintenance_lets_named_networks_pass(host, maintenance, converge):
    maintenance("on")
    try:
        assert converge(nginx_tls_maintenance_allow=["10.213.77.0/24", "127.0.0.0/8"]).returncode == 0
        wait_for_status(host, SITE + "/", 200)
    finally:
        assert converge().returncode == 0
    wait_for_status(host, SITE + "/", 503)


def test_a_configuration_that_nginx_refuses_does_not_replace_the_running_one(host, converge):
    before = host.check_output("docker inspect -f '{{.Id}}' shop-nginx")
    run = converge(nginx_tls_client_max_body_size="plenty")
    assert run.returncode != 0
    assert '"client_max_body_size" directive invalid value' in run.stdout
    assert host.check_output("docker inspect -f '{{.Id}}' shop-nginx") == before
    assert curl(host, SITE + "/").status == 200


def test_a_key_of_another_certificate_is_refused(host, converge, key_pair):
    run = converge(
        nginx_tls_certificate_source="files",
        nginx_tls_certificate=key_pair("shop.example.org", "www.shop.example.org")[0],
        nginx_tls_certificate_key=key_pair("shop.example.org")[1],
    )
    assert run.returncode != 0
    assert "the private key does not belong to the certificate" in " ".join(run.stdout.split())
    assert "PRIVATE KEY" not in run.stdout


def test_names_that_are_addresses_are_refused(converge):
    run = converge(nginx_tls_server_names=["192.0.2.1"])
    assert run.returncode != 0
    assert "192.0.2.1 is an address; give a host name" in " ".join(run.stdout.split())


def test_own_certificate_files_are_served(host, converge, key_pair):
    certificate, key = key_pair("shop.example.org", "www.shop.example.org")
    own = {
        "nginx_tls_certificate_source": "files",
        "nginx_tls_certificate": certificate,
        "nginx_tls_certificate_key": key,
    }
    try:
        run = converge(**own)
        assert run.returncode == 0, run.stdout
        host.run_expect([0], f"printf %s '{certificate}' > /root/own.crt")
        command = f"curl -sS -o /dev/null --max-time 5 --cacert /root/own.crt {RESOLVE} {SITE}/"
        assert host.run(command).rc == 0
        assert host.run(command.replace("/root/own.crt", CA)).rc == 60
    finally:
        assert converge().returncode == 0
    assert curl(host, SITE + "/").status == 200


class Visitor:
    """Somebody on another machine, who asks the edge at the host's own address."""

    def __init__(self, address: str, authority: str) -> None:
        self.address, self.context = address, ssl.create_default_context(cadata=authority)

    @contextlib.contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection((self.address, 443), timeout=60) as plain,
            self.context.wrap_socket(plain, server_hostname="shop.example.org") as connection,
        ):
            yield connection

    @staticmethod
    def status(connection: ssl.SSLSocket) -> int:
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return int(answer.split()[1])

    def ask(self) -> int:
        """The status of an answer, over a new connection."""
        with self.connected() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n")
            return self.status(connection)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body for a path that no client makes another one of."""
        with self.connected() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n".encode())
            status, body, _headers = self.whole(connection)
        return status, body

    def post(self, body: bytes) -> tuple[int, str, dict[str, str]]:
        with self.connected() as connection:
            head = (
                f"POST / HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode())
            # One that is refused is answered before it is read.
            with contextlib.suppress(OSError):
                connection.sendall(body)
            return self.whole(connection)

    @staticmethod
    def whole(connection: ssl.SSLSocket) -> tuple[int, str, dict[str, str]]:
        answer = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                answer += part
        head, _sep, body = answer.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        return int(first.split()[1]), body, {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    def upload(self, begun: threading.Event, go_on: threading.Event, size: int = 1000) -> int:
        """The same for one that waits in the middle of its body."""
        head = b"POST / HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n"
        head += f"Content-Length: {size}\r\n\r\n".encode()
        rest = size
        with self.connected() as connection:
            connection.sendall(head)
            begun.set()
            # nginx waits 15 seconds for more of a body.
            while not go_on.wait(2):
                connection.sendall(b"x")
                rest -= 1
            connection.sendall(b"x" * rest)
            return self.status(connection)

    def ask_until(self, over: threading.Event) -> list[int | str]:
        answers: list[int | str] = []
        while not over.is_set():
            try:
                answers.append(self.ask())
            except (OSError, ValueError, IndexError) as error:
                answers.append(repr(error))
        return answers


@pytest.fixture
def visitor(host) -> Visitor:
    certificate = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki" / "ca.crt").read_text()
    return Visitor(host.check_output("hostname -i").split()[0], certificate)


@pytest.fixture
def restored(converge) -> Iterator[None]:
    yield
    assert converge().returncode == 0


def rules(host) -> str:
    return host.check_output("iptables -t nat -S | grep stand-in || true")


# The test of a copy changes the same and restores.
def test_a_replaced_edge_fails_no_request_and_lets_open_ones_finish(host, converge, visitor):
    def docker(*arguments: str) -> str:
        """On the host, by a way that threads may share."""
        command = ["docker", "exec", f"molecule-{os.environ['MOLECULE_SCENARIO_NAME']}", "docker", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def go_on_while_it_stops() -> None:
        deadline = time.monotonic() + 300
        while "shutting down" not in docker("top", "shop-nginx"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        # It has got its stop signal and waits for the upload; what is new goes to the copy.
        time.sleep(3)
        go_on.set()

    before = docker("inspect", "-f", "{{.Id}}", "shop-nginx")
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        upload = pool.submit(visitor.upload, begun, go_on)
        assert begun.wait(60)
        answers, waits = pool.submit(visitor.ask_until, over), pool.submit(go_on_while_it_stops)
        try:
            run = converge(nginx_tls_memory="192m")
        finally:
            over.set()
            go_on.set()
    assert run.returncode == 0, run.stdout
    waits.result()
    assert upload.result() == 200
    assert len(answers.result()) > 10
    assert set(answers.result()) == {200}
    assert docker("inspect", "-f", "{{.Id}}", "shop-nginx") != before
    assert docker("ps", "-aq", "--filter", "name=stand-in") == ""
    assert rules(host) == ""


def test_connections_go_on_that_a_container_which_ends_makes_the_kernel_forget(host, visitor):
    """Docker has it forget the connections of clients that asked that container, by their ports, used again or not."""

    def stand_in(**options: object) -> dict:
        arguments = {"name": "shop-nginx", **options}
        return host.ansible("broadcast.stack.container_stand_in", json.dumps(arguments), check=False)

    def ask_and_forget(name: str) -> int:
        """The status of an answer that is not whole when the connection is forgotten; the server sends next."""
        address = host.check_output(
            "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' %s", name
        )
        with visitor.connected() as connection:
            path = "/slow?" + "x" * 300
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(65536)
            forgotten = host.run("conntrack -D -p tcp --reply-src %s --state ESTABLISHED", address)
            assert forgotten.rc == 0, forgotten
            while part := connection.recv(65536):
                answer += part
        assert path in answer.decode()
        return int(answer.split()[1])

    assert stand_in()["changed"]
    try:
        assert ask_and_forget("shop-nginx-stand-in") == 200
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ends = pool.submit(stand_in, state="absent", leave=["sleep", "20"])
            deadline = time.monotonic() + 60
            while "DNAT" in rules(host):
                assert time.monotonic() < deadline
            assert ask_and_forget("shop-nginx") == 200
            assert ends.result()["changed"]
    finally:
        stand_in(state="absent")
    assert rules(host) == ""


def test_a_copy_serves_while_the_edge_does_not_start(host, converge, visitor):
    # Less than nginx needs.
    run = converge(nginx_tls_memory="6m")
    assert run.returncode != 0
    assert "Copies of what was replaced serve: shop-nginx" in " ".join(run.stdout.split())
    assert visitor.ask() == 200
    # And when that is tried again.
    assert converge(nginx_tls_memory="6m").returncode != 0
    assert visitor.ask() == 200
    run = converge()
    assert run.returncode == 0, run.stdout
    assert visitor.ask() == 200
    assert host.check_output("docker ps -aq --filter name=stand-in") == ""
    assert rules(host) == ""
    run = converge()
    assert (run.returncode, "changed=0" in run.stdout) == (0, True), run.stdout
