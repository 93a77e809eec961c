"""Instances of Redis: what an inventory says, judged and made containers of. No Ansible runs."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.redis import Instance, Redis

FOLDER = Path(__file__).parents[2] / "roles/redis"
ROLE = yaml.safe_load((FOLDER / "vars/main.yml").read_text())
CONFIGURATION = (FOLDER / "files/redis.conf").read_text()


def service(instances: dict | None, **said: object) -> Redis:
    return Redis.read(
        {"container_prefix": "shop-redis", "addresses": {}, "networks": [], "instances": instances, **said}
    )


def container(settings: dict | None = None, **said: object) -> dict:
    (only,) = service({"cache": {"password": "a", **(settings or {})}}, **said).containers(
        {"image": "r:1"}, CONFIGURATION
    )
    return only


def test_what_an_instance_may_say_is_what_it_has():
    fields = {field.name for field in dataclasses.fields(Instance)}
    assert fields - {"name"} == set(ROLE["__redis_instance_options"])
    assert set(ROLE["__redis_service"]) == {field.name for field in dataclasses.fields(Redis)}


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("Cache", {}, "redis_instances.Cache: the name may hold lower-case letters, digits and dashes"),
        (
            "cache",
            {"maxmemory": "much"},
            "redis_instances.cache: maxmemory much is not a size; write for example 256mb",
        ),
        ("cache", {"commands": ["keys", "a b"]}, "redis_instances.cache: commands keys, a b are no commands"),
        ("cache", {"memory": "1 gig"}, "redis_instances.cache: memory 1 gig is not a size; write for example 512m"),
    ],
)
def test_what_is_wrong_is_told_with_the_variable(name, settings, sentence):
    (problem,) = service({name: settings}).problems()
    assert problem.startswith(sentence)


def test_well_written_instances_have_no_problem():
    said = {"maxmemory": "1gb", "commands": ["client|list"], "memory": "2g", "password": "a"}
    assert service({"broker": None, "cache-2": said}).problems() == []
    assert service(None).problems() == []


@pytest.mark.parametrize(
    ("settings", "memory"),
    [
        # The append-only file is rewritten by a fork, whose pages may all be copied.
        ({"maxmemory": "256mb"}, "576m"),
        ({"maxmemory": "256mb", "appendonly": False}, "384m"),
        ({"maxmemory": "10mb", "appendonly": False}, "77m"),
        ({"maxmemory": "10mb", "memory": "1g"}, "1g"),
    ],
)
def test_memory_follows_from_what_the_data_may_take(settings, memory):
    assert container(settings)["memory"] == memory


def test_the_user_of_the_application_may_empty_only_what_drops_keys_anyway():
    digest = hashlib.sha256("pä$s {x}".encode()).hexdigest()
    kept = container({"password": "pä$s {x}", "commands": ["keys"]})["secrets"]["users.acl"]
    assert kept.splitlines()[-1] == f"user app on #{digest} allkeys allchannels +@all -@dangerous +info +keys"
    dropped = container({"maxmemory_policy": "allkeys-lru"})["secrets"]["users.acl"]
    assert dropped.endswith(" +@all -@dangerous +info +flushdb\n")


def test_data_that_survives_lies_in_a_volume_and_other_data_in_memory():
    kept, lost = container(), container({"appendonly": False, "maxmemory": "1m", "maxmemory_policy": "allkeys-lru"})
    assert (kept["volumes"], kept["tmpfs"], kept["stateful"]) == (["shop-redis-cache:/var/lib/redis"], [], True)
    assert (lost["volumes"], lost["tmpfs"], lost["stateful"]) == ([], ["/var/lib/redis:size=1m"], False)
    assert "\nappendonly yes\n" in kept["files"]["redis.conf"]
    assert "\nappendonly no\n" in lost["files"]["redis.conf"]
    assert "\nmaxmemory 1048576\nmaxmemory-policy allkeys-lru\n" in lost["files"]["redis.conf"]
    assert kept["image"] == "r:1"


def test_a_fixed_address_is_one_of_the_first_network():
    networks = [{"name": "data"}, {"name": "app"}]
    found = container(networks=networks, addresses={"cache": "10.213.7.171"})["networks"]
    assert found == [{"name": "data", "ipv4_address": "10.213.7.171"}, {"name": "app"}]
    assert container(networks=networks, addresses={"broker": "10.213.7.170"})["networks"] == networks
    assert container(addresses={"cache": "10.213.7.171"})["networks"] == []
