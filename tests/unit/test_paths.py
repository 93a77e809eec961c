"""Paths and names of inventories: what may be written, mounted and deleted by them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.modules import stack_files
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import paths
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.observed import shared_root_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import variable_of


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/etc", "/etc/shop", "/opt", "/opt/", "/home/ann", "/root", "/usr/share/shop", "/usr/local", "/var/lib"),
        *("/var/lib/docker/volumes/x", "/proc/1", "/run/shop", "/dev/shm/x", "/boot/x", "/lib64", "/srv"),
        *(
            "",
            "opt/shop",
            "../shop",
            "/opt/../etc",
            "/opt/./shop",
            "/opt//shop",
            "~/shop",
            "//etc",
            "/opt/a:b",
            "/opt/a\n",
        ),
        *("/opt/shop/..", " /opt/shop", None, 5),
    ],
)
def test_a_directory_that_is_not_the_stacks_alone_is_refused(path):
    assert paths.own_directory_fault(path)


@pytest.mark.parametrize(
    "path",
    [
        "/opt/shop",
        "/srv/shop",
        "/var/lib/shop",
        "/home/ann/my shop/.dev",
        "/root/shop/.dev",
        "/usr/local/shop",
        "/data/x",
    ],
)
def test_a_directory_of_ones_own_is_accepted(path):
    assert paths.own_directory_fault(path) is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("postgres_container_name", "../../etc"),
        ("redis_container_prefix", "a/b"),
        ("nginx_tls_container_name", "shop nginx"),
        ("postgres_volume", "/etc"),
        ("backups_volumes", {"media": "/srv/media"}),
        ("stack_image_namespace", ".*"),
        ("stack_image_namespace", ""),
        ("redis_networks", [{"name": "host"}]),
        ("docker_host_networks", [{"name": "bridge"}]),
        ("stack_release_slots", ["../x", "blue"]),
        ("stack_release_slots", ["blue", "blue"]),
        ("stack_release_slots", ["blue"]),
        ("stack_release_slots", ["release", "blue"]),
        ("stack_fleet_ca_dir", "/"),
        ("stack_name", "../etc"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_by_the_variable(variable, value):
    assert paths.judged(variable)
    (problem,) = paths.path_problems({variable: value})
    assert variable_of(problem.subject) == variable
    assert problem.remedy


def test_what_the_wiring_says_is_accepted():
    values = {
        "stack_name": "shop",
        "stack_root": "/opt/shop",
        "container_root": "/opt/shop/containers",
        "stack_release_slots": ["blue", "green", "amber"],
        "stack_image_namespace": "registry.example.org:5000/acme/shop",
        "postgres_volume": "shop-postgres",
        "postgres_backup_repository_volume": "",
        "redis_networks": [{"name": "shop-data"}],
        "stack_fleet_ca_dir": "/home/ann/shop/inventories/prod/.pki/fleet",
    }
    assert paths.path_problems(values) == []


class Host:
    """A host's directory of a stack, as a run leaves it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "opt" / "shop"
        self.containers = self.root / "containers"
        for path in ("shop-web/env/container.env", "shop-web/secrets/key", ".release/journal/1.json"):
            self.write(f"containers/{path}")

    def write(self, path: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        return file

    def remove(self, names=(), foreign=(), check_mode=False):
        return stack_files.remove("shop", str(self.root), str(self.containers), names, foreign, check_mode)


@pytest.fixture
def there(tmp_path) -> Host:
    return Host(tmp_path)


def test_a_stack_that_is_alone_goes_with_its_directory_and_every_path_is_told(there):
    removed, kept = there.remove()
    assert not there.root.exists()
    assert there.root.parent.exists()
    assert kept == []
    names = [".release", "shop-web"]
    assert removed == [*(str(there.containers / name) for name in names), str(there.containers), str(there.root)]


def test_check_mode_tells_the_same_and_removes_nothing(there):
    told = there.remove(check_mode=True)
    assert (there.containers / "shop-web/secrets/key").exists()
    assert told == there.remove()


@pytest.mark.parametrize("path", ["notes.txt", "containers/notes.txt", "containers/other-web/env/container.env"])
def test_what_is_not_the_stacks_stays_with_the_directories_around_it(there, path):
    foreign = there.write(path)
    _removed, kept = there.remove()
    assert foreign.exists()
    assert not (there.containers / "shop-web").exists()
    assert any(str(foreign).startswith(one) for one in kept)


def test_a_folder_that_is_only_named_like_ours_stays(there):
    foreign = there.write("containers/shop-photos/2019/cat.jpg")
    there.remove()
    assert foreign.exists()


def test_the_folder_of_another_stacks_container_stays(there):
    foreign = there.write("containers/shop-eu-web/env/container.env")
    there.remove(foreign=["shop-eu-web"])
    assert foreign.exists()


def test_a_container_with_a_name_of_its_own_goes(there):
    there.write("containers/database/config/postgresql.conf")
    there.remove(names=["database"])
    assert not there.root.exists()


def test_a_link_is_not_followed(there, tmp_path):
    outside = tmp_path / "outside" / "env"
    outside.mkdir(parents=True)
    os.symlink(outside.parent, there.containers / "shop-linked")
    there.remove()
    assert outside.exists()
    assert (there.containers / "shop-linked").is_symlink()


def test_two_stacks_in_one_directory_are_told():
    observation = {
        "containers": {"other-web": {"stack": "other"}, "shop-web": {"stack": "shop"}, "legacy": {"stack": ""}},
        "files": {"/opt/x/containers/other-web/env/container.env": {}, "/opt/x/containers/legacy/a": {}},
    }
    (problem,) = shared_root_problems(observation, "shop", "/opt/x/containers")
    assert "stack other" in problem.line()
    assert shared_root_problems(observation, "shop", "/opt/shop/containers") == []
