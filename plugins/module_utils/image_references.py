# MIT License (see LICENSE)
"""References of images as the Engine lists them, so that every spelling of a user's is found."""

from __future__ import annotations


def canonical(reference):
    """Without Docker Hub's own prefixes; with a digest and no tag beside it, or with a tag, latest if there is none."""
    name, _at, digest = str(reference).partition("@")
    for prefix in ("index.docker.io/", "docker.io/", "library/"):
        name = name.removeprefix(prefix)
    path, slash, last = name.rpartition("/")
    # A colon before the last slash begins a port.
    last, _colon, tag = last.partition(":")
    return path + slash + last + ("@" + digest if digest else ":" + (tag or "latest"))


def repository(reference):
    """What all builds of an image share: its reference without tag and digest."""
    name, at, _digest = canonical(reference).partition("@")
    return name if at else name.rpartition(":")[0]


def images_of(engine, layers=False):
    """Reference to id and size of an Engine's images, and to the diff ids of their layers."""
    found = {}
    for entry in engine.get("/images/json"):
        image = {"id": entry["Id"], "size": entry["Size"]}
        references = listed(entry)
        if layers and references:
            image["layers"] = engine.get("/images/%s/json" % entry["Id"])["RootFS"].get("Layers") or []
        found.update(dict.fromkeys(references, image))
    return found


def listed(image):
    """References of one of the Engine's images; one without a name has none."""
    found = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    return [canonical(reference) for reference in found if not reference.startswith("<none>")]
