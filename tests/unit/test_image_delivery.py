"""Images go from Engine to Engine through a connection that knows single commands only; `docker` is a stand-in here."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.action import image_delivery, image_fetch
from ansible_collections.broadcast.stack.plugins.plugin_utils.images import archive as image_archive

DOCKER = """#!/bin/sh
case "$1" in
    save) cat "$SAVED" ;;
    load) if [ -n "$REFUSE" ]; then head -c 1000 > /dev/null; echo "no space left on device" >&2; exit 1; fi
        cat > "$LOADED"; echo "Loaded image: shop/django:1" ;;
    image) [ -z "$REFUSE" ] || { echo "No such image" >&2; exit 1; } ;;
esac
"""


def archive(path: Path, layers: int, size: int) -> bytes:
    """What `docker save` of an image with so many layers writes."""
    names = [f"layer{number}/layer.tar" for number in range(layers)]
    config = {"rootfs": {"diff_ids": [f"sha256:{number}" for number in range(layers)]}}
    members = {name: os.urandom(size) for name in names}
    members |= {"image.json": json.dumps(config).encode()}
    members |= {"manifest.json": json.dumps([{"Config": "image.json", "Layers": names}]).encode()}
    with tarfile.open(path, "w") as written:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
    return path.read_bytes()


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Path:
    """A `docker` on both sides, a host whose temporary folders are counted, and small pieces."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    (tmp_path / "host").mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "host"))
    monkeypatch.setenv("SAVED", str(tmp_path / "saved.tar"))
    monkeypatch.setenv("LOADED", str(tmp_path / "loaded.tar"))
    monkeypatch.setenv("REFUSE", "")
    monkeypatch.setattr(image_delivery, "PIECE", 100_000)
    monkeypatch.setattr(image_delivery, "PIECE_SECONDS", 5)
    monkeypatch.setattr(image_fetch, "PIECE", 100_000)
    return tmp_path


class Connection:
    """Runs single commands, as Ansible's connections do."""

    commands = 0

    def _low_level_execute_command(self, command: str, in_data: bytes) -> dict:
        self.commands += 1
        done = subprocess.run(["sh", "-c", command], input=in_data, capture_output=True, timeout=60, check=False)
        return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}


class Delivery(Connection, image_delivery.ActionModule):
    """The action without a task."""

    def __init__(self) -> None:
        pass


class Fetch(Connection, image_fetch.ActionModule):
    """The action without a task."""

    def __init__(self) -> None:
        pass


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as read:
        return {member.name: read.extractfile(member).read() for member in read}


def test_an_archive_arrives_in_pieces_and_leaves_nothing_behind(engine):
    archive(engine / "saved.tar", layers=3, size=250_000)
    delivery = Delivery()
    size = delivery.deliver(["shop/django:1"], {"layer0/layer.tar"})
    expected = contents(engine / "saved.tar")
    del expected["layer0/layer.tar"]
    assert contents(engine / "loaded.tar") == expected
    assert 500_000 < size < 600_000
    assert delivery.commands >= 6
    assert list((engine / "host").iterdir()) == []


def test_a_host_that_cannot_load_says_why_and_nothing_hangs(engine, monkeypatch):
    archive(engine / "saved.tar", layers=3, size=250_000)
    monkeypatch.setenv("REFUSE", "1")
    with pytest.raises(image_archive.ArchiveError, match="no space left on device"):
        Delivery().deliver(["shop/django:1"], set())
    assert list((engine / "host").iterdir()) == []


def test_a_save_that_fails_ends_the_load_on_the_host(engine):
    with pytest.raises(image_archive.ArchiveError, match=r"docker save failed: .*No such file"):
        Delivery().deliver(["shop/django:1"], set())
    assert list((engine / "host").iterdir()) == []


@pytest.mark.parametrize("size", [10, 199_000, 250_000])
def test_what_is_fetched_is_what_was_saved(engine, size):
    expected = archive(engine / "saved.tar", layers=2, size=size)
    Fetch().fetch(["shop/django:1"])
    assert (engine / "loaded.tar").read_bytes() == expected


def test_an_image_that_the_host_does_not_have_is_not_fetched(engine, monkeypatch):
    monkeypatch.setenv("REFUSE", "1")
    with pytest.raises(OSError, match="No such image"):
        Fetch().fetch(["shop/django:1"])


def test_the_index_is_read_once_for_all_hosts(engine):
    archive(engine / "saved.tar", layers=2, size=10)
    first = image_archive.index_of(["shop/django:1"], engine)
    (engine / "saved.tar").unlink()
    assert image_archive.index_of(["shop/django:1"], engine) == first
    assert first.superfluous([["sha256:0"]]) == ({"layer0/layer.tar"}, 1, 1)
