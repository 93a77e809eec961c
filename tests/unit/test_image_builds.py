"""What has to be built, and whether hosts hold the same images."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.filter.images import image_builds, image_differences

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


def test_hosts_with_the_same_images_do_not_differ():
    images = {"shop/redis:1": {"id": "sha256:a"}}
    assert image_differences({"one": images, "two": images}, ["shop/redis:1"]) == []


def test_a_host_that_lacks_an_image_does_not_differ():
    assert image_differences({"one": {"shop/redis:1": {"id": "sha256:a"}}, "two": {}}, ["shop/redis:1"]) == []


def test_a_difference_names_reference_and_hosts():
    hosts = {"one": {"shop/redis:1": {"id": "sha256:a"}}, "two": {"shop/redis:1": {"id": "sha256:b"}}}
    assert image_differences(hosts, ["shop/redis:1"]) == ["shop/redis:1: sha256:a on one; sha256:b on two"]
