# MIT License (see LICENSE)
"""What of a folder enters the build of an image, and a hash over that."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.text_files import UnreadableError, read_text

# Version control and bytecode never make a different image, whatever .dockerignore says.
NEVER = (".git", "__pycache__")
NEVER_SUFFIXES = (".pyc", ".pyo")


class CatalogError(Exception):
    """The input cannot be made into images; the text says what to change."""


def ignore_rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of a .dockerignore as (excluded?, pattern), in order; the last match decides."""
    rules = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        excluded = not pattern.startswith("!")
        pattern = os.path.normpath(pattern.lstrip("!").strip()).lstrip("/")
        expression, position = "", 0
        while position < len(pattern):
            if pattern.startswith("**/", position):
                expression, position = expression + r"(?:.*/)?", position + 3
            elif pattern.startswith("**", position):
                expression, position = expression + r".*", position + 2
            elif pattern[position] == "*":
                expression, position = expression + r"[^/]*", position + 1
            elif pattern[position] == "?":
                expression, position = expression + r"[^/]", position + 1
            elif pattern[position] == "[" and "]" in pattern[position:]:
                end = pattern.index("]", position) + 1
                expression, position = expression + pattern[position:end], end
            else:
                expression, position = expression + re.escape(pattern[position]), position + 1
        # A pattern that names a folder excludes what is in it.
        rules.append((excluded, re.compile(rf"{expression}(?:/.*)?\Z")))
    return rules


def ignore_filter(text: str) -> Callable[[str], bool]:
    """A function that tells whether .dockerignore keeps a path out of the build context."""
    rules = ignore_rules(text)
    if not rules:
        return lambda path: False
    if all(excluded for excluded, _pattern in rules):
        match = re.compile("|".join(pattern.pattern for _excluded, pattern in rules)).match
        return lambda path: match(path) is not None

    def last_match_decides(path: str) -> bool:
        verdict = False
        for excluded, pattern in rules:
            if excluded != verdict and pattern.match(path):
                verdict = excluded
        return verdict

    return last_match_decides


def ignore_text(context: str) -> str:
    """The .dockerignore of a context; empty without one."""
    file = os.path.join(context, ".dockerignore")
    try:
        return read_text(file)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnreadableError as error:
        raise CatalogError(f"backend_context: {file} {error}. Save it as UTF-8.") from error


def unreadable(path: str, error: OSError) -> CatalogError:
    return CatalogError(
        f"backend_context: {shown_path(path).rstrip('/')} cannot be read: {error.strerror or error}. Give the user who "
        "deploys the right to read it, or name it in the .dockerignore of backend_context."
    )


def shown_path(path: str) -> str:
    """A path as a message can show it, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def context_files(context: str) -> list[tuple[str, os.stat_result]]:
    """Relative path and status of every file that enters the build context, sorted."""
    text = ignore_text(context)
    skipped = ignore_filter(text)
    # An exception may bring back a file of an excluded folder.
    enter_skipped = any(line.lstrip().startswith("!") for line in text.splitlines())
    found = []
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(context, folder)) as scan:
                entries = list(scan)
        except PermissionError as error:
            if folder and skipped(folder[:-1]):
                # Docker does not enter the folder either. A file in it that an exception would bring back is missed in
                # the build.
                continue
            raise unreadable(os.path.join(context, folder), error) from error
        for entry in entries:
            if entry.name in NEVER or entry.name.endswith(NEVER_SUFFIXES):
                continue
            path = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if enter_skipped or not skipped(path):
                    pending.append(path + "/")
            elif not skipped(path):
                status = entry.stat(follow_symlinks=False)
                # No archive holds a socket, so no context does.
                if not stat.S_ISSOCK(status.st_mode):
                    found.append((path, status))
    found.sort(key=lambda item: item[0])
    return found


def is_program(path: str, status: os.stat_result, programs: Collection[str] | None) -> bool:
    """Whether a file is executable in a context: one of the programs, and without a list of them what its mode says."""
    return bool(status.st_mode & stat.S_IXUSR) if programs is None else path in programs


def copy_context(context: str, target: str, programs: Collection[str] | None = None) -> None:
    """Copy what enters a build, and what its hash covers, with modes that depend on nothing but that."""
    for path, status in context_files(context):
        source, copy = os.path.join(context, path), os.path.join(target, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), copy)
        else:
            shutil.copyfile(source, copy)
            os.chmod(copy, 0o755 if is_program(path, status, programs) else 0o644)
    for folder, _folders, _files in os.walk(target):
        os.chmod(folder, 0o755)


class Hasher:
    """Hashes of contexts; what has not changed on disk is not read again."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[object, str]] = {}

    def context(self, context: str, programs: Collection[str] | None = None) -> str:
        """Hash over path, kind and content of every file in the context."""
        files = context_files(context)
        signature = [(path, status.st_mtime_ns, status.st_size, status.st_mode) for path, status in files]
        if context in self._contexts and self._contexts[context][0] == signature:
            return self._contexts[context][1]
        digest = hashlib.sha256()
        for path, status in files:
            file = os.path.join(context, path)
            if stat.S_ISLNK(status.st_mode):
                kind, content = "link", os.fsencode(os.readlink(file))
            elif not stat.S_ISREG(status.st_mode):
                # To read a pipe would wait for somebody who writes into it.
                raise CatalogError(
                    f"backend_context: {shown_path(file)} is neither a file nor a folder nor a link. Remove it, or "
                    "name it in the .dockerignore of backend_context."
                )
            else:
                kind = "program" if is_program(path, status, programs) else "file"
                try:
                    with open(file, "rb") as stream:
                        content = stream.read()
                except PermissionError as error:
                    raise unreadable(file, error) from error
            digest.update(os.fsencode(f"{path}\0{kind}\0{len(content)}\0"))
            digest.update(content)
        self._contexts[context] = (signature, digest.hexdigest())
        return digest.hexdigest()


HASHER = Hasher()
