"""Publish the static files of an image: add and replace, never delete, since pages of earlier images are still open."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path


def publish(source: Path, target: Path) -> int:
    """Copy what is new or different; each file appears whole at once. Returns the number of copied files."""
    copied = 0
    for path in sorted(source.rglob("*")):
        published = target / path.relative_to(source)
        if path.is_dir() or (published.is_file() and filecmp.cmp(path, published, shallow=False)):
            continue
        published.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=published.parent, prefix=".publishing-")
        os.close(handle)
        shutil.copyfile(path, temporary)
        shutil.copystat(path, temporary)
        # mkstemp made it private, nginx is another user.
        os.chmod(temporary, 0o644)
        os.replace(temporary, published)
        copied += 1
    return copied


def main(arguments: list[str]) -> int:
    source, target = (Path(argument) for argument in arguments)
    if not source.is_dir():
        print(f"{source}: the image has no such folder; django_web_static_root is where collectstatic puts its files")
        return 1
    print(f"{publish(source, target)} static files published to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
