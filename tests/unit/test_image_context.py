"""The copies of contexts on the controller, and what its Engine has."""

from __future__ import annotations

import stat

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.broadcast.stack.plugins.action.image_context import ActionModule, add_settings
from ansible_collections.broadcast.stack.plugins.module_utils.image_references import images_of


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_settings_are_for_their_owner_whatever_the_source_and_the_umask(tmp_path):
    (tmp_path / "authorities.pem").write_text("PEM")
    (tmp_path / "authorities.pem").chmod(0o644)
    folder = tmp_path / "copy"
    add_settings(folder, {"ca-bundle.crt": str(tmp_path / "authorities.pem")})
    assert (folder / "ca-bundle.crt").read_text() == "PEM"
    assert (mode(folder), mode(folder / "ca-bundle.crt")) == (0o700, 0o600)
    # The folder of a context that has one.
    folder.chmod(0o755)
    add_settings(folder, {})
    assert mode(folder) == 0o700


def test_only_a_copy_of_a_context_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    copy, other = tmp_path / "context-1", tmp_path / "other"
    for folder in (copy, other):
        folder.mkdir()
        (folder / "file").write_text("")
    assert ActionModule.removed(copy) == {"changed": False}
    assert not copy.exists()
    # A second time there is nothing to do.
    assert ActionModule.removed(copy) == {"changed": False}
    for path in (other, tmp_path, copy / "context-2"):
        with pytest.raises(AnsibleActionFail, match="is no copy of a context"):
            ActionModule.removed(path)
    assert (other / "file").exists()


class Engine:
    def get(self, path):
        if path == "/images/json":
            return [
                {
                    "Id": "sha256:1",
                    "Size": 5,
                    "RepoTags": ["docker.io/acme/shop"],
                    "RepoDigests": ["acme/shop@sha256:a"],
                },
                {"Id": "sha256:2", "Size": 7, "RepoTags": ["<none>:<none>"], "RepoDigests": None},
            ]
        assert path == "/images/sha256:1/json"
        return {"RootFS": {"Layers": ["sha256:b"]}}


@pytest.mark.parametrize(("layers", "more"), [(False, {}), (True, {"layers": ["sha256:b"]})])
def test_images_go_by_all_their_references(layers, more):
    image = {"id": "sha256:1", "size": 5, **more}
    assert images_of(Engine(), layers) == {"acme/shop:latest": image, "acme/shop@sha256:a": image}
