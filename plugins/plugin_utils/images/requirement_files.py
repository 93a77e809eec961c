# MIT License (see LICENSE)
"""What the installation of an application reads out of its source: requirements, and files and folders that they name.

The grammar is that of pip's requirements files (https://pip.pypa.io/en/stable/reference/requirements-file-format/), of
uv.lock and of pylock.toml. Preflight and the image catalog judge by the same function.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import tomllib
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.text_files import (
    UnreadableError,
    logical_lines,
    read_text,
)

# Where the source lies in the image.
SOURCE = "/app"
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
OPTION = re.compile(
    r"(?:-(?P<short>[rcef])|--(?P<long>requirement|constraint|editable|find-links))(?:\s*=\s*|\s+|(?<=-[rcef]))(?P<value>.+)"
)
NAMES = {"requirement": "r", "constraint": "c", "editable": "e", "find-links": "f"}
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
VERSION_CONTROL = re.compile(r"\bgit\+(?P<scheme>[a-z]+)")
ARCHIVES = (".whl", ".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz", ".txz")
# In development only these files of an editable folder make another image. Its code is mounted.
BUILD_DEFINITIONS = ("pyproject.toml", "setup.py", "setup.cfg", "MANIFEST.in")


class Fault(t.NamedTuple):
    """What keeps the installation from succeeding: the variable or file it is about, what, and what to do."""

    subject: str
    text: str
    remedy: str


@dataclasses.dataclass
class Needs:
    """Paths relative to the source. `folder` is the one in which the installer works, `project` the member of a
    workspace whose dependencies are installed."""

    files: set[str] = dataclasses.field(default_factory=set)
    folders: set[str] = dataclasses.field(default_factory=set)
    editable: set[str] = dataclasses.field(default_factory=set)
    programs: set[str] = dataclasses.field(default_factory=set)
    faults: list[Fault] = dataclasses.field(default_factory=list)
    folder: str = "."
    project: str = "."


def local_path(requirement: str) -> str:
    """The path that a requirement installs from; empty for a name of the index and for an address."""
    text = re.split(r"\s+--?[a-z]", requirement, maxsplit=1)[0]
    text = re.split(r"\s;|;\s", text, maxsplit=1)[0].strip()
    name, at, target = text.partition("@")
    if at and re.fullmatch(r"[A-Za-z0-9._-]+\s*(\[[^\]]*\])?\s*", name):
        text = target.strip()
        if not text.startswith("file:"):
            return ""
    if text.startswith("file:"):
        return re.sub(r"^file:(//(localhost)?(?=/))?", "", text).partition("#")[0]
    if REMOTE.match(text):
        return ""
    path = re.sub(r"\[[^\]/]*\]$", "", text)
    if path.startswith((".", "/")) or "/" in path or path.lower().endswith(ARCHIVES):
        return path
    return ""


class Reader:
    """Reads requirements of one source; `skipped` tells what the .dockerignore keeps out of a build."""

    def __init__(self, context: str, skipped: t.Callable[[str], bool], environment: t.Mapping[str, str]) -> None:
        self.context = context
        self.skipped = skipped
        self.environment = environment
        self.needs = Needs()
        # Local paths as they are written, with the file that names each and whether it is editable.
        self.local: list[tuple[str, str, bool]] = []

    def fault(self, subject: str, text: str, remedy: str) -> None:
        fault = Fault(subject, text, remedy)
        if fault not in self.needs.faults:
            self.needs.faults.append(fault)

    def inside(self, path: str, source: str) -> str | None:
        """A path relative to the source, or none with a fault when it leads out."""
        path = os.path.normpath(path)
        if path == SOURCE or path.startswith(SOURCE + "/"):
            path = os.path.relpath(path, SOURCE)
        if path.startswith(("..", "/")):
            text = "%r leads out of backend_context" % path
            self.fault(source, text, "set backend_context to the folder that holds both, or copy it in")
            return None
        return path

    def expanded(self, line: str, source: str) -> str | None:
        unset = [name for name in VARIABLE.findall(line) if name not in self.environment]
        # The secret in an address is known to the build alone. A path has to be known before.
        if unset and not REMOTE.search(line):
            text = "needs the variable %s, and that is not set" % ", ".join(unset)
            self.fault(source, text, "give it in backend_build_env")
            return None
        return VARIABLE.sub(lambda match: self.environment.get(match[1], match[0]), line)

    def kept(self, path: str, source: str) -> None:
        if self.skipped(path):
            text = "%s is kept out of the build by %s" % (path, os.path.join(self.context, ".dockerignore"))
            self.fault(source, text, "add the line !%s to it" % path)

    def file(self, path: str, source: str) -> str | None:
        """A file that has to be there, relative to the source."""
        inside = self.inside(path, source)
        if inside is None or inside in self.needs.files:
            return None
        if not os.path.isfile(os.path.join(self.context, inside)):
            text = "there is no file %r in %s" % (inside, self.context)
            if source.startswith("backend_"):
                remedy = "set it to a file of your project, relative to backend_context"
            else:
                remedy = "add the file or take the line out"
            self.fault(source, text, remedy)
            return None
        self.kept(inside, source)
        self.needs.files.add(inside)
        return inside

    def text(self, path: str) -> str:
        try:
            return read_text(os.path.join(self.context, path))
        except UnreadableError as error:
            self.fault(path, str(error), "save it as UTF-8, for example: iconv -f latin1 -t utf-8")
        except OSError as error:
            self.fault(path, "cannot be read: %s" % (error.strerror or error), "give its owner the right to read it")
        return ""

    def toml(self, path: str) -> dict[str, t.Any]:
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError as error:
            self.fault(path, "is no TOML: %s" % error, "mend it or lock anew")
            return {}

    def requirement(self, path: str, variable: str) -> None:
        """What a user names as his requirements."""
        name = os.path.basename(path)
        if name == "uv.lock":
            self.lock(path, variable)
        elif found := self.file(path, variable):
            if re.fullmatch(r"pylock(\.[^.]+)?\.toml", name):
                self.pylock(found)
            elif name == "pyproject.toml":
                self.sources(found)
            else:
                self.lines(found)

    def lines(self, path: str) -> None:
        for line in logical_lines(self.text(path)):
            expanded = self.expanded(line, path)
            if expanded is not None:
                self.line(expanded, path)

    def line(self, line: str, source: str) -> None:
        option = OPTION.match(line)
        kind = (option["short"] or NAMES[option["long"]]) if option else ""
        value = option["value"].strip() if option else line
        if kind in ("r", "c"):
            value = shlex.split(value)[0]
            if not REMOTE.match(value):
                included = self.file(os.path.join(os.path.dirname(source), value), source)
                if included:
                    self.lines(included)
            return
        if kind == "f":
            if not REMOTE.match(value):
                self.local.append((value.removeprefix("file:"), source, False))
            return
        if line.startswith("-") and not kind:
            return
        self.entry(value, source, editable=kind == "e")

    def entry(self, requirement: str, source: str, *, editable: bool = False) -> None:
        """One requirement, of a file or of backend_packages."""
        if control := VERSION_CONTROL.search(requirement):
            self.needs.programs |= {"git"} | ({"openssh-client"} if control["scheme"] == "ssh" else set())
        elif path := local_path(requirement):
            self.local.append((path, source, editable))

    def lock(self, path: str, variable: str) -> None:
        found = self.file(path, variable)
        folder = os.path.dirname(path) or "."
        project = os.path.join(folder, "pyproject.toml")
        if not found:
            return
        if not os.path.isfile(os.path.join(self.context, project)):
            self.fault(variable, "has no pyproject.toml beside it", "add %s: uv reads both" % os.path.normpath(project))
            return
        self.file(project, variable)
        self.needs.folder = os.path.normpath(folder)
        members = {}
        for package in self.toml(found).get("package", []):
            source = package.get("source", {})
            if address := source.get("git"):
                self.entry("git+" + str(address), found)
            for kind in ("path", "directory", "editable", "virtual"):
                if kind in source:
                    members[os.path.normpath(os.path.join(folder, str(source[kind])))] = kind
        if self.needs.project in members and self.needs.project != ".":
            # The application itself is no dependency of its own.
            members[self.needs.project] = "virtual"
        else:
            self.needs.project = self.needs.folder
        for member, kind in members.items():
            if kind == "virtual" or member == self.needs.folder:
                self.file(os.path.join(member, "pyproject.toml"), found)
            else:
                self.place(member, found, editable=kind == "editable")

    def pylock(self, path: str) -> None:
        folder = os.path.dirname(path)
        self.needs.folder = folder or "."
        for package in self.toml(path).get("packages", []):
            archives = [package.get("archive"), package.get("sdist"), *package.get("wheels", [])]
            for archive in archives:
                if archive and "path" in archive:
                    self.place(os.path.join(folder, archive["path"]), path)
            if "directory" in package:
                directory = package["directory"]
                where = os.path.join(folder, directory["path"])
                self.place(where, path, editable=bool(directory.get("editable")))
            if "vcs" in package:
                self.entry("git+" + str(package["vcs"].get("url", "https:")), path)

    def sources(self, path: str) -> None:
        """A project whose dependencies are installed as they are written, without a lock."""
        folder = os.path.dirname(path)
        project = self.toml(path)
        for source in project.get("tool", {}).get("uv", {}).get("sources", {}).values():
            for one in source if isinstance(source, list) else [source]:
                if "path" in one:
                    self.place(os.path.join(folder, one["path"]), path, editable=bool(one.get("editable")))
                if "git" in one:
                    self.entry("git+" + str(one["git"]), path)
        for dependency in project.get("project", {}).get("dependencies", []):
            self.entry(str(dependency), path)
        if "dependencies" in project.get("project", {}).get("dynamic", []):
            self.place(folder or ".", path)

    def place(self, path: str, source: str, *, editable: bool = False) -> None:
        """A folder or archive of the source that is installed."""
        inside = self.inside(path, source)
        if inside is None:
            return
        whole = os.path.join(self.context, inside)
        if os.path.isdir(whole):
            self.needs.folders.add(inside)
            if editable:
                self.needs.editable.add(inside)
            definitions = [name for name in BUILD_DEFINITIONS if os.path.isfile(os.path.join(whole, name))]
            for name in definitions:
                self.kept(os.path.normpath(os.path.join(inside, name)), source)
        elif os.path.isfile(whole):
            self.kept(inside, source)
            self.needs.files.add(inside)
        else:
            text = "installs %s, and that is not in backend_context" % inside
            self.fault(source, text, "add it, or set backend_context to the folder that holds it")

    def places(self, working_folder: str) -> None:
        """Local paths count from where the installer works: the folder in which all are found, the source first."""
        folders = [".", working_folder, *(os.path.dirname(source) or "." for _path, source, _editable in self.local)]
        relative = [path for path, _source, _editable in self.local if not path.startswith("/")]

        def holds(folder: str) -> bool:
            return all(os.path.exists(os.path.join(self.context, folder, path)) for path in relative)

        folder = next((one for one in folders if holds(one)), ".")
        if relative:
            self.needs.folder = os.path.normpath(folder)
        for path, source, editable in self.local:
            self.place(os.path.join(folder, path), source, editable=editable)


def inspect(
    context: str,
    paths: t.Mapping[str, str],
    *,
    skipped: t.Callable[[str], bool],
    packages: t.Iterable[str] = (),
    environment: t.Mapping[str, str] | None = None,
    working_dir: str = SOURCE,
) -> Needs:
    """
    What the installation reads: `paths` are variable -> requirements, lock or constraints file relative to `context`
    (a folder on the controller), `packages` further requirements, `working_dir` the folder in the image in which the
    application works. Raises nothing that a file's content causes: what is wrong is in `faults`.
    """
    reader = Reader(context, skipped, environment or {})
    working = os.path.relpath(working_dir, SOURCE) if (working_dir + "/").startswith(SOURCE + "/") else "."
    reader.needs.project = working
    for variable, path in paths.items():
        if path:
            reader.requirement(path, variable)
    for package in packages:
        reader.entry(package, "backend_packages")
    reader.places(working)
    return reader.needs
