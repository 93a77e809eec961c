"""What preflight's checks accept and refuse; the report of whole inventories is in test_preflight_inventories.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.module_utils import preflight

STRONG = "q8Zt4LwN0rXv2KcB7mHs"
KNOWN = {"backend_domains", "backend_image", "postgres_memory", "postgres_image", "stack_name"}
PREFIXES = ["stack_", "backend_", "secret_", "postgres_"]


def lines(problems: list[preflight.Problem]) -> str:
    return "\n".join(problem.line() for problem in problems)


# Names


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("backed_domains", "did you mean backend_domains?"),
        ("postgre_memory", "did you mean postgres_memory?"),
        ("backend_domain", "unknown variable; did you mean backend_domains?"),
        ("postgres_colour", "unknown variable; remove it or see the table of variables"),
    ],
)
def test_unknown_names_are_told_apart_from_foreign_ones(name: str, advice: str) -> None:
    found = preflight.unknown_variables([name, *KNOWN], KNOWN, PREFIXES)
    assert advice in lines(found)
    assert len(found) == 1


def test_foreign_private_and_accepted_names_are_nobodys_business() -> None:
    names = ["ansible_host", "__stack_helper", "monitoring_url", "private_address", "postgres_colour"]
    assert preflight.unknown_variables(names, KNOWN, PREFIXES, ["postgres_colour"]) == []


def test_swapped_letters_are_one_edit() -> None:
    assert preflight.edits("stakc_name", "stack_name") == 1
    assert preflight.edits("name", "nomen") == 2


def test_renamed_variable_names_its_successor() -> None:
    found = preflight.renamed_variables({"backend_hosts"}, {"backend_hosts": "backend_domains"})
    assert lines(found) == "backend_hosts: was renamed; set backend_domains instead."


# Templates


def test_references_skip_strings_and_attributes() -> None:
    text = "{{ images.django.reference | default('literal') }} and {% if flag %}x{% endif %} outside"
    assert preflight.references({"a": [text]}) >= {"images", "flag"}
    assert not preflight.references(text) & {"django", "literal", "outside"}


def test_root_cause_is_the_variable_that_fails_by_itself() -> None:
    raw = {"image": "{{ catalog.web }}", "catalog": "{{ lookup('x', context) }}", "context": "/srv"}
    assert preflight.root_cause("image", raw, lambda name: name != "context") == "catalog"


def test_root_cause_ends_on_a_cycle() -> None:
    assert preflight.root_cause("a", {"a": "{{ b }}", "b": "{{ a }}"}, lambda name: True) in "ab"


def test_closure_includes_what_is_undefined() -> None:
    assert preflight.closure("a", {"a": "{{ b }}", "b": "{{ c }}"}) == {"a", "b", "c"}


# Values


@pytest.mark.parametrize(
    ("value", "option", "expected"),
    [
        ("eighty", {"type": "int"}, "port = eighty: wrong type or value; it must be of type int."),
        ("x", {"choices": ["a", "b"]}, "port = x: wrong type or value; it must be one of a, b."),
        ("a", {"type": "list"}, "port = a: wrong type or value; it must be of type list."),
        (["a b"], {"type": "list", "elements": "list"}, "it must be of type list of list."),
        ({"a": 1}, {"type": "str"}, "port = {'a': 1}: wrong type or value; it must be of type str."),
        (["a"], {"type": "list", "elements": "int"}, "it must be of type list of int."),
        ([{"nmae": "x"}], {"type": "list", "elements": "dict", "options": {"name": {}}}, "did you mean name?"),
        ([{}], {"type": "list", "elements": "dict", "options": {"name": {"required": True}}}, "port.name: missing"),
    ],
)
def test_values_are_held_against_their_specification(value: object, option: dict, expected: str) -> None:
    assert expected in lines(preflight.option_problems("port", value, option))


@pytest.mark.parametrize(
    ("value", "option"),
    [("80", {"type": "int"}), (80, {"type": "str"}), ([], {"type": "list"}), ("x", {"type": "raw"})],
)
def test_values_that_ansible_converts_are_fine(value: object, option: dict) -> None:
    assert preflight.option_problems("port", value, option) == []


def test_a_secret_of_the_wrong_type_is_not_printed() -> None:
    found = preflight.option_problems("token", {"hidden": "value"}, {"type": "str", "no_log": True})
    assert lines(found) == "token: wrong type or value; it must be of type str."


# Secrets


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("changeme", "is a placeholder"),
        ("Change-Me-please-0123456", "is a placeholder"),
        ("django-insecure-0123456789abcdef", "is a placeholder"),
        ("<random>", "is a placeholder"),
        ("PassW0rd", "is a placeholder"),
        ("redis_cache", "is its own name"),
        ("secret_redis_cache", "is its own name"),
        ("aB3$xyz", "is shorter than 16 characters"),
        ("aaaaaaaaaaaaaaaaaaaaaa", "repeats few characters"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6230", "is vault text that was not decrypted"),
        (STRONG, ""),
    ],
)
def test_weak_secrets_are_told_why(value: str, reason: str) -> None:
    assert preflight.weakness("secret_redis_cache", value) == reason


def test_weak_secrets_are_allowed_in_dev_and_missing_ones_nowhere() -> None:
    weak = {"secret_a": "changeme", "secret_b": "changeme", "secret_c": ""}
    assert [problem.subject for problem in preflight.secret_problems(weak, {}, "dev")] == ["secret_c"]
    assert len(preflight.secret_problems(weak, {}, "prod")) == 4


def test_a_secret_used_twice_is_named_without_its_value() -> None:
    found = preflight.secret_problems({"secret_a": STRONG, "secret_b": STRONG}, {}, "prod")
    assert lines(found) == "secret_b: has the same value as secret_a; give each secret a value of its own."


def test_the_applications_secrets_may_be_short_but_no_placeholders() -> None:
    found = preflight.secret_problems(
        {}, {"backend_secrets.mail": "s3cr3t!", "backend_secrets.api": "changeme"}, "prod"
    )
    assert lines(found) == "backend_secrets.api: is a placeholder; give a real one."


def test_secrets_within_free_dictionaries_are_known_by_their_keys() -> None:
    value = {"broker": {"maxmemory": "64mb", "password": STRONG}}
    assert list(preflight.secret_leaves(value, {"type": "dict"}, "redis_instances")) == [
        ("redis_instances.broker.password", STRONG)
    ]


def test_the_report_has_no_secret_even_where_a_message_quotes_one() -> None:
    problem = preflight.Problem("backend_env", "cannot be evaluated: %s" % STRONG)
    assert STRONG not in preflight.report([problem], ["a"], {STRONG})[0]


def test_a_secret_that_is_cut_leaves_no_part() -> None:
    problem = preflight.Problem("x", "bad", value="a" * 90 + STRONG)
    assert STRONG[:6] not in preflight.report([problem], ["a"], {STRONG})[0]


def test_a_value_that_holds_a_secret_is_not_shown() -> None:
    found = preflight.option_problems("redis_instances", [{"password": "hidden"}], {"type": "dict"})
    assert "hidden" not in lines(found)


# The report


def test_equal_problems_of_several_hosts_are_one_line() -> None:
    found = [preflight.Problem("x", "bad", host=host) for host in ("a", "b")]
    assert preflight.report(found, ["a", "b", "c"]) == ["a, b: x: bad."]
    assert preflight.report(found, ["a", "b"]) == ["x: bad."]


def test_problems_about_hosts_always_name_them() -> None:
    found = [preflight.Problem("clock", "slow", host="a", about_host=True)]
    assert preflight.report(found, ["a"]) == ["a: clock: slow."]


def test_a_line_has_variable_value_place_and_remedy() -> None:
    problem = preflight.Problem("x", "bad", "do it", value="1", origin="env.yml:3")
    assert problem.line(["h"]) == "h: x = 1 (env.yml:3): bad; do it."


# Groups

GROUPS = {
    "postgres": {"required": True, "hosts_max": 1},
    "web": {"required": True},
    "backups": {"advice": "no backups"},
}


def test_groups_unknown_empty_crowded_and_hosts_without_one() -> None:
    groups = {"all": ["a", "b", "c"], "ungrouped": ["c"], "postgres": ["a", "b"], "wbe": ["a"]}
    text = lines(preflight.group_problems(groups, GROUPS))
    assert "group wbe: unknown; did you mean web?" in text
    assert "group web: has no host" in text
    assert "group postgres = a, b: has 2 hosts where 1 can serve" in text
    assert "groups = a, b: spread the stack over 2 hosts" in text
    assert "c: is in no group" in text
    assert [problem.text for problem in preflight.group_problems(groups, GROUPS) if problem.warning] == ["has no host"]


def test_groups_of_ones_own_can_be_accepted() -> None:
    groups = {"all": ["a"], "postgres": ["a"], "web": ["a"], "backups": ["a"], "rack1": ["a"]}
    assert preflight.group_problems(groups, GROUPS, ["rack1"]) == []


# The stack


@pytest.mark.parametrize("name", ["Shop", "9shop", "shop_1", "-shop", "shop-", "s", "", "x" * 40, "café"])
def test_stack_names_that_docker_or_dns_refuse(name: str) -> None:
    assert "not a name for containers" in lines(preflight.stack_name_problems(name))


def test_a_hexadecimal_stack_name_could_match_a_container_id() -> None:
    assert "hexadecimal digits only" in lines(preflight.stack_name_problems("cafe"))
    assert preflight.stack_name_problems("shop") == preflight.stack_name_problems("be-1") == []


@pytest.mark.parametrize(
    "prefix", ["10.1", "10.1.2.3", "10.1.x", "10.1.2.", "300.1.2", "8.8.8", "127.0.0", "169.254.1"]
)
def test_subnet_prefixes_that_are_none_or_not_private(prefix: str) -> None:
    assert len(preflight.subnet_prefix_problems(prefix)) == 1


def test_subnets_that_meet_other_networks() -> None:
    wanted = [{"name": "shop-edge", "subnet": "10.1.2.0/26"}, {"name": "shop-app", "subnet": "10.1.2.64/26"}]
    networks = {
        "shop-edge": {"subnet": "10.1.2.0/26"},
        "other": {"subnet": "10.1.0.0/16"},
        "v6": {"subnet": "fd00::/64"},
        "host": {"subnet": ""},
    }
    routes = [
        {"interface": "eth0", "network": "0.0.0.0/0"},
        {"interface": "br-1", "network": "10.1.0.0/16"},
        {"interface": "eth1", "network": "10.1.2.128/25"},
        {"interface": "tun0", "network": "10.1.2.64/27"},
    ]
    text = lines(preflight.network_problems(wanted, networks, routes, ["10.1.2.70", "host.example"]))
    assert text.count("overlaps Docker's network other (10.1.0.0/16)") == 2
    assert "shop-app 10.1.2.64/26: overlaps the host's network 10.1.2.64/27 on tun0" in text
    assert "contains the host's address 10.1.2.70" in text
    assert "eth" not in text


def test_own_networks_are_no_collision() -> None:
    wanted = [{"name": "shop-edge", "subnet": "10.1.2.0/26"}]
    routes = [{"interface": "br-2", "network": "10.1.2.0/26"}]
    assert preflight.network_problems(wanted, {"shop-edge": {"subnet": "10.1.2.0/26"}}, routes) == []


# The application


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("https://shop.example", "is a URL"),
        ("shop.example/path", "is a URL"),
        ("shop.example:8443", "has a port"),
        ("*.shop.example", "is a wildcard"),
        (".shop.example", "is a wildcard"),
        ("Shop.example", "is no host name"),
        ("shop_1.example", "is no host name"),
        ("shop..example", "is no host name"),
        ("", "is no host name"),
    ],
)
def test_domains_that_are_none(domain: str, text: str) -> None:
    assert text in lines(preflight.domain_problems([domain]))


def test_domains_are_needed_once_each() -> None:
    assert "empty" in lines(preflight.domain_problems([]))
    assert "listed twice" in lines(preflight.domain_problems(["a.example", "a.example"]))
    assert (
        preflight.domain_problems(["localhost", "a.example", "xn--caf-dma.example", "192.0.2.1", "2001:db8::1"]) == []
    )


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("shop/web", "has no tag"),
        ("registry.example:5000/shop/web", "has no tag"),
        ("shop/web:latest", "is tagged latest"),
        ("Shop/web:1", "not an image reference"),
        ("shop web:1", "not an image reference"),
        ("shop/web@sha256:12", "not an image reference"),
    ],
)
def test_images_that_are_not_one_build(image: str, text: str) -> None:
    assert text in lines(preflight.image_problems(image, "prod"))


def test_images_of_one_build() -> None:
    digest = "shop/web@sha256:" + "0" * 64
    for image in ("shop/web:1.2", "registry.example:5000/shop/web:2026.11.1-RC1", digest):
        assert preflight.image_problems(image, "prod") == []
    assert preflight.image_problems("shop/web:latest", "dev") == []


def test_context_and_requirements_must_be_on_the_controller(tmp_path: Path) -> None:
    assert "no such directory" in lines(preflight.context_problems(str(tmp_path / "none"), {}))
    found = preflight.context_problems(str(tmp_path), {"backend_requirements": "prod.txt"})
    assert "backend_requirements = prod.txt: no such file in backend_context" in lines(found)
    (tmp_path / "prod.txt").touch()
    assert preflight.context_problems(str(tmp_path), {"backend_requirements": "prod.txt"}) == []


def test_debug_is_for_dev_and_secrets_are_files() -> None:
    env = {"DJANGO_DEBUG": "1", "API_TOKEN": STRONG, "API_TOKEN_FILE": "/run/secrets/api"}
    text = lines(preflight.environment_problems(env, "prod"))
    assert "DJANGO_DEBUG = 1: is on outside dev" in text
    assert "backend_env.API_TOKEN: is a secret in the environment" in text
    assert STRONG not in text
    assert len(preflight.environment_problems(env, "dev")) == 1


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        ({"concurrency": 2}, "mail: has no queues"),
        ({"queues": [], "concurrency": 2}, "mail: has no queues"),
        ({"queues": ["a"], "concurrency": 0}, "mail.concurrency = 0: not a positive number"),
        ({"queues": ["a"], "concurrency": "two"}, "not a positive number"),
        (None, "not a dictionary"),
    ],
)
def test_pools_that_would_do_nothing(pool: object, text: str) -> None:
    assert text in lines(preflight.pool_problems({"mail": pool}))


def test_pool_names_become_container_names() -> None:
    good = {"queues": ["a"], "concurrency": 1}
    assert "not a pool name" in lines(preflight.pool_problems({"Mail out": good}))
    assert preflight.pool_problems({"mail-out": good}) == []


def test_beat_needs_workers() -> None:
    assert "without a worker host" in lines(preflight.worker_problems(True, ["default"], []))
    assert "without a worker pool" in lines(preflight.worker_problems(True, [], ["a"]))
    assert preflight.worker_problems(False, [], []) == preflight.worker_problems(True, ["default"], ["a"]) == []


# A host


def observation(**changes: object) -> dict:
    seen = {
        "host": {"listening": [{"address": "0.0.0.0", "port": 80}, {"address": "127.0.0.1", "port": 5432}]},
        "containers": {
            "proxy": {"stack": "", "status": "running", "published": [443]},
            "shop-postgres": {"stack": "shop", "status": "running", "published": [5432]},
        },
    }
    return seen | changes


def test_ports_are_read_in_dockers_notation() -> None:
    texts = ["80:8080", "127.0.0.1:8000-8001:8000-8001", "[::1]:443:443/tcp", "443:443/udp", "9000"]
    ports = preflight.parsed_ports(texts, "p")
    assert [(port.address, port.port) for port in ports] == [
        ("", 80),
        ("127.0.0.1", 8000),
        ("127.0.0.1", 8001),
        ("::1", 443),
    ]


def test_ports_that_others_have() -> None:
    ports = preflight.parsed_ports(["127.0.0.1:80:8080", "443:8443", "127.0.0.1:5432:5432", "8000:8000"], "p")
    text = lines(preflight.port_problems(ports, observation(), "shop"))
    assert "p = 127.0.0.1:80: taken by a process that listens on 0.0.0.0" in text
    assert "p = 443: taken by the container proxy" in text
    assert "5432" not in text
    assert "8000" not in text


def test_a_port_on_another_address_is_free() -> None:
    ports = preflight.parsed_ports(["192.0.2.1:5432:5432"], "p")
    assert preflight.port_problems(ports, observation(containers={}), "shop") == []


def test_two_containers_cannot_share_a_port() -> None:
    ports = [*preflight.parsed_ports(["8000:8000"], "web"), *preflight.parsed_ports(["127.0.0.1:8000:80"], "edge")]
    assert "edge = 127.0.0.1:8000: is published by web as well" in lines(
        preflight.port_problems(ports, observation(), "s")
    )


def test_engines_that_are_too_old_or_locked() -> None:
    old = {"running": True, "api_version": "1.40", "version": "19.03.15"}
    assert "too old" in lines(preflight.engine_problems(old))
    assert "refuses this user" in lines(
        preflight.engine_problems({"running": False, "error": "[Errno 13] Permission denied"})
    )
    assert preflight.engine_problems({"running": True, "api_version": "1.41"}) == []
    assert preflight.engine_problems({"installed": False, "running": False, "error": "No such file"}) == []


def test_disk_clock_and_memory() -> None:
    assert "100 MiB free" in lines(preflight.disk_problems(100, 2048))
    assert preflight.disk_problems(2048, 2048) == []
    assert "45 s ahead" in lines(preflight.clock_problems(1045, 1000, 1000, 30))
    assert "45 s behind" in lines(preflight.clock_problems(955, 1000, 1010, 30))
    assert preflight.clock_problems(975, 1000, 1010, 30) == preflight.clock_problems(1035, 1000, 1010, 30) == []
    assert preflight.memory_problems(2048, 1024)[0].warning
    assert preflight.memory_problems(1024, 2048) == []


def test_memory_limits_are_added_up() -> None:
    assert preflight.megabytes("1.5g") == 1536
    assert preflight.megabytes("512m") == preflight.megabytes("512MiB") == preflight.megabytes(512 * 2**20) == 512
    assert preflight.memory_limits("256m", "web_memory") == 256
    assert preflight.memory_limits({"a": {"memory": "64m"}, "b": {"memory": "1g"}, "c": {}}, "pools") == 1088
    assert preflight.memory_limits("a memory", "postgres_volume") == 0


def test_hosts_that_could_not_be_observed() -> None:
    unreachable = {"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh: timed out\nmore"}
    assert "is unreachable: Failed to connect to the host via ssh: timed out;" in lines(
        preflight.observation_problems(unreachable)
    )
    assert "could not be observed: no python" in lines(
        preflight.observation_problems({"failed": True, "msg": "no python"})
    )
    assert "was not observed" in lines(preflight.observation_problems(None))


# The documentation of the shared variables


def test_the_documented_variables_are_those_of_the_wiring(root: Path) -> None:
    options = yaml.safe_load((root / "meta/stack_variables.yml").read_text())["argument_specs"]["main"]["options"]
    wiring = yaml.safe_load((root / "group_vars/shared.yml").read_text())
    shared = {name: value for name, value in wiring.items() if name.startswith(("stack_", "backend_", "secret_"))}
    assert sorted(shared) == sorted(name for name in options if name in shared), (
        "document it in meta/stack_variables.yml"
    )
    assert {name: options[name]["default"] for name in shared} == shared
    for name, option in options.items():
        assert option["description"].endswith("."), name
        assert "required" in option or "default" in option, name
        assert option.get("no_log", False) == (name.startswith("secret_") or name == "backend_secrets"), name


def test_every_role_that_preflight_validates_exists(root: Path) -> None:
    task = yaml.safe_load((root / "playbooks/preflight.yml").read_text())[0]["tasks"][0]["always"][0]
    arguments = task["broadcast.stack.preflight"]
    named = {role for group in arguments["groups"].values() for role in group["roles"]} | set(arguments["roles"])
    assert named == {path.name for path in (root / "roles").iterdir()} - {"container"}
