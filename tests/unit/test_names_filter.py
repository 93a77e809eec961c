"""Lists of names and dictionaries over them, as wiring and roles write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
FILTERS = ("mapped_to", "prefixed", "suffixed")


def result(template: str, **variables: object) -> object:
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ " + template + " }}"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("['web1', 'web2'] | broadcast.stack.mapped_to('web')", {"web1": "web", "web2": "web"}),
        ("{'cache': 1, 'broker': 2} | broadcast.stack.mapped_to({})", {"cache": {}, "broker": {}}),
        ("[] | broadcast.stack.mapped_to(300)", {}),
        ("['a', 'b'] | reject('equalto', 'a') | broadcast.stack.mapped_to(none)", {"b": None}),
        ("['shop.example.org'] | broadcast.stack.prefixed('https://')", ["https://shop.example.org"]),
        ("range(2) | broadcast.stack.prefixed('10.0.0.')", ["10.0.0.0", "10.0.0.1"]),
        ("{'media': {}} | broadcast.stack.prefixed('shop-')", ["shop-media"]),
        ("[] | broadcast.stack.prefixed('shop-')", []),
        # Neither is a pattern, a replacement nor a template.
        ("['a.b$'] | broadcast.stack.prefixed('\\1^')", ["\\1^a.b$"]),
        ("['/srv/media'] | broadcast.stack.suffixed(':ro')", ["/srv/media:ro"]),
        ("['shop.example.org'] | broadcast.stack.suffixed('')", ["shop.example.org"]),
    ],
)
def test_names(template, expected):
    assert result(template) == expected


def test_a_text_has_one_beginning_and_one_end_however_many_lines_it_has():
    assert result("texts | broadcast.stack.suffixed('.')", texts=["two\nlines\n"]) == ["two\nlines\n."]
    assert result("texts | broadcast.stack.prefixed('- ')", texts=["two\nlines\n"]) == ["- two\nlines\n"]


def test_the_order_of_the_names_stays():
    names = [f"host{number}" for number in (3, 1, 2)]
    assert list(result("names | broadcast.stack.mapped_to(0)", names=names)) == names
    assert result("names | broadcast.stack.prefixed('x-')", names=names) == ["x-host3", "x-host1", "x-host2"]


@pytest.mark.parametrize(
    "template", ["['a', absent] | broadcast.stack.prefixed('x')", "['a'] | broadcast.stack.suffixed(absent)"]
)
def test_what_is_undefined_is_no_text(template):
    with pytest.raises(AnsibleError, match="absent"):
        result(template)


@pytest.mark.parametrize("name", FILTERS)
def test_the_documented_examples_are_true(name):
    text = yaml.safe_load((ROOT / f"plugins/filter/{name}.yml").read_text())["EXAMPLES"]
    comment, example = text.rstrip().split("\n")
    (template,) = yaml.safe_load(example).values()
    assert result(template.removeprefix("{{ ").removesuffix(" }}")) == yaml.safe_load(comment.removeprefix("# "))


def test_nobody_writes_them_in_a_roundabout_way():
    """As a list that is as long as none and filled up, or as the replacement of an empty match."""
    roundabout = re.compile(r"zip_longest\(\[\]|'regex_replace', *'[\^$]'|regex_replace\('[\^$]'")
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for folder in ("roles", "playbooks", "group_vars", "inventories", "meta", "molecule", "docs", "tests/apps")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".yml", ".j2", ".md")
        for match in roundabout.finditer(re.sub(r"\s+", " ", path.read_text()))
    ]
    assert found == []
