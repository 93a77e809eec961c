"""The documentation: links lead somewhere, and each variable of an application has its page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    .stdout.rstrip("\0")
    .split("\0")
]
PAGES = [path for path in FILES if path.suffix == ".md" and path.is_file()]
OWN = [ROOT / "docs/your-own-app.md", *(path for path in PAGES if path.parent.name == "your-own-app")]
VARIABLES = yaml.safe_load((ROOT / "meta/stack_variables.yml").read_text())["argument_specs"]["main"]["options"]
# Fenced blocks hold commands and examples: a "#" in them is no heading, and brackets are no link.
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", FENCED.sub("", page.read_text()), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = next(number for number in range(len(found) + 1) if f"{name}-{number}".removesuffix("-0") not in found)
        found.add(f"{name}-{number}".removesuffix("-0"))
    return found


def leads_nowhere(target: str, page: Path, root: Path) -> bool:
    path, _, anchor = target.partition("#")
    there = (root / path).resolve() if path else page
    return not there.exists() or (bool(anchor) and (there.suffix != ".md" or anchor not in anchors(there)))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"]\(([^)\s]+)\)", FENCED.sub("", page.read_text()))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if leads_nowhere(link, page, page.parent)] == []


def test_every_page_that_the_code_names_exists():
    """Error messages, comments and descriptions name pages from the top of the checkout."""
    pattern = re.compile(r"(?<![\w/.-])(?:docs|roles|bench|molecule|tests/apps)/[\w./-]+\.md(?:#[\w-]+)?")
    code = [path for path in FILES if path.suffix != ".md" and path.is_file() and "tests" not in path.parts]
    named = {}
    for path in code:
        try:
            named[path] = pattern.findall(path.read_text())
        except UnicodeDecodeError:
            continue
    assert sum(map(len, named.values())) > 5
    assert [
        f"{path.relative_to(ROOT)}: {name}"
        for path, names in named.items()
        for name in names
        if leads_nowhere(name, path, ROOT)
    ] == []


def test_every_variable_of_an_application_has_its_page():
    shown = "\n".join(page.read_text() for page in OWN)
    assert [name for name in VARIABLES if name.startswith("backend_") and not re.search(rf"\b{name}\b", shown)] == []


def names() -> set[str]:
    """Variables of wiring and roles, what roles register, modules and filters."""
    files = [path for folder in ("group_vars", "roles") for path in (ROOT / folder).rglob("*.yml")]
    found = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")} | set(VARIABLES)
    for path in files:
        found.update(re.findall(r"^ *(?:register: )?(\w+)\b", path.read_text(), re.MULTILINE))
    for path in (ROOT / "plugins/filter").glob("*.py"):
        found.update(re.findall(r'"(\w+)":', path.read_text()))
    return found


NAMES = names()
ROOMS = ["backend", "stack", *(path.name for path in (ROOT / "roles").iterdir())]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_that_a_page_names_exists(page):
    # The release notes name what was renamed.
    if page.name == "CHANGELOG.md":
        return
    named = set(re.findall(rf"`((?:{'|'.join(ROOMS)})_[a-z_]*[a-z])`", page.read_text()))
    assert sorted(named - NAMES) == []


def test_the_index_names_every_page_and_every_page_the_index():
    index, *pages = OWN
    text = index.read_text()
    assert [page.name for page in pages if f"](your-own-app/{page.name})" not in text] == []
    assert [page.name for page in pages if "](../your-own-app.md)" not in page.read_text()] == []
