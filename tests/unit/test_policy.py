"""The hardening policy over every container specification of the collection, templated as a production run does."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
import specified
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import docker_options
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables
from specified import CANARIES, FEATURES, GROUPS, LONG_LIVED, ONCE, evaluated, handed, host_variables

ROOT = Path(__file__).resolve().parents[2]
# What Docker is given as files only.
SECRET_KEYS = ("secrets", "env_secrets")
GIVEN = {
    **CANARIES,
    **FEATURES,
    # The certificate is made on the controller during a run.
    "nginx_tls_certificate_source": "files",
    "nginx_tls_certificate": "certificate",
    "nginx_tls_certificate_key": "canary-key",
    "backups_command": ["true"],
}


def expressions(what: str) -> dict[str, str]:
    """Role to the expression of all that it hands to the role `container`."""

    def expression(value: str | list) -> str:
        if isinstance(value, list):
            return "[%s]" % ", ".join(map(expression, value))
        return value.strip().removeprefix("{{").removesuffix("}}").strip()

    loader = DataLoader()
    found = {}
    for role in GROUPS:
        values = dict.fromkeys(expression(one[what]) for one in handed(ROOT, loader, role, what))
        if values:
            found[role] = " + ".join(values if what == LONG_LIVED else ("[%s]" % value for value in values))
    return found


SPECIFICATIONS = expressions(LONG_LIVED)
ONE_OFF = expressions(ONCE)


def scope(loader: DataLoader, environment: str, role: str, name: str = "", **given: object) -> dict:
    """Variables as the role sees them on a host of an environment, by default the first."""
    variables = host_variables(loader, [ROOT / "inventories" / environment / "hosts.yml"], name)
    return specified.scope(ROOT, loader, role, variables, {**GIVEN, **given})


@cache
def templated(environment: str, role: str, expression: str, name: str = "", **given: object) -> list[dict]:
    """Value of an expression as the role sees it on a host of an environment, by default the first."""
    loader = DataLoader()
    return evaluated(loader, scope(loader, environment, role, name, **given), expression)


# Braces within a template, that are not its end.
LOG_FIELDS = "{{ {'service': {'name': 'shop'}} | combine({'host': inventory_hostname}) | to_json }}"


@pytest.mark.parametrize(("environment", "role"), [(one, role) for one in ("dev", "prod") for role in SPECIFICATIONS])
def test_values_that_hosts_share_are_what_each_would_have_alone(environment, role):
    """Evaluation keeps what hosts agree about; nothing of one host gets to another."""
    loader, outcomes = DataLoader(), {}
    given = {"backend_env": {"LOG_FIELDS": trust_as_template(LOG_FIELDS)}}
    for host in ("one", "other"):
        raw = {**scope(loader, environment, role, **given), "inventory_hostname": host}
        name = SPECIFICATIONS[role].strip("[]")
        alone = Templar(loader, variables=raw).template(trust_as_template("{{ %s }}" % name))
        shared = HostVariables(host, raw, Templar(loader), outcomes, raw["hostvars"])
        assert shared.value(name) == alone
        if role == "django_web":
            assert {json.loads(one["env"]["LOG_FIELDS"])["host"] for one in alone} == {host}


def policy() -> dict:
    loader = DataLoader()
    return loader.load_from_file(str(ROOT / "roles/container/vars/main.yml"))["container_policy"]


def arguments(spec: dict) -> dict:
    return docker_options.arguments(spec, policy(), "/opt/stack/containers", "")


LONG_LIVED = [(environment, role) for environment in ("dev", "staging", "prod") for role in SPECIFICATIONS]


@pytest.mark.parametrize(("environment", "role"), LONG_LIVED)
def test_every_container_keeps_the_policy(environment, role):
    specs = templated(environment, role, SPECIFICATIONS[role])
    # On one host there is nobody to have TLS with.
    assert specs or (role == "gateway" and environment != "prod")
    for spec in specs:
        options = arguments(spec)
        assert options["user"].split(":")[0] not in ("0", "root"), spec["name"]
        assert options["read_only"] is True or spec["exceptions"]["read_only"]
        assert options["cap_drop"] == ["ALL"]
        assert options["capabilities"] == [] or spec["exceptions"]["capabilities"]
        # Those over files alone.
        assert set(options["capabilities"]) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"}
        assert options["security_opts"] == ["no-new-privileges:true"]
        assert options["init"] is True or spec["exceptions"]["init"]
        assert options["memory"] == options["memory_swap"]
        assert 0 < options["pids_limit"] <= 4096
        assert options["log_options"] == {"max-size": "10m", "max-file": "3"}
        assert options["healthcheck"]["test"]
        assert "privileged" not in options
        assert not [volume for volume in options["volumes"] if "docker.sock" in volume]


def test_data_services_come_before_web_and_web_before_workers():
    """When processors are short: weights, of which Docker's own is 1024."""
    data, serving, background = (
        ("postgres", "redis", "gateway"),
        ("nginx_tls", "django_web"),
        ("celery_worker", "backups"),
    )
    wished = {**dict.fromkeys(data, 2048), **dict.fromkeys(serving, 1024), **dict.fromkeys(background, 512)}
    for role, expressions in SPECIFICATIONS.items():
        for spec in templated("prod", role, expressions):
            assert arguments(spec).get("cpu_shares", 1024) == wished[role], spec["name"]


