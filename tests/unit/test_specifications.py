"""The program that compares container specifications with those of another commit."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys

import pytest


@pytest.fixture(scope="module")
def program(root):
    loader = importlib.machinery.SourceFileLoader("specifications", str(root / "tests" / "specifications"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    # Dataclasses look for their module there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, loader.name, module)
        patch.setattr(sys, "dont_write_bytecode", True)
        loader.exec_module(module)
        yield module


def dump(*containers, **keys):
    return {"prod": {"host": {"django_web": {"containers": {name: keys for name in containers}, "once": {}}}}}


def test_a_changed_default_is_told_where_it_arrives(program, tmp_path):
    program.copy_of_working_tree(tmp_path)
    before = program.dump_of(tmp_path, "molecule/redis")
    assert set(before["molecule/redis"]["molecule-redis"]["redis"]["containers"]) == {
        "shop-redis-broker",
        "shop-redis-cache",
    }
    assert program.differences(before, program.dump_of(tmp_path, "molecule/redis")) == {}
    defaults = tmp_path / "roles/container/vars/main.yml"
    text = defaults.read_text()
    defaults.write_text(text.replace("pids_limit: 256", "pids_limit: 255"))
    assert defaults.read_text() != text
    found = program.differences(before, program.dump_of(tmp_path, "molecule/redis"))
    places = ["molecule/redis/molecule-redis/shop-redis-" + name for name in ("broker", "cache")]
    assert found == {program.Difference("options.pids_limit", "256", "255"): places}


def test_a_checksum_is_told_where_nothing_else_differs(program):
    one, other = {"checksum": "1", "options": {"cpus": 1}}, {"checksum": "2", "options": {"cpus": 2}}
    assert [item.key for item in program.differences(dump("web", **one), dump("web", **other))] == ["options.cpus"]
    found = program.differences(dump("web", **one), dump("web", **{**one, "checksum": "2"}))
    assert found == {program.Difference("checksum", "1", "2"): ["prod/host/web"]}


def test_containers_that_come_and_go_are_told(program):
    found = program.differences(dump("web", "mail"), dump("web", "beat"))
    assert {(item.before, item.after): places for item, places in found.items()} == {
        ("is there", program.MISSING): ["prod/host/mail"],
        (program.MISSING, "is there"): ["prod/host/beat"],
    }


def test_differences_on_purpose_are_not_told_and_those_without_use_are(program):
    found = program.differences(dump("web", "mail", cpus=1), dump("web", "mail", cpus=2))
    used = {"where": "prod/*/web", "key": "cp*", "reason": "it is faster"}
    stale = {"where": "prod/*/beat", "key": "cpus", "reason": "it was slow"}
    left, unused = program.without_expected(found, [used, stale])
    assert left == {program.Difference("cpus", "1", "2"): ["prod/host/mail"]}
    assert unused == [stale]


def test_every_scenario_and_every_inventory_is_looked_at(program, tmp_path, root):
    program.copy_of_working_tree(tmp_path)
    names = {inventory.name for inventory in program.inventories(tmp_path)}
    files = root.glob("molecule/*/molecule.yml")
    expected = {f"molecule/{file.parent.name}" for file in files} | {"bench/vars.yml", "tests/backend"}
    assert expected | {"inventories/prod", "docs/examples/weblate/inventory", "tests/apps/pulse/inventory"} <= names
