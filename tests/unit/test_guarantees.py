"""Guarantees that an inventory gives up: refused, or taken with a reason."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import guarantees

REASON = "the warehouse reads from there until June"
EXCUSABLE = [
    ("django_web_volumes", ["/var/run/docker.sock:/var/run/docker.sock"]),
    ("celery_worker_volumes", ["/:/host:ro"]),
    ("nginx_tls_volumes", ["/etc:/srv/static:ro"]),
    ("django_web_volumes", ["/root:/x"]),
    ("django_web_volumes", ["/home/ann:/x"]),
    ("django_web_volumes", ["/proc:/x"]),
    ("docker_host_daemon_options", {"hosts": ["tcp://0.0.0.0:2375"]}),
    ("docker_host_daemon_options", {"hosts": "tcp://0.0.0.0:2375"}),
    ("docker_host_firewall", {}),
    ("stack_allowed_connections", [{"address": "0.0.0.0/0", "reason": "it is easier"}]),
    ("docker_host_daemon_options", {"live-restore": False}),
    ("docker_host_daemon_options", {"seccomp-profile": "unconfined"}),
    ("docker_host_daemon_options", {"insecure-registries": ["registry.lan:5000"]}),
    ("nginx_tls_maintenance_allow", ["0.0.0.0/0"]),
    ("nginx_tls_maintenance_allow", ["::/0"]),
    ("nginx_tls_maintenance_allow", ["0.0.0.0/1"]),
    ("postgres_published_ports", ["0.0.0.0:5432:5432"]),
    ("postgres_published_ports", ["5432:5432"]),
    ("postgres_published_ports", ["[::]:5432:5432"]),
    ("postgres_published_ports", ["1.1.1.1:5432:5432"]),
    ("django_web_published_ports", ["8000:8000"]),
    ("redis_instances", {"broker": {"published_ports": ["0.0.0.0:6379:6379"]}}),
    ("backend_processes", {"bot": {"volumes": ["/var/run/docker.sock:/s.sock"]}}),
    ("django_web_trusted_proxies", ["*"]),
    ("nginx_tls_hsts", ""),
    ("nginx_tls_hsts", "max-age=0"),
    ("postgres_settings", {"fsync": "off"}),
    ("postgres_settings", {"synchronous_commit": "off"}),
    ("backups_options", {"repo1-storage-verify-tls": "n"}),
    ("postgres_backup_options", {"repo1-cipher-type": "none"}),
    ("ansible_ssh_common_args", "-o StrictHostKeyChecking=no"),
    ("ansible_host_key_checking", False),
]
REFUSED = [
    ("stack_container_user", "0:0"),
    ("stack_container_user", "1000:0"),
    ("stack_container_user", "root"),
    ("django_web_user", "10003:0"),
    ("celery_worker_user", "00:1"),
    ("backend_upload_max_size", "0"),
    ("nginx_tls_client_max_body_size", "0m"),
    ("django_web_volumes", ["/srv/../etc:/x"]),
    ("django_web_volumes", ["../secrets:/x"]),
    ("postgres_published_ports", ["db.example.org:5432:5432"]),
]


@pytest.mark.parametrize(("variable", "value"), EXCUSABLE)
def test_a_guarantee_that_is_given_up_needs_a_reason(variable, value):
    (problem,) = guarantees.guarantee_problems({variable: value}, "prod")
    assert problem.subject.startswith(variable)
    assert f"or give the reason in stack_exceptions.{variable}" in problem.remedy
    assert guarantees.guarantee_problems({variable: value, "stack_exceptions": {variable: REASON}}, "prod") == []


@pytest.mark.parametrize(("variable", "value"), REFUSED)
def test_what_nothing_excuses_is_refused_with_a_reason_too(variable, value):
    for reasons in ({}, {variable: REASON}):
        (problem,) = guarantees.guarantee_problems({variable: value, "stack_exceptions": reasons}, "prod")
        assert problem.subject == variable
        assert "stack_exceptions" not in problem.remedy


@pytest.mark.parametrize("reason", ["", "because", None, True, "x"])
def test_a_reason_is_a_sentence(reason):
    values = {"nginx_tls_hsts": "", "stack_exceptions": {"nginx_tls_hsts": reason}}
    (problem,) = guarantees.guarantee_problems(values, "prod")
    assert problem.subject == "stack_exceptions.nginx_tls_hsts"


def test_a_reason_that_excuses_nothing_goes():
    (problem,) = guarantees.guarantee_problems({"stack_exceptions": {"postgres_hbaa": REASON}}, "prod")
    assert "excuses nothing" in problem.text


def test_what_is_safe_needs_no_reason():
    values = {
        "stack_container_user": "",
        "backend_upload_max_size": "25m",
        "django_web_user": "10003:10003",
        "django_web_volumes": ["shop-media:/srv/media", "/srv/shop/templates:/templates:ro", "/mnt/nfs/media:/m"],
        "postgres_published_ports": ["127.0.0.1:5432:5432", "10.0.0.11:5432:5432", "[fd00::1]:5432:5432"],
        "docker_host_daemon_options": {"hosts": ["unix:///var/run/docker.sock"], "dns": ["192.0.2.53"]},
        "nginx_tls_maintenance_allow": ["192.0.2.7", "10.0.0.0/8"],
        "nginx_tls_hsts": "max-age=300",
        "postgres_settings": {"work_mem": "8MB"},
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new",
    }
    assert guarantees.guarantee_problems(values, "prod") == []


def test_development_mounts_a_checkout_of_roots_and_serves_without_hsts():
    values = {"django_web_volumes": ["/root/shop/backend:/app"], "nginx_tls_hsts": ""}
    assert guarantees.guarantee_problems(values, "dev") == []
    assert len(guarantees.guarantee_problems(values, "prod")) == 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stack_ways_out", {"web": "it needs the shop's API"}, "is no container with a way out to choose"),
        ("stack_ways_out", {"nginx": ""}, "stack_ways_out.nginx = '': is no reason"),
        ("stack_ways_out", {"beat": True}, "stack_ways_out.beat = True: is no reason"),
        ("stack_allowed_connections", [{"address": "mail.lan", "reason": "the mail relay"}], "has no address"),
        ("stack_allowed_connections", [{"address": "192.0.2.7", "reason": "x"}], "[0].reason = x: is no reason"),
        (
            "stack_allowed_connections",
            [{"address": "192.0.2.7", "ports": [0], "reason": "the mail relay"}],
            "[0].ports = 0: is no port",
        ),
    ],
)
def test_a_way_through_the_packet_filter_is_a_network_with_a_reason(name, value, words):
    lines = [problem.line() for problem in guarantees.guarantee_problems({name: value}, "prod")]
    assert any(words in line for line in lines), lines


def test_ways_through_the_packet_filter_that_are_none_of_a_problem():
    values = {
        "docker_host_firewall": {"inward": []},
        "stack_ways_out": {"nginx": "it proxies to the archive"},
        "stack_allowed_connections": [{"address": "172.17.0.1", "ports": [25], "reason": "the host's mail relay"}],
    }
    assert guarantees.guarantee_problems(values, "prod") == []
    assert guarantees.guarantee_problems({"docker_host_firewall": {}}, "dev") == []