@pytest.mark.parametrize(("environment", "role"), LONG_LIVED)
def test_every_memory_file_system_has_a_size_below_the_limit(environment, role):
    """What fills one is told that it is full; without a size the kernel kills the container."""
    specs = templated(environment, role, SPECIFICATIONS[role]) + templated(environment, role, ONE_OFF.get(role, "[]"))
    for options in map(arguments, specs):
        sizes = [re.search("[:,]size=([^,]+)", text) for text in options.get("tmpfs") or []]
        total = sum(human_to_bytes(size.group(1).upper()) for size in sizes)
        assert total <= human_to_bytes(str(options["memory"]).upper()) / 2, options["name"]


def test_beat_with_a_command_of_its_own_has_the_health_check_of_the_inventory():
    check = {"test": ["CMD", "acme", "beat-alive"], "interval": "60s"}
    given = {"backend_beat_command": ["acme", "beat"], "backend_beat_healthcheck": check}
    (beat,) = [
        spec
        for spec in templated.__wrapped__("staging", "celery_worker", "__celery_worker_containers", **given)
        if spec["name"] == "broadcast-beat"
    ]
    assert beat["command"][:2] == ["acme", "beat"]
    assert arguments(beat)["healthcheck"] == check


@pytest.mark.parametrize(("environment", "role"), LONG_LIVED)
def test_no_secret_is_in_what_docker_shows(environment, role):
    for spec in templated(environment, role, SPECIFICATIONS[role]):
        visible = repr({key: value for key, value in spec.items() if key not in SECRET_KEYS})
        assert "canary" not in visible, spec["name"]


@pytest.mark.parametrize("role", ONE_OFF)
def test_one_off_containers_keep_the_policy(role):
    for spec in templated("prod", role, ONE_OFF[role]):
        options = arguments(spec)
        assert (options["read_only"], options["cap_drop"]) == (True, ["ALL"])
        assert options["user"].split(":")[0] != "0" or spec["exceptions"]["user"]
        assert options["capabilities"] == [] or spec["exceptions"]["capabilities"]
        assert "canary" not in repr({key: value for key, value in spec.items() if key not in SECRET_KEYS})


@pytest.mark.parametrize(("environment", "role"), [item for item in LONG_LIVED if item[0] != "dev"])
def test_outside_development_only_the_edge_publishes_ports_to_all(environment, role):
    """Between the hosts of a fleet ports are bound to the private address, behind the firewall."""
    for spec in templated(environment, role, SPECIFICATIONS[role]):
        ports = spec.get("published_ports") or []
        private = environment == "prod" and all(port.startswith("192.0.2.") for port in ports)
        assert role == "nginx_tls" or not ports or private, spec["name"]


@pytest.mark.parametrize("role", SPECIFICATIONS)
def test_in_development_every_port_is_bound_to_localhost(role):
    for spec in templated("dev", role, SPECIFICATIONS[role]):
        for port in spec.get("published_ports") or []:
            assert port.startswith("127.0.0.1:"), spec["name"]


def test_every_role_that_runs_containers_is_covered():
    texts = {path: path.read_text() for path in (ROOT / "roles").glob("*/tasks/*.yml")}
    calling = {path.parents[1].name for path, text in texts.items() if re.search("container_(specs|run):", text)}
    assert calling - {"container"} == set(GROUPS) == set(SPECIFICATIONS)


@pytest.mark.parametrize(
    ("environment", "host", "served"),
    [("staging", "", True), ("prod", "edge1.example.org", False)],
)
def test_an_edge_serves_uploaded_files_where_web_puts_them(environment, host, served):
    (url, volumes) = templated(environment, "nginx_tls", "[nginx_tls_media_url, nginx_tls_volumes]", host)
    assert url == ("/media/" if served else "")
    assert any("/srv/media" in volume for volume in volumes) == served
    # Static files come with the image.
    assert any("/srv/static" in volume for volume in volumes)


@pytest.mark.parametrize(("environment", "command"), [("prod", "gunicorn"), ("dev", "python")])
def test_web_learns_from_its_environment_whose_headers_it_may_believe(environment, command):
    """Whatever its server: gunicorn and uvicorn read the variable by themselves."""
    web = templated(environment, "django_web", "__django_web_containers")[0]
    assert web["command"][0] == command
    assert not [word for word in web["command"] if "forwarded" in str(word)]
    trusted = web["env"]["FORWARDED_ALLOW_IPS"].split(",")
    assert (trusted[0], len(trusted)) == ("127.0.0.1", 65)
    assert not any("/" in address for address in trusted)
    own = templated.__wrapped__(
        environment, "django_web", "__django_web_containers", django_web_env={"FORWARDED_ALLOW_IPS": "*"}
    )
    assert own[0]["env"]["FORWARDED_ALLOW_IPS"] == "*"


def test_seconds_may_be_text_as_extra_variables_are():
    (web, *_processes) = templated.__wrapped__(
        "prod", "django_web", "__django_web_containers", nginx_tls_timeouts={"drain": "90"}
    )
    assert web["stop_timeout"] == 100


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
@pytest.mark.parametrize("role", ["postgres", "redis", "gateway", "celery_worker", "nginx_tls", "backups"])
def test_a_role_has_nothing_against_the_inventories(environment, role):
    """Preflight ignores a list that cannot be evaluated, so each has to be seen to be."""
    assert templated(environment, role, "__%s_problems" % role) == []
