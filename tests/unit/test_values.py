"""A value that preflight lets pass is one that its role can use, and the other way round."""

from __future__ import annotations

import pytest
import specified
from ansible.errors import AnsibleError
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.parsing.dataloader import DataLoader
from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.specification import SpecificationError
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import domains, rules
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import values
from test_policy import ROOT, arguments, scope

LOADER = DataLoader()
NAMES = {
    **dict.fromkeys(["mail", "m", "a--b", "mail-2", "x" * 60], True),
    **dict.fromkeys(["mail-", "-mail", "Mail", "2mail", "mail_x", "mail.x", "mail ", "mail\n", "ä", "-"], False),
}
SERVERS = {
    **dict.fromkeys(["shop.org", "localhost", "a.b.c.example", "xn--bcher-kva.example", "1.shop.org"], True),
    **dict.fromkeys(["9to5.example", "x" * 63 + ".org", "shop.x1"], True),
    **dict.fromkeys(["*.shop.org", ".shop.org", "shop.org.", "shop..org", "https://shop.org", "shop.org:8443"], False),
    **dict.fromkeys(["Shop.org", "bücher.example", "-shop.org", "shop-.org", "shop.org-", "shop.-org"], False),
    **dict.fromkeys(["192.0.2.1", "2001:db8::1", "192.0.2.0/24", "10.1", "shop.1-2", "shop_x.org"], False),
    **dict.fromkeys(["shop.org\n", "shop org", "", "x" * 64 + ".org", ".".join(["x" * 60] * 5)], False),
}
SCHEDULES = {
    **dict.fromkeys(["0 2 * * *", "*/5 0-6,22 1 1-12/2 7", "30  3 * * 1-5", "59 23 31 12 0", " 0 2 * * * "], True),
    **dict.fromkeys(["daily", "@daily", "0 2 * *", "0 2 * * * *", "60 2 * * *", "0 24 * * *", "0 2 0 * *"], False),
    **dict.fromkeys(["0 2 * 13 *", "0 2 * * 8", "*/0 2 * * *", "5-1 2 * * *", "- - - - -", ", 2 * * *"], False),
    **dict.fromkeys(["0 2 * * mon", "/5 2 * * *"], False),
}
SIZES = {
    **dict.fromkeys(["512m", "512M", "512mb", "512MB", "512MiB", "512Mib", "1g", "1.5g", "1.5 GB", "1 GiB"], True),
    **dict.fromkeys(["536870912", "536870912b", "524288k", "524288KiB", "1t", " 512m ", "512MIB"], True),
    **dict.fromkeys(["lots", "m", "-512m", "512x", "512 mega", "1,5g", "50%", "0x20", "512m512m", "1e9"], False),
}


def table(values_to_verdicts):
    return pytest.mark.parametrize(("value", "valid"), list(values_to_verdicts.items()))


def problems(role, **given):
    return specified.evaluated(LOADER, scope(LOADER, "staging", role, **given), f"__{role}_problems")


@table(NAMES)
def test_names_of_processes(value, valid):
    process = {"command": ["true"]}
    assert (rules.rule_problems({"backend_processes": {value: process}}) == []) == valid
    entry = {"__django_web_entry": {"key": value, "value": process}}
    (check, *_others) = specified.loaded(LOADER, ROOT / "roles/django_web/tasks/main.yml")
    conditions = " and ".join(check["ansible.builtin.assert"]["that"])
    assert specified.evaluated(LOADER, scope(LOADER, "staging", "django_web", **entry), conditions) == valid


@pytest.mark.parametrize("variable", ["backend_worker_pools", "backend_periodic_commands"])
@table(NAMES)
def test_names_of_pools_and_of_commands_on_a_timer(variable, value, valid):
    entry = {"command": ["true"], **({} if "pools" in variable else {"every": 60})}
    assert (rules.rule_problems({variable: {value: entry}}) == []) == valid
    given = {variable.replace("backend_worker", "celery_worker").replace("backend", "celery_worker"): {value: entry}}
    assert (problems("celery_worker", **given) == []) == valid


@table(SERVERS)
def test_names_of_servers(value, valid):
    assert (domains.domain_problems([value]) == []) == valid
    assert (domains.redirect_problems([value], []) == []) == valid
    assert (problems("nginx_tls", nginx_tls_server_names=[value], nginx_tls_redirect_names=[]) == []) == valid
    assert (problems("nginx_tls", nginx_tls_server_names=["a.b"], nginx_tls_redirect_names=[value]) == []) == valid


@table(SCHEDULES)
def test_times_of_cron(value, valid):
    command = {"command": ["true"], "schedule": value}
    assert (rules.rule_problems({"backend_periodic_commands": {"tidy": command}}) == []) == valid
    assert (problems("celery_worker", celery_worker_periodic_commands={"tidy": command}) == []) == valid
    for name in ("backups_full_schedule", "backups_differential_schedule"):
        assert (problems("backups", **{name: value}) == []) == valid


@table(SIZES)
def test_sizes_of_memory_reach_the_engine(value, valid):
    assert values.is_size(value) == valid
    assert (rules.rule_problems({"backend_web_memory": value}) == []) == valid
    given = scope(LOADER, "staging", "django_web", django_web_memory=value)
    if valid:
        for spec in specified.evaluated(LOADER, given, "__django_web_containers"):
            # As docker_container reads it.
            assert human_to_bytes(arguments(spec)["memory"]) == round(values.size(value))
    else:
        with pytest.raises((AnsibleError, SpecificationError)):
            [arguments(spec) for spec in specified.evaluated(LOADER, given, "__django_web_containers")]


@table({**SIZES, "8m": False, "0": False})
def test_sizes_of_workers(value, valid):
    pool, timer = {"memory": value}, {"command": ["true"], "every": 60, "memory": value}
    for backend, role, entry in (
        ("backend_worker_pools", "celery_worker_pools", pool),
        ("backend_periodic_commands", "celery_worker_periodic_commands", timer),
    ):
        assert (rules.rule_problems({backend: {"tidy": entry}}) == []) == valid
        assert (problems("celery_worker", **{role: {"tidy": entry}}) == []) == valid


@table({**SIZES, "8m": True, "0": False})
def test_sizes_after_which_a_process_of_workers_is_replaced(value, valid):
    pools = {"default": {"max_memory_per_child": value}}
    assert (rules.rule_problems({"backend_worker_pools": pools}) == []) == valid
    assert (problems("celery_worker", celery_worker_pools=pools) == []) == valid


@table(SIZES)
def test_sizes_of_redis_are_computed(value, valid):
    instances = {"cache": {"maxmemory": value, "password": "canary-password"}}
    assert (problems("redis", redis_instances=instances) == []) == valid
    limited = {"cache": {"memory": value, "password": "canary-password"}}
    assert (problems("redis", redis_instances=limited) == []) == valid
    if valid:
        assert size_bytes(value) == int(values.size(value))


@pytest.mark.parametrize("value", ["", "15m", "1", "0", True, None])
def test_memory_in_which_nothing_starts(value):
    assert not values.is_container_memory(value)
