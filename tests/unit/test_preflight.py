"""What preflight's checks accept and refuse; the report of whole inventories is in test_preflight_inventories.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.filter import release_commands
from ansible_collections.broadcast.stack.plugins.plugin_utils import templates
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import rendering
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.application import application_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.causes import passed_on, root_causes
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.combinations import COMBINATIONS
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.domains import (
    domain_problems,
    redirect_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.entries import ENTRIES
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.image import (
    image_problems,
    requirements_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.inventory import (
    backup_host_problems,
    edge_media_problems,
    group_problems,
    shared_volume_problems,
    worker_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import (
    RUNTIME_VARIABLES,
    deprecated_variables,
    edits,
    renamed_variables,
    unknown_variables,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.networks import (
    network_problems,
    private_address_problems,
    subnet_prefix_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.observed import (
    clock_problems,
    disk_problems,
    engine_problems,
    memory_limits,
    memory_problems,
    observation_problems,
    parsed_ports,
    port_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.paths import stack_name_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, report
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.rules import PLACES
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import (
    secret_leaves,
    secret_problems,
    weakness,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.services import (
    REFERRING,
    plain_redis_problems,
    redis_reference_problems,
    service_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import option_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import values

STRONG = "q8Zt4LwN0rXv2KcB7mHs"
KNOWN = {"backend_domains", "backend_image", "postgres_memory", "postgres_image", "stack_name"}
PREFIXES = ["stack_", "backend_", "secret_", "postgres_"]


def lines(problems: list[Problem]) -> str:
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
    found = unknown_variables([name, *KNOWN], KNOWN, PREFIXES)
    assert advice in lines(found)
    assert len(found) == 1


def test_foreign_private_and_accepted_names_are_nobodys_business() -> None:
    names = ["ansible_host", "__stack_helper", "monitoring_url", "private_address", "postgres_colour"]
    assert unknown_variables(names, KNOWN, PREFIXES, ["postgres_colour"]) == []


def test_swapped_letters_are_one_edit() -> None:
    assert edits("stakc_name", "stack_name") == 1
    assert edits("name", "nomen") == 2


def test_renamed_variable_names_its_successor() -> None:
    found = renamed_variables({"backend_hosts"}, {"backend_hosts": "backend_domains"})
    assert lines(found) == "backend_hosts: was renamed; set backend_domains instead."


def test_a_deprecated_name_is_told_and_works() -> None:
    found = deprecated_variables({"django_web_threads", "other"}, {"django_web_threads": "backend_web_threads"})
    assert [problem.warning for problem in found] == [True]
    assert "this one works until the next version; set backend_web_threads instead" in lines(found)


# Templates


def test_references_skip_strings_and_attributes() -> None:
    text = "{{ images.django.reference | default('literal') }} and {% if flag %}x{% endif %} outside"
    assert templates.references({"a": [text]}) >= {"images", "flag"}
    assert not templates.references(text) & {"django", "literal", "outside"}


def test_references_see_what_each_evaluates() -> None:
    assert "runtime" in templates.references("{{ query('broadcast.stack.each', 'runtime', items=a, variable='b') }}")


def test_a_fault_that_a_template_passes_on_is_the_other_variables() -> None:
    raw = {"a": [["x"], "{{ b + ['y'] }}"], "b": "{{ c }}", "c": 1, "d": {"e": "{{ b }}", "f": "g"}, "g": ["{{ c }}"]}
    assert passed_on("a[1]", raw, {"c"})
    assert passed_on("d.e.h", raw, {"c"})
    assert passed_on("g", raw, {"c"})
    assert not passed_on("a[0]", raw, {"c"})
    assert not passed_on("d.f", raw, {"c"})
    assert not passed_on("d.e", raw, {"d"})


ERROR = ValueError("no")


def causes_of(name: str, raw: dict, failing: str) -> list[str]:
    def failed(name: str) -> dict:
        entries = raw[name].items() if isinstance(raw[name], dict) else [("", raw[name])]
        return {".".join(filter(None, [name, key])): (text, ERROR) for key, text in entries if "{{" in text}

    return list(root_causes(name, raw, failing.split().__contains__, failed))


def test_root_cause_is_the_variable_that_fails_by_itself() -> None:
    raw = {"image": "{{ catalog.web }}", "catalog": "{{ lookup('x', context) }}", "context": "/srv"}
    assert causes_of("image", raw, "image catalog") == ["catalog"]


def test_root_causes_are_the_entries_that_fail_by_themselves_and_what_others_refer_to() -> None:
    raw = {"env": {"A": "{{ d.nope }}", "B": "plain", "C": "{{ e }}", "D": "{{ e }}"}, "d": {}, "e": "{{ d.none }}"}
    assert causes_of("env", raw, "env e") == ["env.A", "e"]


def test_root_cause_ends_on_a_cycle() -> None:
    assert causes_of("a", {"a": "{{ b }}", "b": "{{ a }}"}, "a b") == ["a"]


def test_closure_includes_what_is_undefined() -> None:
    assert templates.closure("a", {"a": "{{ b }}", "b": "{{ c }}"}) == {"a", "b", "c"}


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
    assert expected in lines(option_problems("port", value, option))


@pytest.mark.parametrize(
    ("value", "option"),
    [("80", {"type": "int"}), (80, {"type": "str"}), ([], {"type": "list"}), ("x", {"type": "raw"})],
)
def test_values_that_ansible_converts_are_fine(value: object, option: dict) -> None:
    assert option_problems("port", value, option) == []


def test_a_secret_of_the_wrong_type_is_not_printed() -> None:
    found = option_problems("token", {"hidden": "value"}, {"type": "str", "no_log": True})
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
    assert weakness("secret_redis_cache", value) == reason


def test_weak_secrets_are_allowed_in_dev_and_missing_ones_nowhere() -> None:
    weak = {"secret_a": "changeme", "secret_b": "changeme", "secret_c": ""}
    assert [problem.subject for problem in secret_problems(weak, {}, "dev")] == ["secret_c"]
    assert len(secret_problems(weak, {}, "prod")) == 4


def test_a_secret_used_twice_is_named_without_its_value() -> None:
    found = secret_problems({"secret_a": STRONG, "secret_b": STRONG}, {}, "prod")
    assert lines(found) == "secret_b: has the same value as secret_a; give each secret a value of its own."


def test_the_applications_secrets_may_be_short_but_no_placeholders() -> None:
    found = secret_problems({}, {"backend_secrets.mail": "s3cr3t!", "backend_secrets.api": "changeme"}, "prod")
    assert lines(found) == "backend_secrets.api: is a placeholder; give a real one."


def test_secrets_within_free_dictionaries_are_known_by_their_keys() -> None:
    value = {"broker": {"maxmemory": "64mb", "password": STRONG}}
    assert list(secret_leaves(value, {"type": "dict"}, "redis_instances")) == [
        ("redis_instances.broker.password", STRONG)
    ]


def test_the_report_has_no_secret_even_where_a_message_quotes_one() -> None:
    problem = Problem("backend_env", "cannot be evaluated: %s" % STRONG)
    assert STRONG not in report([problem], ["a"], {STRONG})[0]


def test_a_secret_that_is_cut_leaves_no_part() -> None:
    problem = Problem("x", "bad", value="a" * 90 + STRONG)
    assert STRONG[:6] not in report([problem], ["a"], {STRONG})[0]


def test_a_value_that_holds_a_secret_is_not_shown() -> None:
    found = option_problems("redis_instances", [{"password": "hidden"}], {"type": "dict"})
    assert "hidden" not in lines(found)


# The report


def test_equal_problems_of_several_hosts_are_one_line() -> None:
    found = [Problem("x", "bad", host=host) for host in ("a", "b")]
    assert report(found, ["a", "b", "c"]) == ["a, b: x: bad."]
    assert report(found, ["a", "b"]) == ["x: bad."]


def test_problems_about_hosts_always_name_them() -> None:
    found = [Problem("clock", "slow", host="a", about_host=True)]
    assert report(found, ["a"]) == ["a: clock: slow."]


def test_a_line_has_variable_value_place_and_remedy() -> None:
    problem = Problem("x", "bad", "do it", value="1", origin="env.yml:3")
    assert problem.line(["h"]) == "h: x = 1 (env.yml:3): bad; do it."


# Groups


def test_groups_unknown_empty_crowded_and_hosts_without_one() -> None:
    groups = {"all": ["a", "b", "c"], "ungrouped": ["c"], "postgres": ["a", "b"], "edge": ["a"], "wbe": ["a"]}
    text = lines(group_problems(groups))
    assert "group wbe: unknown; did you mean web?" in text
    assert "group web: has no host" in text
    assert "group postgres = a, b: has 2 hosts where 1 can serve" in text
    assert "c: is in no group" in text
    assert [problem.text for problem in group_problems(groups) if problem.warning] == ["has no host"]


def test_backups_read_the_volumes_of_their_own_host() -> None:
    groups = {"all": ["a", "b"], "postgres": ["a"], "web": ["a"], "backups": ["b"]}
    assert "group backups = b: is not a host of postgres" in lines(group_problems(groups))


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("10.0.0.1", ""),
        ("app1.example.org", "not an IPv4 address"),
        ("fd00::1", "not an IPv4 address"),
        ("127.0.0.1", "not an IPv4 address at which other hosts reach this one"),
        ("10.0.0.2", "is the address of db as well"),
        ("10.0.0.9", "is none of the host's own addresses (10.0.0.1, 192.168.0.1)"),
    ],
)
def test_a_private_address_is_one_of_the_hosts_own(address, text) -> None:
    found = private_address_problems(address, {"db": "10.0.0.2"}, ["10.0.0.1", "192.168.0.1"])
    assert text in lines(found)
    assert bool(found) == bool(text)


def test_an_unknown_host_may_have_any_address() -> None:
    assert private_address_problems("10.0.0.1", {}, []) == []


def test_local_volumes_on_several_hosts_are_told() -> None:
    groups = {"web": ["a", "b"], "worker": ["a"]}
    (found,) = shared_volume_problems(groups, ["media"])
    assert found.warning
    assert "each of the hosts a, b has files of its own in it" in found.text
    assert shared_volume_problems({"web": ["a"], "worker": ["a"]}, ["media"]) == []
    assert shared_volume_problems(groups, []) == []


def test_an_edge_apart_from_web_has_no_uploaded_files() -> None:
    groups = {"web": ["app1"], "worker": ["app1"], "edge": ["edge1", "app1"]}
    (found,) = edge_media_problems(groups, ["media"], "/media/")
    assert found.warning
    text = "backend_media_url = /media/: uploaded files lie on app1, so the edge on edge1 asks the application for them"
    assert found.line().startswith(text)
    assert edge_media_problems({**groups, "edge": ["app1"]}, ["media"], "/media/") == []
    assert edge_media_problems(groups, ["media"], "") == []
    assert edge_media_problems(groups, ["invoices"], "/media/") == []


def test_volumes_that_backups_cannot_reach_are_told_and_refused_when_the_inventory_names_them() -> None:
    groups = {"web": ["app1"], "worker": ["app1"], "backups": ["db1"]}
    (default,) = backup_host_problems(groups, ["media"], chosen=False)
    text = "backend_backup_volumes = media: lies on app1, while backups run on db1: not backed up; put postgres and"
    assert default.line().startswith(text)
    assert default.warning
    (chosen,) = backup_host_problems(groups, ["media", "invoices"], chosen=True)
    assert "media, invoices: lies on app1" in chosen.line()
    assert not chosen.warning
    for other in ({"backups": ["app1"]}, {"backups": []}):
        assert backup_host_problems({**groups, **other}, ["media"], chosen=True) == []
    assert backup_host_problems(groups, [], chosen=True) == []


def test_groups_of_ones_own_can_be_accepted() -> None:
    groups = {"all": ["a"], "postgres": ["a"], "web": ["a"], "edge": ["a"], "backups": ["a"], "rack1": ["a"]}
    assert group_problems(groups, ["rack1"]) == []


# The stack


@pytest.mark.parametrize("name", ["Shop", "9shop", "shop_1", "-shop", "shop-", "s", "", "x" * 40, "café"])
def test_stack_names_that_docker_or_dns_refuse(name: str) -> None:
    assert "not a name for containers" in lines(stack_name_problems(name))


def test_a_hexadecimal_stack_name_could_match_a_container_id() -> None:
    assert "hexadecimal digits only" in lines(stack_name_problems("cafe"))
    assert stack_name_problems("shop") == stack_name_problems("be-1") == []


@pytest.mark.parametrize(
    "prefix", ["10.1", "10.1.2.3", "10.1.x", "10.1.2.", "300.1.2", "8.8.8", "127.0.0", "169.254.1"]
)
def test_subnet_prefixes_that_are_none_or_not_private(prefix: str) -> None:
    assert len(subnet_prefix_problems(prefix)) == 1


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
    text = lines(network_problems(wanted, networks, routes, ["10.1.2.70", "host.example"]))
    assert text.count("overlaps Docker's network other (10.1.0.0/16)") == 2
    assert "shop-app 10.1.2.64/26: overlaps the host's network 10.1.2.64/27 on tun0" in text
    assert "contains the host's address 10.1.2.70" in text
    assert "eth" not in text


def test_own_networks_are_no_collision() -> None:
    wanted = [{"name": "shop-edge", "subnet": "10.1.2.0/26"}]
    routes = [{"interface": "br-2", "network": "10.1.2.0/26"}]
    assert network_problems(wanted, {"shop-edge": {"subnet": "10.1.2.0/26"}}, routes) == []


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
        ("192.0.2.1", "is an address; give a host name"),
        ("2001:db8::1", "is an address; give a host name"),
    ],
)
def test_domains_that_are_none(domain: str, text: str) -> None:
    assert text in lines(domain_problems([domain]))


def test_domains_are_needed_once_each() -> None:
    assert "empty" in lines(domain_problems([]))
    assert "listed twice" in lines(domain_problems(["a.example", "a.example"]))
    assert domain_problems(["localhost", "a.example", "xn--caf-dma.example"]) == []


def test_health_is_asked_by_address_as_well_but_nobody_is_redirected_from_one() -> None:
    assert values.host_name_fault("192.0.2.1") is None
    assert "is an address" in lines(redirect_problems(["192.0.2.1"], ["a.example"]))


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
    assert text in lines(image_problems(image, "prod"))


def test_images_of_one_build() -> None:
    digest = "shop/web@sha256:" + "0" * 64
    for image in ("shop/web:1.2", "registry.example:5000/shop/web:2026.11.1-RC1", digest):
        assert image_problems(image, "prod") == []
    assert image_problems("shop/web:latest", "dev") == []


ROLE = yaml.safe_load((Path(__file__).parents[2] / "roles/celery_worker/vars/main.yml").read_text())
ROLES_ENTRIES = {
    "backend_worker_pools": ROLE["__celery_worker_pool_options"],
    "backend_periodic_commands": ROLE["__celery_worker_periodic_options"],
}
HIDDEN = {name: {"no_log": True} for name in ("backend_secrets", "backend_secret_env", "backend_secret_files")}


# Of no check's own interest; checks of files ask for them.
SETTLED = {"backend_build_env": {}, "backend_working_dir": "/app"}


def judged(values: dict, secrets: dict[str, str] | None = None) -> str:
    return lines(application_problems({**SETTLED, **values}, HIDDEN, ROLES_ENTRIES, secrets or {}))


def test_context_and_requirements_must_be_on_the_controller(tmp_path: Path) -> None:
    def check(context: object, **changes: object) -> str:
        values = {"image": "", "requirements": "prod.txt", "packages": [], "install_project": False, **changes}
        return judged({"backend_context": str(context), **{"backend_%s" % name: one for name, one in values.items()}})

    assert "no such directory" in check(tmp_path / "none")
    assert check(tmp_path / "none", image="shop/web:1") == ""
    assert "backend_requirements = prod.txt: no such file in backend_context" in check(tmp_path)
    (tmp_path / "prod.txt").touch()
    assert check(tmp_path) == ""
    assert "backend_requirements: empty, and so is backend_packages" in check(tmp_path, requirements="")
    assert check(tmp_path, requirements="", packages=["acme"]) == check("", packages=["acme"]) == ""
    assert "backend_context: empty, and so is backend_packages" in check("")
    assert "is on without backend_context" in check("", packages=["acme"], install_project=True)
    assert "leads out of backend_context" in check(tmp_path, requirements="../prod.txt")


def requirements(folder: Path, path: str) -> str:
    return lines(requirements_problems(path, str(folder), "", {}, "/app"))


def test_a_requirements_file_needs_those_that_it_includes(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/prod.txt").write_text("-r base.txt  # ours\n--constraint=../limits.txt\n-r https://x/y\n")
    (tmp_path / "requirements/base.txt").write_text("django\n-r prod.txt\n-c ../../outside.txt\n")
    found = requirements(tmp_path, "requirements/prod.txt")
    assert "requirements/prod.txt: there is no file 'limits.txt'" in found
    assert "requirements/base.txt: '../outside.txt' leads out of backend_context" in found
    assert found.count("\n") == 1


def test_lock_files_of_uv_need_the_project(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()
    assert "has no pyproject.toml beside it; add pyproject.toml: uv reads both" in requirements(tmp_path, "uv.lock")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "pylock.toml").touch()
    assert requirements(tmp_path, "uv.lock") == requirements(tmp_path, "pylock.toml") == ""


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock", "pdm.lock", "settings.toml"])
def test_lock_files_that_the_build_cannot_read_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is a lock file that uv does not read; write requirements from it (`poetry export`" in requirements(
        tmp_path, name
    )
    for path in ("pylock.prod.toml", "pyproject.toml", "requirements.txt"):
        (tmp_path / path).touch()
        assert requirements(tmp_path, path) == ""


# One line per mistake, in the order of the groups of meta/stack_variables.yml.
WRONG = [
    # 1. Source
    ({"backend_python": "3"}, "backend_python = 3: not a version of Python"),
    (
        {
            **dict.fromkeys(("backend_context", "backend_image", "backend_requirements", "backend_base_image"), ""),
            "backend_python": "3.12",
        },
        "backend_python = 3.12: is not the Python of the stack's own images, 3.13; set backend_base_image",
    ),
    ({"backend_extras": ["[s3]"]}, "backend_extras = [s3]: not the name of an extra"),
    ({"backend_packages": ["acme shop"]}, "backend_packages = acme shop: not a requirement"),
    ({"backend_packages": ["git+https://x/y"]}, "not a requirement"),
    ({"backend_wheels_only_except": ["a==1"]}, "not the name of a package"),
    (
        {"backend_wheels_only_except": ["a"], "backend_wheels_only": False},
        "backend_wheels_only_except = ['a']: means nothing without backend_wheels_only",
    ),
    (
        {"backend_packages": ["a"], "backend_hashes_required": True},
        "has no hash, but backend_hashes_required demands one",
    ),
    (
        {"backend_extras": ["s3"], "backend_requirements": "prod.txt", "backend_image": ""},
        "backend_extras = ['s3']: only lock files know extras",
    ),
    (
        {"backend_constraints": "c.txt", "backend_context": "", "backend_image": ""},
        "backend_constraints = c.txt: has no backend_context to lie in",
    ),
    ({"backend_image": "shop/web", "stack_environment": "prod"}, "backend_image = shop/web: has no tag"),
    # 2. Python and system
    ({"backend_system_packages": ["libPango"]}, "backend_system_packages = libPango: not the name of a Debian package"),
    ({"backend_build_packages": ["gcc make"]}, "not the name of a Debian package"),
    (
        {"backend_base_image": "Python", "stack_environment": "dev"},
        "backend_base_image = Python: not an image reference",
    ),
    ({"backend_user": "0:0"}, "backend_user = 0:0: not the uid:gid of an unprivileged user"),
    ({"backend_user": "app"}, "not the uid:gid of an unprivileged user"),
    # 3. Commands
    ({"backend_working_dir": "app"}, "backend_working_dir = app: not an absolute path"),
    ({"backend_settings_module": "config/settings.py"}, "not a Python module"),
    ({"backend_manage": []}, "backend_manage = []: empty"),
    ({"backend_manage": ["python manage.py"]}, "backend_manage = ['python manage.py']: not a command"),
    ({"backend_web_command": [""]}, "backend_web_command = ['']: not a command"),
    ({"backend_wsgi": "config.wsgi"}, "backend_wsgi = config.wsgi: not module:callable"),
    ({"backend_asgi": "config/asgi.py:app"}, "not module:callable"),
    ({"backend_wsgi": "", "backend_asgi": "", "backend_web_command": []}, "backend_wsgi: empty, and so are"),
    ({"backend_web_port": 70000}, "backend_web_port = 70000: not a port"),
    ({"backend_celery_app": "config:"}, "not a Celery application"),
    (
        {
            "backend_celery_app": "",
            "backend_worker_command": [],
            "backend_worker_pools": {"a": {}},
            "backend_beat_command": [],
            "backend_beat_enabled": True,
        },
        "backend_celery_app: empty, but the pool a needs it; set it or backend_worker_command, or set "
        "backend_worker_pools to {}.\nbackend_celery_app: empty, but beat needs it",
    ),
    # 4. Environment
    ({"backend_env": {"SHOP-NAME": "x"}}, "backend_env.SHOP-NAME: not the name of an environment variable"),
    ({"backend_env": {"TEXT": "a\nb"}}, "backend_env.TEXT = a b: not a value on one line"),
    ({"backend_build_env": {"TEXT": ["a"]}}, "backend_build_env.TEXT = ['a']: not a value on one line"),
    ({"backend_env": {"API_TOKEN": "x"}}, "backend_env.API_TOKEN: is a secret in the environment; move it to"),
    (
        {"backend_processes": {"x": {"command": ["x"], "env": {"A_SECRET": "x"}}}},
        "processes.x.env.A_SECRET: is a secret",
    ),
    ({"backend_env": {"DJANGO_DEBUG": "1"}, "stack_environment": "prod"}, "DJANGO_DEBUG = 1: is on outside dev"),
    ({"backend_env": {"A": 1}, "backend_secret_env": {"A": 1}}, "backend_env = A: is in backend_secret_env as well"),
    (
        {"backend_release_env": {"A": 1}, "backend_release_secret_env": {"A": 1}},
        "backend_release_env = A: is in backend_release_secret_env as well",
    ),
    (
        {"backend_release_commands": [{"command": ["a"], "env": {"DJANGO_SUPERUSER_PASSWORD": "x1"}}]},
        "is a secret in the environment; move it to backend_release_secret_env, or to backend_release_secrets",
    ),
    ({"backend_release_secret_env": {"A-B": "x"}}, "backend_release_secret_env.A-B: not the name of an environment"),
    ({"backend_redis_uses": {"cache": {"instance": "a", "database": 16}}}, "not a database of Redis"),
    (
        {"backend_redis_uses": {"cache": {"instance": "cahce"}}, "redis_instances": {"cache": {}}},
        "backend_redis_uses.cache.instance = cahce: no such instance; name one of redis_instances: cache",
    ),
    # 5. Secrets
    ({"backend_secrets": {"mail/key": "x"}}, "backend_secrets.mail/key: not a name in /run/secrets"),
    ({"backend_secret_env": {"A": {"b": 1}}}, "backend_secret_env.A: not a text"),
    ({"backend_files": {"etc/a.ini": "x"}}, "backend_files.etc/a.ini: not an absolute path"),
    ({"backend_files": {"/etc/../a.ini": "x"}}, "not an absolute path"),
    ({"backend_files": {"/run/config/a": "x"}}, "lies in a directory of the stack's own"),
    ({"backend_files": {"/a": {"content": "x", "mode": "rw"}}}, "backend_files./a.mode = rw: not a mode"),
    ({"backend_files": {"/a": {"content": "x", "mode": 256}}}, "not a mode; write it octal and in quotes"),
    ({"backend_files": {"/a": {"content": "x", "owner": "app"}}}, "not a numeric uid:gid"),
    ({"backend_files": {"/a": {"mode": "0440"}}}, "backend_files./a.content: missing"),
    ({"backend_files": {"/a": ["x"]}}, "backend_files./a = ['x']: wrong type; give text or a dictionary"),
    ({"backend_files": {"/a": "x"}, "backend_secret_files": {"/a": "x"}}, "is in backend_secret_files as well"),
    # 7. Workers
    ({"backend_worker_pools": {"Mail out": {}}}, "backend_worker_pools.Mail out: not a name for containers"),
    ({"backend_worker_pools": {"mail": None}}, "backend_worker_pools.mail = None: wrong type; give a dictionary"),
    ({"backend_worker_pools": {"mail": {"queues": []}}}, "backend_worker_pools.mail.queues = []: names no queue"),
    ({"backend_worker_pools": {"mail": {"queues": ["a,b"]}}}, "not the name of a queue"),
    ({"backend_worker_pools": {"mail": {"concurrency": 0}}}, "mail.concurrency = 0: not a positive number"),
    ({"backend_worker_pools": {"mail": {"concurrency": "two"}}}, "it must be of type int"),
    ({"backend_worker_pools": {"mail": {"pool": "forks"}}}, "pools.mail.pool = forks: wrong type or value"),
    ({"backend_worker_pools": {"mail": {"queue": ["a"]}}}, "mail.queue: unknown key; did you mean queues?"),
    ({"backend_periodic_commands": {"x": {"command": ["x"]}}}, "x: has not exactly one of schedule and every"),
    ({"backend_periodic_commands": {"x": {"every": 5}}}, "backend_periodic_commands.x.command: missing"),
    ({"backend_periodic_commands": {"x": {"command": ["x"], "every": 0}}}, "x.every = 0: not a positive number"),
    ({"backend_periodic_commands": {"x": {"command": ["x"], "schedule": "@daily"}}}, "not a time of cron"),
    (
        {"backend_processes": {"x": {"command": "listen"}}},
        "x.command = listen: wrong type or value; it must be of type",
    ),
    ({"backend_processes": {"x": {"command": ["x"], "port": 1}}}, "backend_processes.x.port: unknown key"),
    ({"backend_processes": {"web": {"command": ["x"]}}}, "is the name of a container of the stack's own"),
    # 8. Release commands
    (
        {"backend_release_commands": ["migrate"]},
        "backend_release_commands = migrate: wrong type; give a list of arguments",
    ),
    ({"backend_release_commands": [["python manage.py migrate"]]}, "backend_release_commands[0] = "),
    ({"backend_release_commands": [{"command": ["x"], "timeout": 0}]}, "[0].timeout = 0: not a positive number"),
    (
        {"backend_release_commands_after": [{"command": ["x"], "onec": True}]},
        "[0].onec: unknown key; did you mean once?",
    ),
    # 9. Static files
    ({"backend_static_root": "staticfiles"}, "backend_static_root = staticfiles: not an absolute path"),
    ({"backend_static_url": "/static"}, "backend_static_url = /static: not a path between slashes"),
    ({"backend_media_url": "media/"}, "backend_media_url = media/: not a path between slashes"),
    (
        {"backend_static_url": "/s/", "backend_media_url": "/s/"},
        "backend_media_url = /s/: is backend_static_url as well",
    ),
    # 10. Storage
    ({"backend_volumes": {"Media": {"path": "/srv"}}}, "backend_volumes.Media: not the name of a volume"),
    ({"backend_volumes": {"redis-x": {"path": "/srv"}}}, "redis-x: is the name of a volume of the stack's own"),
    ({"backend_volumes": {"media": "/srv"}}, "backend_volumes.media = /srv: wrong type"),
    ({"backend_volumes": {"media": {"path": "srv/media"}}}, "media.path = srv/media: not an absolute path"),
    ({"backend_volumes": {"media": {"path": "/run/x"}}}, "lies in a directory of the system's own"),
    (
        {
            "backend_volumes": {
                "a": {"path": "/srv"},
                "b": {"path": "/srv"},
                "c": {"path": "/app"},
                "d": {"path": "/tmp/x"},
            },
            "backend_tmpfs": ["/tmp/x:size=1m"],
            "backend_context": "/shop",
            "backend_image": "",
        },
        "backend_volumes.b.path = /srv: is the path of backend_volumes.a as well; give each its own.\n"
        "backend_volumes.c.path = /app: is where the application lies; mount it elsewhere: it would hide the source, "
        "that of later images too.\n"
        "backend_volumes.d.path = /tmp/x: is the path of backend_tmpfs as well",
    ),
    ({"backend_tmpfs": ["cache"]}, "backend_tmpfs = cache: not an absolute path"),
    # 11. Health
    ({"backend_health_path": "health/"}, "backend_health_path = health/: not a path; begin it with a slash"),
    ({"backend_health_host": "https://a.example"}, "backend_health_host = https://a.example: not a host name"),
    ({"backend_health_statuses": []}, "backend_health_statuses = []: empty"),
    ({"backend_health_statuses": [200, 1000]}, "backend_health_statuses = 1000: not a status of HTTP"),
    ({"backend_health_timeout_seconds": 0}, "backend_health_timeout_seconds = 0: not a positive number"),
    # 12. Edge
    ({"backend_upload_max_size": "25 MB"}, "backend_upload_max_size = 25 MB: not a size of nginx"),
    ({"backend_login_paths": ["accounts/login"]}, "backend_login_paths = accounts/login: not a path of URLs"),
    ({"backend_ready_wait_seconds": 0}, "backend_ready_wait_seconds = 0: not a positive number"),
    ({"backend_locations": {"downloads": "return 404;"}}, "backend_locations.downloads: not a location of nginx"),
    ({"backend_locations": {"/x/": "return 404"}}, "backend_locations./x/ = return 404: not directives of nginx"),
    ({"backend_locations": {"/x/": "if ($a) { return 404;"}}, "not directives of nginx"),
    (
        {"backend_redirect_domains": ["a.b:80"], "backend_domains": ["c.d"]},
        "backend_redirect_domains = a.b:80: has a port",
    ),
    ({"backend_redirect_domains": ["c.d"], "backend_domains": ["c.d"]}, "is one of backend_domains as well"),
    (
        {"backend_locations": {"^~ /s/": "deny all;"}, "backend_static_url": "/s/", "backend_media_url": ""},
        "backend_locations.^~ /s/: is the location of backend_static_url already",
    ),
    # 13. Limits and backups
    ({"backend_web_memory": "8m"}, "backend_web_memory = 8m: not a size, or too small to start in"),
    ({"backend_web_memory": "lots"}, "not a size"),
    ({"backend_processes": {"x": {"command": ["x"], "memory": "1 pound"}}}, "backend_processes.x.memory = 1 pound"),
    ({"backend_web_cpus": -1}, "backend_web_cpus = -1: is negative"),
    (
        {"backend_backup_volumes": ["medai"], "backend_volumes": {"media": {"path": "/srv"}}},
        "backend_backup_volumes = medai: no such volume; name one of backend_volumes: media",
    ),
]


@pytest.mark.parametrize(("values", "expected"), WRONG)
def test_a_wrong_value_is_one_line(values: dict, expected: str) -> None:
    found = judged(values)
    assert expected in found
    assert found.count("\n") == expected.count("\n")


@pytest.mark.parametrize(
    "values",
    [
        {"backend_packages": ["acme-shop[postgres]==1.2", "a @ https://x/a.whl", "b>=1; python_version < '4'"]},
        {"backend_packages": ["a==1 --hash=sha256:%s" % ("0" * 64)], "backend_hashes_required": True},
        {"backend_extras": ["s3"], "backend_requirements": "uv.lock", "backend_image": ""},
        {"backend_system_packages": ["libpango-1.0-0", "g++", "libc6:amd64", "gettext=0.23.1-2"]},
        {"backend_wsgi": "shop.wsgi:create_app('prod')", "backend_asgi": "", "backend_web_command": []},
        {"backend_env": {"A": 1, "_b": True, "C": "", "RESET_PASSWORD": "yes", "API_KEY": "/run/secrets/api"}},
        {"backend_build_env": {"SECRET_KEY": "for the build only"}},
        {"backend_secret_env": {"KEY": "-----BEGIN\nKEY"}},
        {"backend_files": {"/etc/a.ini": "a\nb", "/etc/b": {"content": "x", "mode": "0440", "owner": "1:1"}}},
        {"backend_worker_pools": {"mail-out": {}, "b": {"queues": ["a"], "concurrency": "2"}}},
        {
            "backend_periodic_commands": {
                "x": {"command": ["a"], "every": 60},
                "y": {"command": ["a"], "schedule": "0 3 * * *"},
            }
        },
        {"backend_release_commands": [["a", "b c"], {"command": ["a"], "once": True, "timeout": 60, "name": "x"}]},
        {"backend_static_root": "/opt/venv/lib/python3*/site-packages/acme/static", "backend_static_url": "/a/static/"},
        {"backend_static_url": "/static/", "backend_media_url": ""},
        {"backend_tmpfs": ["/var/cache", "/var/lib/x:size=64m,mode=1777"]},
        {
            "backend_locations": {
                "/": "proxy_pass http://x;",
                "= /x": "return 404;",
                "~ ^/(a|b)/": "if ($x) { return 1; }",
            }
        },
        {
            "backend_locations": {
                '~ "^/a{2}"': "# a comment with {\nreturn 200 '}';\n",
                "^~ /b/": "location /b/c/ { deny all; }",
            }
        },
        {"backend_web_memory": "1.5g", "backend_web_cpus": "0.5", "backend_upload_max_size": "0"},
        {"backend_domains": ["a.example"], "backend_redirect_domains": ["www.a.example"]},
    ],
)
def test_right_values_are_none_of_a_problem(values: dict) -> None:
    assert judged(values) == ""


def test_a_secret_in_the_open_is_told_where_it_is() -> None:
    secrets = {"secret_database": "p@ss/word-0123456789", "secret_short": "abc", "secret_weak": "password"}
    values = {
        "backend_env": {
            "DATABASE_URL": "postgresql://shop:p%40ss%2Fword-0123456789@db/shop",
            "A": "abc",
            "B": "password",
        },
        "backend_files": {"/etc/a.ini": "key = p@ss/word-0123456789\n"},
        "backend_secret_files": {"/etc/b.ini": "key = p@ss/word-0123456789\n"},
    }
    remedy = "contains the value of secret_database; move it to backend_secret_env or backend_secret_files."
    assert judged(values, secrets) == "backend_env.DATABASE_URL: %s\nbackend_files./etc/a.ini: %s" % (remedy, remedy)


def test_nothing_of_a_secret_variable_is_shown() -> None:
    values = {
        "backend_secrets": {"a/b": STRONG, "c": [STRONG], "d": {"content": STRONG, "mdoe": STRONG, "mode": STRONG}}
    }
    values |= {"backend_secret_env": {"A B": STRONG, "C": [STRONG]}, "backend_secret_files": {"x": STRONG}}
    found = judged(values)
    assert STRONG not in found
    assert found.count("\n") == 5


def test_services_without_a_host_are_missed_only_where_they_are_referred_to() -> None:
    raw = {
        "backend_default_secrets": {"database_url": "{{ stack_database.url }}"},
        "backend_env": {"CACHE": "{{ my_cache }}"},
        "my_cache": "{{ stack_redis.cache.host }}",
    }
    found = lines(service_problems({"postgres": [], "web": ["a"]}, raw, ["cache"]))
    assert "group postgres: has no host, but backend_default_secrets refers to stack_database; add one" in found
    assert "group redis: has no host, but backend_env refers to stack_redis" in found
    assert service_problems({"postgres": ["a"]}, raw, []) == []
    assert service_problems({}, {"backend_env": {"A": "stack_database"}}, ["cache"]) == []


def test_uses_of_redis_are_declared() -> None:
    raw = {
        "backend_env": {"A": "{{ stack_redis.broker.url }}{{ stack_redis['locks'].url }}{{ stack_redis.cache.url }}"}
    }
    found = lines(redis_reference_problems(raw, ["cache"]))
    assert "backend_env.A: refers to stack_redis.broker, but backend_redis_uses does not have it; add it there" in found
    assert "stack_redis.locks" in found
    assert found.count("\n") == 1


def test_beat_needs_workers() -> None:
    assert "without a worker host" in lines(worker_problems(True, ["default"], []))
    assert "without a worker pool" in lines(worker_problems(True, [], ["a"]))
    assert "has no host to run on" in lines(worker_problems(False, [], [], ["report"]))
    assert worker_problems(False, [], ["a"], ["report"]) == []
    assert worker_problems(False, [], []) == worker_problems(True, ["default"], ["a"]) == []


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
    ports = parsed_ports(texts, "p")
    assert [(port.address, port.port) for port in ports] == [
        ("", 80),
        ("127.0.0.1", 8000),
        ("127.0.0.1", 8001),
        ("::1", 443),
    ]


def test_ports_that_others_have() -> None:
    ports = parsed_ports(["127.0.0.1:80:8080", "443:8443", "127.0.0.1:5432:5432", "8000:8000"], "p")
    text = lines(port_problems(ports, observation(), "shop"))
    assert "p = 127.0.0.1:80: taken by a process that listens on 0.0.0.0" in text
    assert "p = 443: taken by the container proxy" in text
    assert "5432" not in text
    assert "8000" not in text


def test_a_port_on_another_address_is_free() -> None:
    ports = parsed_ports(["192.0.2.1:5432:5432"], "p")
    assert port_problems(ports, observation(containers={}), "shop") == []


def test_two_containers_cannot_share_a_port() -> None:
    ports = [*parsed_ports(["8000:8000"], "web"), *parsed_ports(["127.0.0.1:8000:80"], "edge")]
    assert "edge = 127.0.0.1:8000: is published by web as well" in lines(port_problems(ports, observation(), "s"))


def test_engines_that_are_too_old_or_locked() -> None:
    old = {"running": True, "api_version": "1.40", "version": "19.03.15"}
    assert "too old" in lines(engine_problems(old))
    assert "refuses this user" in lines(engine_problems({"running": False, "error": "[Errno 13] Permission denied"}))
    assert engine_problems({"running": True, "api_version": "1.41"}) == []
    hangs = {"running": False, "error": "unix:///var/run/docker.sock: timed out"}
    assert "Docker Engine: does not answer; it is busy or hangs: run again" in lines(engine_problems(hangs))
    assert engine_problems({"installed": False, "running": False, "error": "No such file"}) == []


def test_disk_clock_and_memory() -> None:
    assert "100 MiB free" in lines(disk_problems(100, 2048))
    assert disk_problems(2048, 2048) == []
    assert "45 s ahead" in lines(clock_problems(1045, 1000, 1000, 30))
    assert "45 s behind" in lines(clock_problems(955, 1000, 1010, 30))
    assert clock_problems(975, 1000, 1010, 30) == clock_problems(1035, 1000, 1010, 30) == []
    assert memory_problems(2048, 1024)[0].warning
    assert memory_problems(1024, 2048) == []


def test_memory_limits_are_added_up() -> None:
    assert values.megabytes("1.5g") == 1536
    assert values.megabytes("512m") == values.megabytes("512MiB") == values.megabytes(512 * 2**20) == 512
    assert memory_limits("256m", "web_memory") == 256
    assert memory_limits({"a": {"memory": "64m"}, "b": {"memory": "1g"}, "c": {}}, "pools") == 1088
    assert memory_limits("a memory", "postgres_volume") == 0


def test_hosts_that_could_not_be_observed() -> None:
    unreachable = {"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh: timed out\nmore"}
    assert "is unreachable: Failed to connect to the host via ssh: timed out;" in lines(
        observation_problems(unreachable)
    )
    assert "could not be observed: no python" in lines(observation_problems({"failed": True, "msg": "no python"}))
    assert "was not observed" in lines(observation_problems(None))
    assert "leave_out" not in lines(observation_problems(unreachable))
    assert "-e stack_unreachable_hosts=leave_out" in lines(observation_problems(unreachable, spare=True))


CHANGED_KEY = """Task failed: Failed to connect to the host via ssh: @@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in /root/.ssh/known_hosts:3
  remove with:
  ssh-keygen -f "/root/.ssh/known_hosts" -R "192.0.2.7"
