# MIT License (see LICENSE)
"""Files of a stack as they are on this host."""

from __future__ import annotations

import glob
import hashlib
import json
import os

# Folder below the root with the state of releases, and how many records of it a run needs.
RELEASES = ".release"
JOURNAL_RECORDS = 30
# Bytes of a file with certificates. A larger file is a bundle of public authorities.
CERTIFICATES_SIZE = 65536


def file_state(path):
    status = os.stat(path)
    try:
        with open(path, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        digest = None
    return {
        "sha256": digest,
        "mode": "%04o" % (status.st_mode & 0o7777),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def environment_texts(root, files):
    """Container name to the text of its env file, which holds no secret: a plan names the variables that change."""
    texts = {}
    for path in files:
        name, _sep, rest = os.path.relpath(path, root).partition("/")
        if rest == "env/container.env":
            try:
                with open(path, encoding="utf-8") as stream:
                    texts[name] = stream.read()
            except OSError:
                continue
    return texts


def links_state(root):
    """Path to target of the symbolic links below the root."""
    paths = [os.path.join(folder, name) for folder, dirs, names in os.walk(root) for name in dirs + names]
    return {path: os.readlink(path) for path in paths if os.path.islink(path)}


def release_state(root):
    """What is known of releases on this host: the live one, and the journal by number and start."""
    folder = os.path.join(root, RELEASES)
    records = []
    for path in [os.path.join(folder, "current.json"), *sorted(glob.glob(os.path.join(folder, "journal", "*.json")))]:
        try:
            with open(path, encoding="utf-8") as stream:
                records.append(json.load(stream))
        except (OSError, ValueError):
            records.append(None)
    journal = [record for record in records[1:] if record]
    return {
        "current": records[0],
        "journal": sorted(journal, key=lambda record: (record["number"], record["started_at"]))[-JOURNAL_RECORDS:],
    }


def certificate_texts(files):
    """Path to PEM text of the files that hold certificates; one with a private key in it is left out."""
    texts = {}
    for path in files:
        try:
            with open(path, "rb") as stream:
                content = stream.read(CERTIFICATES_SIZE + 1)
        except OSError:
            continue
        if len(content) > CERTIFICATES_SIZE:
            continue
        if b"-----BEGIN CERTIFICATE-----" in content and b"PRIVATE KEY" not in content:
            texts[path] = content.decode(errors="replace")
    return texts


def files_state(root, paths):
    found = [os.path.join(folder, name) for folder, _dirs, names in os.walk(root) for name in names]
    return {path: file_state(path) for path in sorted(found + paths) if os.path.isfile(path)}
