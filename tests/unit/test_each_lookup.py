"""A specification written once describes every item, whatever the items hold."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template


def each(term: str, variables: dict, **options: object) -> list:
    lookup = lookup_loader.get("broadcast.stack.each", loader=DataLoader(), templar=Templar(DataLoader(), variables))
    return lookup.run([term], variables, **options)


def test_variable_is_evaluated_once_per_item_with_its_name() -> None:
    variables = {
        "spec": {"name": trust_as_template("app-{{ pool.name }}"), "size": trust_as_template("{{ settings.size }}")},
        "settings": trust_as_template("{{ {'size': 1} | combine(pool) }}"),
    }
    items = {"small": None, "big": {"size": 2}}
    assert each("spec", variables, items=items, variable="pool") == [
        {"name": "app-small", "size": 1},
        {"name": "app-big", "size": 2},
    ]


def test_text_of_an_item_is_never_evaluated() -> None:
    variables = {"spec": trust_as_template("{{ pool.password }}")}
    assert each("spec", variables, items={"a": {"password": "{{ 1 + 1 }}"}}, variable="pool") == ["{{ 1 + 1 }}"]


def test_unknown_variable_is_named() -> None:
    with pytest.raises(AnsibleLookupError, match="No variable named 'spce'"):
        each("spce", {}, items={"a": {}}, variable="pool")