Host key for 192.0.2.7 has changed and you have requested strict checking.
Host key verification failed."""
SUDO = (
    "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\nsudo: a password is required"
)
NO_JSON = "Module result deserialization failed: No start of json char found"
FULL = "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
TIMEOUT = "The Docker Engine refused to be observed: timed out"


@pytest.mark.parametrize(
    ("result", "text", "remedy"),
    [
        (
            {"unreachable": True, "msg": CHANGED_KEY},
            "is unreachable: REMOTE HOST IDENTIFICATION HAS CHANGED",
            '`ssh-keygen -f "/root/.ssh/known_hosts" -R "192.0.2.7"`',
        ),
        (
            {
                "unreachable": True,
                "msg": "ssh: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key for h has changed and",
            },
            "is unreachable: REMOTE HOST IDENTIFICATION HAS CHANGED",
            "`ssh-keygen -R h`",
        ),
        (
            {"failed": True, "msg": SUDO},
            "Premature end of stream waiting for become success: sudo: a password is required",
            "--ask-become-pass",
        ),
        (
            {"failed": True, "msg": NO_JSON, "module_stderr": FULL, "module_stdout": ""},
            "No start of json char found: OSError: [Errno 28] No space left on device",
            "free space on the host",
        ),
        (
            {"failed": True, "msg": NO_JSON, "module_stderr": "", "module_stdout": "/usr/bin/python3: not found\n"},
            "No start of json char found: /usr/bin/python3: not found",
            "Python 3 and your user's rights",
        ),
        ({"failed": True, "msg": TIMEOUT}, "observed: timed out", "it is busy or hangs: run again"),
    ],
)
def test_why_a_host_could_not_be_observed_is_told_with_its_own_remedy(result: dict, text: str, remedy: str) -> None:
    (line,) = [problem.line() for problem in observation_problems(result, spare=True)]
    assert text in line
    assert remedy in line
    others = {"--ask-become-pass", "Python 3 and", "free space", "busy or hangs", "ssh-keygen"}
    assert [other for other in others if other in line and other not in remedy] == [] or "ssh-keygen" in remedy


# The documentation of the shared variables


# What the wiring gives to the templates of inventories.
GIVEN = {"stack_public_url", "stack_origins", "stack_database", "stack_database_owner", "stack_redis"}


def stack_options(root: Path) -> dict[str, dict]:
    return yaml.safe_load((root / "meta/stack_variables.yml").read_text())["argument_specs"]["main"]["options"]


def test_the_documented_variables_are_those_of_the_wiring(root: Path) -> None:
    options = stack_options(root)
    wiring = {}
    for path in (root / "group_vars/shared").rglob("*.yml"):
        wiring |= yaml.safe_load(path.read_text())
    shared = {name: value for name, value in wiring.items() if name.startswith(("stack_", "backend_", "secret_"))}
    assert set(shared) - GIVEN <= set(options), "document it in meta/stack_variables.yml"
    for name, option in options.items():
        assert option["description"].endswith("."), name
        assert "required" in option or name in shared or "default" in option, name
        assert option.get("no_log", False) == ("secret" in name), name
        # A default that depends on other variables is documented by what it usually is.
        depends = templates.references(shared.get(name)) and not templates.references(option.get("default"))
        if name in shared and not depends:
            assert option["default"] == shared[name], name


def test_every_variable_that_a_rule_names_is_documented(root: Path) -> None:
    places = {steps[0] for steps, _rule in PLACES}
    combined = {name for _check, names in COMBINATIONS for name in names} - {"redis_instances"}
    assert places | combined | set(ENTRIES) | set(REFERRING) <= set(stack_options(root))


def test_the_keys_of_entries_are_those_that_roles_read(root: Path) -> None:
    web = yaml.safe_load((root / "roles/django_web/vars/main.yml").read_text())
    assert set(ENTRIES["backend_processes"][1]) == set(web["__django_web_process_keys"])
    assert set(ENTRIES["backend_release_commands"][1]) == release_commands.KEYS
    assert set(ENTRIES["backend_files"][1]) == rendering.FILE_KEYS


def test_the_defaults_of_the_stack_are_right(root: Path, tmp_path: Path) -> None:
    values = {
        name: option["default"] for name, option in stack_options(root).items() if option.get("default") is not None
    }
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/prod.txt").touch()
    templates = {"backend_context": str(tmp_path), "backend_domains": ["a.example"], "backend_health_host": "a.example"}
    uses = {"broker": {}, "cache": {}}
    changed = {**templates, "stack_subnet_prefix": "10.213.7", "redis_instances": uses, "backend_redis_uses": uses}
    assert judged({**values, **changed}) == ""


@pytest.mark.parametrize("text", ["false", "no", "True", ""])
def test_text_is_no_bool_since_templates_take_any_for_true(text: str) -> None:
    (problem,) = option_problems("backend_beat_enabled", text, {"type": "bool"})
    assert "is text where true or false is needed" in problem.line()
    assert """-e '{"backend_beat_enabled": false}'""" in problem.line()
    assert option_problems("backend_beat_enabled", False, {"type": "bool"}) == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"backend_env": {"R": "redis://{{ stack_redis.broker.host }}:{{ stack_redis.broker.port }}/0"}},
            "speaks plain",
        ),
        (
            {"backend_env": {"R": "{{ stack_redis.broker.host }}"}},
            "names the host of stack_redis.broker, and nothing its tls",
        ),
        ({"backend_env": {"R": "{{ stack_redis.broker.host }}", "S": "{{ stack_redis.broker.tls }}"}}, ""),
        ({"backend_secret_env": {"R": "{{ stack_redis.broker.url }}"}}, ""),
        ({"backend_env": {"R": "redis://elsewhere.example.org/0 {{ stack_name }}"}}, ""),
        ({"backend_env": {"R": "{{ stack_redis.broker.host }}", "S": "{{ stack_redis['broker'].get('ca') }}"}}, ""),
        (
            {"backend_env": {"R": "{{ stack_redis.broker.host }}", "S": "{{ stack_redis.cache.tls }}"}},
            "stack_redis.broker",
        ),
        (
            {
                "backend_env": {"R": "{{ stack_redis.broker.host }}"},
                "backend_files": {"a": "{{ stack_redis | to_json }}"},
            },
            "",
        ),
        ({"backend_files": {"a": "{% set r = stack_redis.broker %}{{ r.host }} {{ r.tls }}"}}, ""),
        ({"backend_files": {"a": "{% for r in stack_redis.values() %}{{ r.host }} {{ r.tls }}{% endfor %}"}}, ""),
        ({"backend_env": {"R": "{{ 'redis://other:6379/0' if stack_name else stack_redis.broker.url }}"}}, ""),
        ({"backend_env": {"R": "redis{{ stack_redis.a.tls | ternary('s', '') }}://{{ stack_redis.a.host }}"}}, ""),
        ({"backend_env": {"R": "{{ stack_redis.copy() | to_json }} {{ stack_redis.keys() | join }}"}}, ""),
        ({"backend_env": {"R": "redis://other:6379/0\n{{ stack_redis.broker.url }}"}}, ""),
        ({"backend_env": {"DB_SSLMODE": "require"}}, "sslmode require"),
        ({"backend_secret_env": {"D": "{{ stack_database['url'] }}?sslmode=prefer"}}, "sslmode prefer"),
        ({"backend_secret_env": {"D": "postgresql://other.example.org/x?sslmode=require"}}, ""),
        ({"backend_env": {"DB_SSLMODE": "verify-full", "PGSSLMODE": "{{ stack_database.sslmode }}"}}, ""),
        # Ansible says so itself.
        ({"backend_env": {"R": "{{ stack_redis.broker.host"}}, ""),
    ],
)
def test_in_a_fleet_redis_and_database_speak_tls(raw: dict, expected: str) -> None:
    found = lines(plain_redis_problems(raw))
    assert expected in found
    assert bool(found) is bool(expected)


@pytest.mark.parametrize(
    "template",
    [
        "{{ stack_redis['broker']['host'] }}",
        '{{ stack_redis["broker"].host }}',
        "{{ stack_redis.get('broker').host }}",
        "{{ stack_redis.get('broker', {}).get('host') }}",
        "{{ (stack_redis.broker | default({})).host }}",
        "{{ stack_redis.broker | attr('host') }}",
        "{{ stack_redis.broker.host.strip() }}",
        "{{ stack_redis.copy().broker.host }}",
        "{{ stack_redis[\n  'broker' ] . host | upper }}",
        "{{ (stack_redis.broker if stack_name else none).host }}",
        "{% set r = stack_redis.broker %}{{ r.host }}",
        "{% with r = stack_redis['broker'] %}{{ r['host'] }}{% endwith %}",
        "{% if stack_redis.broker is defined %}{{ stack_redis.broker.host }}{% endif %}",
        "{% for name in ['a'] %}{{ stack_redis['broker'].host }}{% endfor %}",
        "{{ lookup('ansible.builtin.vars', 'stack_redis').broker.host }}",
        "{{ vars['stack_redis'].broker.host }}",
        "{{ hostvars[inventory_hostname].stack_redis.broker['host'] }}",
        "{{ [stack_redis.broker.host, ':', stack_redis.broker.port] | join }}",
        "{{ shop_broker.host }}",
        "{{ shop_settings.redis['host'] }}",
        "{{ shop_host }}",
    ],
)
def test_however_it_is_written_the_host_of_redis_is_seen(template: str) -> None:
    raw = {
        "backend_env": {"R": template},
        "shop_broker": "{{ stack_redis['broker'] }}",
        "shop_settings": {"redis": {"host": "{{ shop_broker.host }}", "port": "{{ shop_broker.port }}"}},
        "shop_host": "{{ shop_settings.redis.host }}:6379",
        # As the wiring has it.
        "stack_redis": "{{ redis_instances | to_json }}",
    }
    found = lines(plain_redis_problems(raw))
    assert "backend_env.R: names the host of stack_redis.broker, and nothing its tls" in found
    problems = lines(redis_reference_problems(raw, ["cache"]))
    assert "refers to stack_redis.broker, but backend_redis_uses does not have it" in problems
    assert redis_reference_problems(raw, ["broker"]) == []
    told = {**raw, "backend_secrets": {"tls": "{{ shop_broker.get('tls') }}"}}
    assert plain_redis_problems(told) == []


@pytest.mark.parametrize(
    "template",
    [
        "{% for r in stack_redis.values() %}{{ r.host }}{% endfor %}",
        "{% for name, r in stack_redis.items() %}{{ name }}={{ r['host'] }}{% endfor %}",
        "{{ stack_redis.values() | map(attribute='host') | join(',') }}",
        "{% for name in stack_redis %}{{ name }}={{ stack_redis[name].host }}{% endfor %}",
    ],
)
def test_the_host_of_a_use_that_is_not_named_is_seen(template: str) -> None:
    found = lines(plain_redis_problems({"backend_env": {"R": template}}))
    assert "names the host of stack_redis.<use>, and nothing its tls" in found


@pytest.mark.parametrize(
    "template",
    [
        "redis://{{ stack_redis['broker']['host'] }}:6379/0",
        "redis://:{{ secret_x | urlencode }}@{{ stack_redis.get('broker').host }}/0",
        "{{ 'redis://' ~ stack_redis.broker.host ~ ':6379' }}",
        "{{ 'redis://' + stack_redis['broker'].host }}",
        "{{ 'redis://%s:%s/0' | format(stack_redis.broker.host, 6379) }}",
        "{{ 'redis://%s' % stack_redis.broker.host }}",
        "{{ 'redis://{}:{}'.format(stack_redis.broker.host, stack_redis.broker.port) }}",
        "{% set r = stack_redis.broker %}redis://{{ r.host }}",
        "{% if stack_name %}redis://{{ stack_redis.broker.host }}{% endif %}",
        "redis://{{ shop_broker.host }}",
    ],
)
def test_however_it_is_written_a_plain_url_of_redis_is_refused_in_a_fleet(template: str) -> None:
    raw = {"backend_env": {"R": template}, "shop_broker": "{{ stack_redis.broker }}"}
    assert "backend_env.R: speaks plain to a port of TLS" in lines(plain_redis_problems(raw))


def test_what_playbooks_register_is_no_unknown_variable_in_the_next_preflight_of_a_run(root):
    texts = [path.read_text() for path in (root / "playbooks").rglob("*.yml")]
    registered = {name for text in texts for name in re.findall(r"^ +register: (stack_\w+)$", text, re.MULTILINE)}
    assert "stack_release" in registered
    assert registered - RUNTIME_VARIABLES == set()
