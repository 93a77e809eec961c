"""An archive leaves out exactly the layers that the receiving Engine finds by their chain."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from ansible_collections.broadcast.stack.plugins.modules.image_archive import chain_ids, pack

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


def layers(path) -> set[str]:
    with tarfile.open(path) as archive:
        return {name for name in archive.getnames() if name.endswith("layer.tar")}


def test_an_empty_host_gets_every_layer(saved, tmp_path):
    result = pack(saved, tmp_path / "out.tar", [])
    assert layers(tmp_path / "out.tar") == layers(saved)
    assert (result["packed"], result["left_out"]) == (4, 0)


def test_a_host_with_the_last_release_gets_the_changed_layer(saved, tmp_path):
    pack(saved, tmp_path / "out.tar", [[BASE, PACKAGES, "sha256:old"], [BASE, OTHER]])
    assert layers(tmp_path / "out.tar") == {"app/code/layer.tar"}


def test_the_same_layer_on_other_parents_is_another_layer(saved, tmp_path):
    pack(saved, tmp_path / "out.tar", [[BASE], [OTHER, PACKAGES, CODE]])
    assert layers(tmp_path / "out.tar") == {"app/packages/layer.tar", "app/code/layer.tar", "other/own/layer.tar"}


def test_everything_but_layers_stays(saved, tmp_path):
    pack(saved, tmp_path / "out.tar", [[BASE, PACKAGES, CODE], [BASE, OTHER]])
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert set(archive.getnames()) == {"app.json", "other.json", "manifest.json"}


def test_chain_ids_are_the_engines():
    # The first layer is its own chain; each further one is the digest of the chain so far and the layer.
    assert list(chain_ids([BASE])) == [BASE]
    assert len(set(chain_ids([BASE, BASE]))) == 2
