"""An archive leaves out exactly the layers that the receiving Engine finds by their chain."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.archive import (
    Pieces,
    chain_ids,
    copy_without,
    read_index,
)

BASE, PACKAGES, CODE, OTHER = (f"sha256:{digit * 64}" for digit in "1234")


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def link(archive: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    archive.addfile(member)


@pytest.fixture
def saved(tmp_path):
    """What `docker save` of two images writes: the second one's base is a link to the first one's."""
    path = tmp_path / "saved.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "app/base/layer.tar", b"base")
        add(archive, "app/packages/layer.tar", b"packages")
        add(archive, "app/code/layer.tar", b"code")
        link(archive, "other/base/layer.tar", "../../app/base/layer.tar")
        add(archive, "other/own/layer.tar", b"own")
        add(archive, "app.json", json.dumps({"rootfs": {"diff_ids": [BASE, PACKAGES, CODE]}}).encode())
        add(archive, "other.json", json.dumps({"rootfs": {"diff_ids": [BASE, OTHER]}}).encode())
        manifest = [
            {"Config": "app.json", "Layers": [f"app/{layer}/layer.tar" for layer in ("base", "packages", "code")]},
            {"Config": "other.json", "Layers": ["other/base/layer.tar", "other/own/layer.tar"]},
        ]
        add(archive, "manifest.json", json.dumps(manifest).encode())
    return path


def packed(saved, present, size=100) -> tuple[set[str], int, int]:
    """Names in the archive for a host that has these layers, and the numbers of layers in it and left out."""
    with open(saved, "rb") as stream:
        skipped, count, left_out = read_index(stream).superfluous(present)
    sent: list[bytes] = []
    with open(saved, "rb") as stream:
        pieces = Pieces(sent.append, size)
        copy_without(stream, pieces, skipped)
        pieces.flush()
    assert pieces.total == len(b"".join(sent))
    with tarfile.open(fileobj=io.BytesIO(b"".join(sent))) as archive:
        return set(archive.getnames()), count, left_out


def layers(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith("layer.tar")}


def test_an_empty_host_gets_every_layer(saved):
    names, count, left_out = packed(saved, [])
    with tarfile.open(saved) as archive:
        assert names == set(archive.getnames())
    assert (count, left_out) == (4, 0)


def test_a_host_with_the_last_release_gets_the_changed_layer(saved):
    names, count, left_out = packed(saved, [[BASE, PACKAGES, "sha256:old"], [BASE, OTHER]])
    assert layers(names) == {"app/code/layer.tar"}
    assert (count, left_out) == (1, 3)


def test_the_same_layer_on_other_parents_is_another_layer(saved):
    names, _count, _left_out = packed(saved, [[BASE], [OTHER, PACKAGES, CODE]])
    assert layers(names) == {"app/packages/layer.tar", "app/code/layer.tar", "other/own/layer.tar"}


def test_everything_but_layers_stays(saved):
    names, _count, _left_out = packed(saved, [[BASE, PACKAGES, CODE], [BASE, OTHER]])
    assert names == {"app.json", "other.json", "manifest.json"}


def test_pieces_are_not_larger_than_what_is_held_in_memory():
    sent: list[bytes] = []
    pieces = Pieces(sent.append, 10)
    for _time in range(7):
        pieces.write(b"1234")
    pieces.flush()
    assert [len(piece) for piece in sent] == [12, 12, 4]


def test_chain_ids_are_the_engines():
    # The first layer is its own chain; each further one is the digest of the chain so far and the layer.
    assert list(chain_ids([BASE])) == [BASE]
    assert len(set(chain_ids([BASE, BASE]))) == 2
