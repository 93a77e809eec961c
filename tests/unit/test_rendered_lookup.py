"""The lookup renders as Ansible's own does."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template

TEXT = (
    "{{ ansible_managed | comment }}\n{% for port in ports %}\nlisten {{ port }};\n{% endfor %}\n"
    'path "\\d+" {{ name }}\n\n'
)


def render(lookup: str, term: str, variables: dict, **options: object) -> list:
    loader = DataLoader()
    return lookup_loader.get(lookup, loader=loader, templar=Templar(loader, variables)).run(
        [term], variables, **options
    )


@pytest.fixture
def template(tmp_path) -> str:
    (tmp_path / "x.conf.j2").write_text(TEXT)
    return str(tmp_path / "x.conf.j2")


def test_it_is_ansibles_own_text(template):
    variables = {
        "ports": [80, 443],
        "name": trust_as_template("{{ ports | first }}"),
        "ansible_managed": "Ansible managed",
    }
    (text,) = render("broadcast.stack.rendered", template, variables)
    assert [text] == render("ansible.builtin.template", template, variables)
    assert text == '#\n# Ansible managed\n#\nlisten 80;\nlisten 443;\npath "\\d+" 80\n\n'


def test_further_variables_win(template):
    (text,) = render("broadcast.stack.rendered", template, {"ports": []}, template_vars={"name": "mine"})
    assert text.endswith('path "\\d+" mine\n\n')


def test_a_template_that_is_not_there_is_named():
    with pytest.raises(AnsibleLookupError, match=r"absent\.j2 could not be found"):
        render("broadcast.stack.rendered", "absent.j2", {})
