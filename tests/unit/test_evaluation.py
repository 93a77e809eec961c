"""A variable is evaluated once, and never with a value that it does not have at that place."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template
from ansible_collections.broadcast.stack.plugins.plugin_utils import templates
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables


class Counting:
    """A templar that notes which texts it was asked to evaluate as a whole."""

    def __init__(self, variables: dict | None = None) -> None:
        self.templar = Templar(DataLoader(), variables or {})
        self.seen: list = []

    def copy_with_new_env(self, available_variables: dict) -> Counting:
        copy = Counting(available_variables)
        copy.seen = self.seen
        return copy

    def template(self, value: object, **options: object) -> object:
        self.seen.append(value)
        return self.templar.template(value, **options)


def trusted(value: object) -> object:
    if isinstance(value, dict):
        return {name: trusted(item) for name, item in value.items()}
    return trust_as_template(value) if isinstance(value, str) else value


def variables(raw: dict, **options: object) -> tuple[HostVariables, list]:
    templar = Counting()
    return HostVariables("host", trusted(raw), templar, **options), templar.seen


def test_what_a_variable_refers_to_is_evaluated_once():
    host, seen = variables(
        {
            "bottom": "{{ [1, 2] | sum }}",
            "left": "{{ bottom + 1 }}",
            "right": "{{ bottom + 2 }}",
            "top": {"sum": "{{ left + right + bottom }}", "again": "{{ left * right }}"},
        }
    )
    assert host.value("top") == {"sum": 12, "again": 20}
    assert seen.count("{{ [1, 2] | sum }}") == seen.count("{{ bottom + 1 }}") == 1
    # In the scope their values stand, so that nothing is evaluated on the way to them.
    assert (host.scope["bottom"], host.scope["left"]) == (3, 4)


def test_a_name_alone_is_not_compiled():
    raw = {"text": "a", "number": 0, "sum": "{{ 1 + 1 }}", "item_is_open": "{{ item }}"}
    host, seen = variables(raw | {f"the_{name}": "{{ " + name + " }}" for name in raw})
    assert [host.value(f"the_{name}") for name in ("text", "number", "sum")] == ["a", 0, 2]
    assert host.fails("the_item_is_open")
    assert "{{ text }}" not in seen
    assert "{{ sum }}" not in seen


def test_what_hosts_agree_about_is_evaluated_for_one_of_them():
    outcomes: dict = {}
    raw = {"shared": "{{ base + 1 }}", "base": 1, "own": "{{ shared + place }}"}
    found = []
    for place in (10, 20):
        host, seen = variables({**raw, "place": place}, outcomes=outcomes)
        found.append((host.value("own"), seen.count("{{ base + 1 }}")))
    assert found == [(12, 1), (22, 0)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ {'service': {'name': 'shop'}} | combine({'host': place}) | to_json }}",
        "{{ 'x}}' ~ place }}",
        r"{{ 'it\'s }}' ~ place }}",
        "{# }} #}{{ place }}{# {{ nothing }} #}",
        "{% raw %}{{ nothing }}{% endraw %}{{ place }}",
        "{{ [place] | first }}",
        "{% set it = place %}{{ it }}",
        "{{ lookup('broadcast.stack.evaluated', 'named') }}",
        "{{ query('broadcast.stack.evaluated', 'constant', 'named') | last }}",
        "{{ lookup('broadcast.stack.evaluated', 'nam' ~ 'ed') }}",
        "{{ lookup('broadcast.stack.evaluated', chosen) }}",
    ],
)
def test_no_host_gets_the_value_of_another(text):
    """Text in a template may look like the end of one."""
    outcomes: dict = {}
    raw = {"named": "{{ place }}", "constant": 1, "chosen": "named", "value": text, "settings": {"text": "{{ value }}"}}
    values = [variables({**raw, "place": place}, outcomes=outcomes)[0].value("settings") for place in ("one", "other")]
    assert "one" in values[0]["text"]
    assert values[1]["text"] == values[0]["text"].replace("one", "other")


def test_a_host_with_another_value_is_evaluated_by_itself():
    outcomes: dict = {}
    raw = {"shared": "{{ base + 1 }}"}
    values = [variables({**raw, "base": base}, outcomes=outcomes)[0].value("shared") for base in (1, 2, 1)]
    assert values == [2, 3, 2]


@pytest.mark.parametrize(
    "template",
    [
        "{{ lookup('vars', 'place') }}",
        "{{ lookup(kind, 'place') }}",
        "{{ vars['place'] }}",
        "{{ vars.get('place') }}",
        "{{ 'place' | extract(vars) }}",
        "{% include 'place' %}",
    ],
)
def test_what_may_read_any_variable_is_evaluated_for_each_host(template):
    outcomes: dict = {}
    for place in (10, 20):
        host, seen = variables({"found": template, "place": place}, outcomes=outcomes)
        host.fails("found")
        assert template in seen


def test_what_depends_on_a_variable_that_a_lookup_binds_stays_a_template():
    host, _seen = variables(
        {
            "database": "live",
            "url": "{{ 'db://' ~ database }}",
            "settings": {"url": "{{ url }}"},
            "others": "{{ query('broadcast.stack.each', 'settings', items={'owner': {}}, variable='database') }}",
            "both": "{{ [url, others[0].url, others[0].url] }}",
        }
    )
    assert host.value("both") == ["db://live", "db://{'name': 'owner'}", "db://{'name': 'owner'}"]
    assert host.value("settings") == {"url": "db://live"}


def test_a_lookup_binds_what_was_undefined_or_evaluated_before_it():
    each = "{{ query('broadcast.stack.each', 'text', items={'a': {}}, variable=%s) | first }}"
    host, _seen = variables(
        {
            "line": "{{ (item | default({'name': 'none'})).name }}",
            "text": "{{ line }}",
            "holder": "item",
            "named": each % "'item'",
            "computed": each % "holder",
            "within": "{% set holder = 'item' %}" + each % "holder",
        }
    )
    assert [host.value(name) for name in ("text", "named", "text", "computed")] == ["none", "a", "none", "a"]
    assert host.value("within") == "a"


@pytest.mark.parametrize("plugin", ["each", "evaluated"])
def test_a_lookup_sees_the_other_hosts(plugin):
    options = ", items={'a': {}}, variable='item'" if plugin == "each" else ""
    raw = {
        "text": "{{ hostvars['two'].place }}",
        "found": f"{{{{ query('broadcast.stack.{plugin}', 'text'{options}) }}}}",
    }
    host, _seen = variables(raw, hostvars={"two": {"place": "there"}})
    assert host.value("found") == ["there"]


def test_a_file_that_gets_variables_of_its_own_reads_others_that_depend_on_them(tmp_path):
    (tmp_path / "file.j2").write_text("{{ line }}")
    raw = {"line": "{{ it | default('none') }}", "file": str(tmp_path / "file.j2")}
    template = "{{ [line, lookup('ansible.builtin.template', file, template_vars=%s), line] }}"
    for added in ("{'it': 'one'}", "dict(it='one')", "{'i' ~ 't': 'one'}"):
        host, _seen = variables({**raw, "lines": template % added})
        assert host.value("lines") == ["none", "one", "none"]


def test_a_branch_that_is_not_taken_may_fail():
    host, _seen = variables({"broken": "{{ [] | first | int(nothing) }}", "top": "{{ broken if false else 'well' }}"})
    assert host.value("top") == "well"


def test_a_template_that_fails_raises_its_reason_and_hides_no_other():
    host, _seen = variables({"broken": "{{ missing }}", "well": "{{ 1 + 1 }}", "top": "{{ broken }}"})
    with pytest.raises(Exception, match="'missing' is undefined"):
        host.value("top")
    assert host.fails("broken")
    assert not host.fails("well")


def test_text_that_was_found_is_not_evaluated_again():
    host, _seen = variables({"part": "{{ '{' ~ '{ 1 + 1 }' ~ '}' }}", "top": "{{ part }}", "more": "{{ top }}"})
    assert host.value("more") == "{{ 1 + 1 }}"


def test_hostvars_among_the_raw_values_is_left_alone():
    class Exploding(dict):
        def values(self):
            raise AssertionError("hostvars was read")

        items = keys = __iter__ = values

    host, _seen = variables({"a": "{{ 1 }}", "b": "{{ a }}"}, hostvars=Exploding())
    assert host.value("b") == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ a | default(b) }}", {"a", "b"}),
        ("{{ a is not none and b is sequence }}", {"a", "b"}),
        ("{{ dict(x=a) | combine(b, recursive=c) }}", {"a", "b", "c"}),
        ("{{ a.b['c'] | map(attribute='d') | select('in', e) }}", {"a", "e"}),
        ("{{ lookup('file', a, errors='ignore') if b == c else none }}", {"a", "b", "c"}),
        ("{{ x | broadcast.stack.container_changes(y) }}", {"x", "y"}),
        ("no template: a", set()),
        ("{{ {'a': {'b': 'c'}} | combine({'d': e}) }}", {"e"}),
        ("{{ 'x}}' ~ a }}", {"a"}),
        (r"{{ 'it\'s }}' ~ a }}", {"a"}),
        ("{# {{ a }} #}{% raw %}{{ b }}{% endraw %}{{ c }}", {"c"}),
        ("{% for one in a %}{{ one }}{% endfor %}", {"a", "one"}),
        ("{{ a }} {{ 'no end", {"a"}),
    ],
)
def test_names_of_variables_are_told_from_those_of_filters_tests_and_arguments(text, names):
    assert templates.read(text).names == names


def test_the_lookup_returns_what_a_reference_would():
    raw = trusted({"port": "{{ 8000 + 43 }}", "address": {"text": "web:{{ port }}", "list": ["{{ port }}"]}})
    raw["address"]["list"] = [trust_as_template("{{ port }}")]
    templar = Templar(DataLoader(), raw)
    lookup = lookup_loader.get("broadcast.stack.evaluated", loader=DataLoader(), templar=templar)
    assert lookup.run(["address", "port"], raw) == [{"text": "web:8043", "list": [8043]}, 8043]
    with pytest.raises(Exception, match="No variable named 'prot'"):
        lookup.run(["prot"], raw)
