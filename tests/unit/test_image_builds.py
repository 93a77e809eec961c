"""What has to be built or fetched, and whether hosts hold the same images."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.filter.images import (
    build_failure,
    builder_mark,
    builders_due,
    image_builds,
    image_supply,
    images_held,
    images_missing,
)

CATALOG = {
    "base": {"reference": "shop/base:1", "parents": []},
    "builder": {"reference": "shop/builder:1", "parents": []},
    "postgres": {"reference": "shop/postgres:1", "parents": ["base", "builder"]},
    "redis": {"reference": "shop/redis:1", "parents": ["base", "builder"]},
    "backups": {"reference": "shop/backups:1", "parents": ["postgres"]},
}


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        (["postgres"], [], ["base", "builder", "postgres"]),
        (["backups", "redis"], [], ["base", "builder", "postgres", "redis", "backups"]),
        (["redis"], ["shop/redis:1"], []),
        # The builder carries this run's mirrors and certificates, so it is always of this run.
        (["redis"], ["shop/base:1", "shop/builder:1"], ["builder", "redis"]),
        (["backups"], ["shop/postgres:1"], ["backups"]),
        ([], [], []),
    ],
)
def test_what_is_built(wanted, present, expected):
    assert [image["name"] for image in image_builds(CATALOG, wanted, present)] == expected


def test_a_builder_stays_that_was_built_from_the_same():
    builds = image_builds(CATALOG, ["postgres"], [])
    mark = builder_mark(CATALOG["builder"], "context", "parent")
    images = {name: {"id": "sha256:1"} for name in ("shop/base:1", "shop/builder:1", mark)}
    names = ["base", "builder", "postgres"]

    def due(found: dict, *parts: str) -> list[str]:
        return [image["name"] for image in builders_due(builds, found, *parts)]

    assert due(images, "context", "parent") == ["base", "postgres"]
    # Other settings of the run, another parent, another build under the reference, a builder that is gone.
    assert due(images, "other", "parent") == due(images, "context", "other") == names
    assert due({**images, "shop/builder:1": {"id": "sha256:2"}}, "context", "parent") == names
    assert due({mark: {"id": "sha256:1"}}, "context", "parent") == names
    assert due({}, "context", "parent") == names


POSTGRES, REDIS = "shop/postgres:1", "shop/redis:1"
WANTED = {"one": ["redis", "postgres"], "two": ["redis"], "three": ["postgres"]}


def has(**ids: str) -> dict:
    return {f"shop/{name}:1": {"id": f"sha256:{letter}"} for name, letter in ids.items()}


def supply(hosts: dict, builder: dict | None = None) -> dict:
    found = image_supply(CATALOG, WANTED, hosts, builder)
    return {**found, "builds": [image["name"] for image in found["builds"]]}


def missing(hosts: dict, host: str) -> list[str]:
    return images_missing([CATALOG[name]["reference"] for name in WANTED[host]], hosts[host], held_by(hosts))


def held_by(hosts: dict) -> dict[str, str]:
    return images_held([image["reference"] for image in CATALOG.values()], hosts)


def test_what_all_hosts_have_is_neither_built_nor_fetched_whatever_the_controller_has():
    hosts = {"one": has(redis="a", postgres="p"), "two": has(redis="a"), "three": has(postgres="p")}
    for builder in ({}, has(redis="other", postgres="other")):
        assert supply(hosts, builder) == {"missing": [], "fetches": [], "builds": [], "differences": []}
    assert [missing(hosts, host) for host in hosts] == [[], [], []]


def test_a_host_that_joins_gets_the_image_of_the_others():
    hosts = {"one": has(redis="a", postgres="p"), "two": has(redis="a"), "three": {}}
    assert missing(hosts, "three") == [POSTGRES]
    fetched = [{"host": "one", "references": [POSTGRES]}]
    for builder, fetches in ({}, fetched), (has(postgres="other"), fetched), (has(postgres="p"), []):
        assert supply(hosts, builder) == {"missing": [POSTGRES], "fetches": fetches, "builds": [], "differences": []}


def test_what_no_host_has_is_built_and_nothing_else():
    hosts = {"one": has(postgres="p"), "two": {}, "three": has(postgres="p")}
    found = supply(hosts)
    assert (found["builds"], found["fetches"]) == (["base", "builder", "redis"], [])
    assert supply(hosts, has(redis="c"))["builds"] == []


def test_another_image_under_the_name_is_noticed_on_any_host():
    """Also of a name that the first host does not want."""
    wanted = {"one": [], "two": ["redis"], "three": ["redis"]}
    hosts = {"one": {}, "two": has(redis="a"), "three": has(redis="b")}
    held = held_by(hosts)
    assert images_missing([], hosts["one"], held) == []
    assert [images_missing([REDIS], hosts[host], held) for host in ("two", "three")] == [[], [REDIS]]
    found = image_supply(CATALOG, wanted, hosts, has(redis="b"))
    assert found["fetches"] == [{"host": "two", "references": [REDIS]}]
    assert found["differences"] == ["shop/redis:1: sha256:a on two; sha256:b on three"]


def test_what_most_hosts_have_is_taken():
    hosts = {"one": has(redis="b", postgres="p"), "two": has(redis="a"), "three": has(redis="a", postgres="p")}
    assert held_by(hosts) == {REDIS: "sha256:a", POSTGRES: "sha256:p"}
    assert missing(hosts, "one") == [REDIS]


def failed(*log: str) -> str:
    """What docker_image fails with."""
    return "Error building shop/django - code: 1, message: The command returned 1, logs: %r" % (list(log),)


def test_a_failed_build_shows_its_log_once_and_without_colours():
    text = build_failure(failed("Step 1/2", "\x1b[31merror\x1b[0m: no such file\n", ""))
    assert text.splitlines() == ["The command returned 1", "  Step 1/2", "  error: no such file"]


@pytest.mark.parametrize(
    "line",
    [
        "KeyError: 'STRIPE_KEY'",
        "django.core.exceptions.ImproperlyConfigured: Set the STRIPE_KEY environment variable",
        "decouple.UndefinedValueError: STRIPE_KEY not found. Declare it as envvar or define a default value.",
    ],
)
def test_a_build_that_misses_a_variable_names_where_it_is_set(line):
    told = build_failure(failed(line)).splitlines()[-1]
    assert "STRIPE_KEY" in told
    assert "backend_build_env" in told
    assert "backend_build_env" not in build_failure(failed("KeyError: 'name'"))
