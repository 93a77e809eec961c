"""What bench/measures counts, on a tree that is small enough to count by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
loader = SourceFileLoader("measures", str(ROOT / "bench" / "measures"))
measures = importlib.util.module_from_spec(importlib.util.spec_from_loader("measures", loader))
loader.exec_module(measures)

FILES = {
    "group_vars/shared/10_application.yml": "backend_context: ../shop\n",
    "group_vars/shared/roles/django_web.yml": """
catalog: "{{ lookup('catalog', context=backend_context) }}"
django_web_image: "{{ catalog.django }}"
# Another way to the same, which is longer.
__stack_image: "{{ catalog }}"
django_web_networks: "{{ groups['redis'] | default([]) }}"
""",
    "roles/django_web/defaults/main.yml": "django_web_image: ''\n",
    "roles/django_web/vars/main.yml": """
__django_web_containers: [{image: "{{ django_web_image }}", secret: !vault abc}]
__django_web_text: Uses redis, like others.
""",
    "roles/django_web/tasks/main.yml": """
- name: Run web
  block:
    - name: Run
      vars: {container_specs: "{{ __django_web_containers }}"}
""",
    "roles/django_web/meta/argument_specs.yml": """
argument_specs:
  main: {options: {django_web_image: {}, django_web_networks: {}}}
  release: {options: {django_web_image: {}}}
""",
    "roles/redis/vars/main.yml": "{redis: redis}\n",
    "roles/container/vars/main.yml": "long: >-\n  {{ "
    + " +\n  ".join(["'twenty characters'"] * 12)
    + " }} {{ 'short' }}\n",
    "playbooks/site.yml": "- hosts: postgres:redis:web\n",
    "playbooks/down.yml": "- name: Stop redis\n  hosts: all # redis\n",
    "plugins/filter/one.py": '"""Like redis."""\nNAMES = ["a", "redis"]\n',
    "plugins/filter/two.py": '"""redis-cli"""\n\n\nREDIS = "redis-cli"\n',
    "docker/redis/Dockerfile": "FROM debian\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_an_expression_is_as_long_as_it_is_read(tree):
    assert sorted(measures.expressions(tree))[-1] == len("{{  }}") + 12 * len("'twenty characters'") + 11 * len(" + ")
    assert len("{{ 'short' }}") in measures.expressions(tree)
    assert len(measures.expressions(tree)) == 8


def test_the_longest_file(tree):
    assert measures.longest_file(tree) == (4, "two.py")


def test_a_variable_of_several_entry_points_is_one_variable(tree):
    assert measures.public_variables(tree) == {"django_web": 2}


def test_the_shortest_way_from_the_inventory_to_the_container(tree):
    assert measures.hops(tree, "backend_context") == (
        "backend_context",
        "catalog",
        "django_web_image",
        "__django_web_containers",
        "container_specs",
    )
    with pytest.raises(SystemExit, match="secret_word does not lead"):
        measures.hops(tree, "secret_word")


def test_places_are_files_that_name_a_service_and_no_sentences(tree):
    assert measures.places(tree, "redis") == [
        "docker/redis",
        "group_vars/shared/roles/django_web.yml",
        "playbooks/site.yml",
        "plugins/filter/one.py",
        "roles/redis",
    ]


def test_a_file_that_names_every_service_is_a_list_of_them(tree):
    (tree / "plugins/filter/one.py").write_text('GROUPS = ["postgres", "redis"]\n')
    assert measures.lists(tree) == []
    (tree / "playbooks/down.yml").write_text("- hosts: postgres:redis:backups\n")
    assert measures.lists(tree) == ["playbooks/down.yml"]


def test_the_page_holds_the_table_of_all_figures():
    table = (ROOT / "docs/how-it-works.md").read_text().split(measures.BEGIN)[1].split(measures.END)[0]
    assert [words for _key, words, _limit in measures.FIGURES if f"| {words} |" not in table] == []


def test_no_figure_is_over_its_limit():
    run = subprocess.run([sys.executable, ROOT / "bench/measures", "--limits"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
