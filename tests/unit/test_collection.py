"""The collection as a package: built, installed into an empty project and used by full names."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    container_stack: shop
    container_root: "{{ playbook_dir }}/containers"
    catalog: >-
      {{ lookup('broadcast.stack.image_catalog', namespace='shop',
      application={'context': playbook_dir ~ '/app', 'requirements': 'requirements.txt'}) }}
  tasks:
    - ansible.builtin.import_role:
        name: broadcast.stack.redis
      vars:
        redis_image: "{{ catalog.redis.reference }}"
        redis_container_prefix: shop-redis
        redis_instances: {cache: {maxmemory: 64mb, maxmemory_policy: allkeys-lru, password: a-password-of-the-project}}
    - ansible.builtin.import_role:
        name: broadcast.stack.celery_worker
      vars:
        celery_worker_image: "{{ catalog.django.reference }}"
        celery_worker_app: shop
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> Path:
    # From git's view of the tree, so that nothing local slips into the comparison.
    source = tmp_path_factory.mktemp("source")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copied = tmp_path_factory.mktemp("artifact")
    subprocess.run(["tar", "--null", "-cf", copied / "tree.tar", "-T", "-"], cwd=ROOT, input=files, check=True)
    subprocess.run(["tar", "-xf", copied / "tree.tar", "-C", source], check=True)
    done = subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", copied, source],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (built,) = copied.glob("broadcast-stack-*.tar.gz")
    return built


def test_the_artifact_holds_what_users_need_and_nothing_else(artifact):
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"roles", "plugins", "playbooks", "docker", "group_vars", "meta"} <= tops
    assert not tops & {"backend", "molecule", "tests", "bench", "collections", ".github", ".ci", ".venv", ".dev"}
    assert not [name for name in names if "vault-password-" in name and "client" not in name]


def test_the_roles_work_from_an_empty_project_by_their_full_names(artifact, tmp_path):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
        "ANSIBLE_INJECT_FACT_VARS": "false",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("ansible-galaxy", "collection", "install", "--no-deps", "-p", "collections", str(artifact))
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").write_text("django\n")
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    output = run("ansible-playbook", "site.yml", "--check", "--diff")
    for container in ("shop-redis-cache", "app-worker-default"):
        assert f"{container}: is missing" in output
    assert "a-password-of-the-project" not in output
