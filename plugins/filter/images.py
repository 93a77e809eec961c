# MIT License (see LICENSE)
"""What has to be built, and whether hosts hold the same: the arithmetic of the role images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def image_builds(catalog: Mapping[str, Mapping], wanted: Iterable[str], present: Iterable[str]) -> list[dict]:
    """The images to build, parents first: what is wanted and not present, and the parents that this takes.

    The builder is built again whenever anything is: it carries the mirrors and certificates of this run. Its layers are
    cached, so that costs nothing when they are the same.
    """
    present = set(present)
    needed: set[str] = set()

    def need(name: str) -> None:
        if name in needed or (catalog[name]["reference"] in present and name != "builder"):
            return
        needed.add(name)
        for parent in catalog[name]["parents"]:
            need(parent)

    for name in wanted:
        need(name)
    return [{"name": name, **image} for name, image in catalog.items() if name in needed]


def image_differences(hosts: Mapping[str, Mapping[str, Mapping]], references: Iterable[str]) -> list[str]:
    """One line for every reference that is not the same image on all hosts that have it."""
    lines = []
    for reference in references:
        holders: dict[str, list[str]] = {}
        for host, images in hosts.items():
            if reference in images:
                holders.setdefault(images[reference]["id"], []).append(host)
        if len(holders) > 1:
            told = "; ".join(f"{image} on {', '.join(names)}" for image, names in sorted(holders.items()))
            lines.append(f"{reference}: {told}")
    return lines


class FilterModule:
    """Filters of the role images."""

    def filters(self) -> dict:
        return {"image_builds": image_builds, "image_differences": image_differences}
