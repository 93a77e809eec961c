# MIT License (see LICENSE)
"""Archives as C(docker save) writes them, read and written as streams: none ever lies on a disk as a whole."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import posixpath
import subprocess
import tarfile
import typing as t

# Manifests and configurations are smaller, most layers are not.
TEXT_SIZE = 2**20


class ArchiveError(Exception):
    """The images could not be packed."""


def chain_ids(diff_ids: t.Iterable[str]) -> t.Iterator[str]:
    """One name for each layer together with all layers below it, as the Engine computes it."""
    chain = ""
    for diff_id in diff_ids:
        chain = "sha256:" + hashlib.sha256((chain + " " + diff_id).encode()).hexdigest() if chain else diff_id
        yield chain


@dataclasses.dataclass(frozen=True)
class Index:
    """What an archive holds: the files of each image's layers with their chains, and what links mean."""

    # For each image from its lowest layer: the chain and the name of the layer's file.
    images: list[list[tuple[str, str]]]
    links: dict[str, str]

    def resolve(self, name: str) -> str:
        """The file that holds the content: a layer used twice is a link the second time."""
        while name in self.links:
            name = self.links[name]
        return name

    def superfluous(self, present: t.Iterable[t.Sequence[str]]) -> tuple[set[str], int, int]:
        """
        Names of the layer files that no image in the archive needs on a host that has the given images; number of the
        layers that are needed, and of those that are not.
        """
        known = {chain for diff_ids in present for chain in chain_ids(diff_ids)}
        layers = [(chain, name) for image in self.images for chain, name in image]
        needed = {self.resolve(name) for chain, name in layers if chain not in known}
        names = {name for _chain, name in layers} | {self.resolve(name) for _chain, name in layers}
        left_out = {self.resolve(name) for name in names} - needed
        return {name for name in names if self.resolve(name) in left_out}, len(needed), len(left_out)


def read_index(stream: t.BinaryIO) -> Index:
    """Read a whole archive and keep what says which file is which layer."""
    texts, links = {}, {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.issym():
                links[member.name] = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
            elif member.islnk():
                links[member.name] = posixpath.normpath(member.linkname)
            elif member.isreg() and member.size <= TEXT_SIZE:
                texts[member.name] = archive.extractfile(member).read()
    images = []
    for image in json.loads(texts["manifest.json"]):
        diff_ids = json.loads(texts[image["Config"]])["rootfs"]["diff_ids"]
        images.append(list(zip(chain_ids(diff_ids), image["Layers"], strict=True)))
    return Index(images, links)


def copy_without(source: t.BinaryIO, target: t.BinaryIO, skipped: t.Collection[str]) -> None:
    """Copy an archive without these files."""
    with (
        tarfile.open(fileobj=source, mode="r|") as read,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as written,
    ):
        for member in read:
            if member.name not in skipped:
                written.addfile(member, read.extractfile(member) if member.isreg() else None)


@contextlib.contextmanager
def saved(references: t.Sequence[str]) -> t.Iterator[t.BinaryIO]:
    """What `docker save` on the controller writes."""
    try:
        process = subprocess.Popen(
            ["docker", "save", *references], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise ArchiveError("The docker command cannot be run: %s" % error) from error
    with process:
        try:
            yield process.stdout
            # The zeros with which tar pads the end.
            while process.stdout.read(TEXT_SIZE):
                pass
        except (tarfile.TarError, KeyError):
            # A process that ended early has said why.
            process.stdout.close()
            if not process.wait():
                raise
        except BaseException:
            process.kill()
            raise
        message = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise ArchiveError("docker save failed: %s" % message)


def index_of(references: t.Sequence[str], folder: pathlib.Path) -> Index:
    """The index of these images' archive; the processes of one run, which share a folder, read it once."""
    name = hashlib.sha256("\0".join(references).encode()).hexdigest()
    remembered = folder / ("image_archive-%s.json" % name)
    with open(folder / (remembered.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not remembered.exists():
            with saved(references) as stream:
                index = read_index(stream)
            remembered.write_text(json.dumps(dataclasses.asdict(index)))
    found = json.loads(remembered.read_text())
    return Index([[tuple(layer) for layer in image] for image in found["images"]], found["links"])


class Pieces:
    """A file to write that hands on what it gets in pieces."""

    def __init__(self, send: t.Callable[[bytes], None], size: int) -> None:
        self.send, self.size = send, size
        self.held: list[bytes] = []
        self.length = self.total = 0

    def write(self, content: bytes) -> int:
        self.held.append(bytes(content))
        self.length += len(content)
        self.total += len(content)
        if self.length >= self.size:
            self.flush()
        return len(content)

    def flush(self) -> None:
        if self.held:
            self.send(b"".join(self.held))
            self.held, self.length = [], 0
