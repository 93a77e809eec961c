"""Runs that were started wrongly: Ansible would end well without having done what was asked; each is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import controller

BIN = Path(sys.executable).parent
GROUPS = ("postgres", "redis", "web", "worker", "edge", "backups")


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a checkout as a start needs, which may be spoilt."""
    folder = tmp_path_factory.mktemp("checkout") / "shop"
    for name in ("playbooks", "plugins", "roles", "meta", "group_vars"):
        shutil.copytree(root / name, folder / name, symlinks=True)
    for name in ("ansible.cfg", "site.yml", "galaxy.yml"):
        shutil.copy(root / name, folder / name)
    (folder / "galaxy.cfg").write_text("[galaxy]\n")
    (folder / "scripts").mkdir()
    shutil.copy(root / "scripts/vault-password-client", folder / "scripts")
    (folder / "collections/ansible_collections/broadcast").mkdir(parents=True)
    (folder / "collections/ansible_collections/broadcast/stack").symlink_to("../../..")
    children = {group: {"hosts": {"shop1": None}} for group in GROUPS}
    for name, content in {"prod": {"all": {"children": children}}, "empty": {"all": {}}}.items():
        (folder / "inventories" / name).mkdir(parents=True)
        (folder / "inventories" / name / "hosts.yml").write_text(yaml.safe_dump(content))
    foreign = {"all": {"children": {"webservers": {"hosts": {"shop1": None}}}}}
    (folder / "inventories/foreign").mkdir()
    (folder / "inventories/foreign/hosts.yml").write_text(yaml.safe_dump(foreign))
    return folder


def start(
    checkout: Path, *options: str, cwd: Path | None = None, playbook: str = "playbooks/check_run.yml", **env: str
):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "DOCKER_"))}
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), str(checkout / playbook), *options],
        cwd=cwd or checkout,
        env={**kept, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400", **env},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


PROD = ("-i", "inventories/prod")


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        (("-i", "inventories/porduction"), {}, "failed to parse inventory source"),
        (("-i", "inventories/empty"), {}, "inventory = * has no host; name the folder of an environment"),
        (
            ("-i", "inventories/foreign"),
            {},
            "has no host in a group of the stack, only in webservers; put its hosts into",
        ),
        ((), {}, "has no host; name the folder of an environment"),
        ((*PROD, "--limit", "shop2"), {}, "leaves us with no hosts to target"),
        ((*PROD, "--limit", "shop1,wbe"), {}, "--limit = shop1,wbe: wbe matches no host; did you mean web?"),
        ((*PROD, "--tags", "redis"), {}, "--tags = redis: would leave parts of the run out"),
        (
            (*PROD, "-e", '{"check_run_tags": ["redis"]}', "--tags", "redsi"),
            {},
            "nothing has this tag; did you mean redis?",
        ),
        (
            PROD,
            {"ANSIBLE_RUN_TAGS": "redis"},
            "ANSIBLE_RUN_TAGS = ['redis']: parts of the run would be left out; unset",
        ),
        (
            PROD,
            {"ANSIBLE_HASH_BEHAVIOUR": "merge"},
            "ANSIBLE_HASH_BEHAVIOUR = merge: dictionaries of inventories would",
        ),
        (
            PROD,
            {"ANSIBLE_HOST_KEY_CHECKING": "False"},
            "ANSIBLE_HOST_KEY_CHECKING = False: secrets would go to whoever",
        ),
        (PROD, {"ANSIBLE_CONFIG": "galaxy.cfg"}, "the environment's ANSIBLE_CONFIG names galaxy.cfg instead of"),
        ((*PROD, "-e", "stack_root=/etc"), {}, "stack_root = /etc: lies in a directory of the system's own"),
        ((*PROD, "-e", "stack_name=.."), {}, "stack_name = ..: not a name for containers"),
        (
            (*PROD, "-e", "ansible_connection=local"),
            {"DOCKER_HOST": "ssh://elsewhere"},
            "DOCKER_HOST = ssh://elsewhere: lets some tools ask another Engine",
        ),
    ],
)
def test_a_wrong_start_is_refused_in_one_sentence(checkout, options, environment, sentence):
    code, output = start(checkout, *options, **environment)
    assert code != 0, output
    begin, _star, end = sentence.partition("*")
    assert begin in output, output
    assert end in output, output
    assert "changed=0" in output or "PLAY RECAP" not in output


def test_a_good_start_goes_on(checkout):
    for options in (PROD, ("-i", "inventories/prod/hosts.yml"), ("-i", "inventories/prod/"), (*PROD, "--limit", "web")):
        code, output = start(checkout, *options)
        assert code == 0, output


def test_another_working_directory_is_told(checkout, tmp_path):
    code, output = start(checkout, "-i", str(checkout / "inventories/prod"), cwd=tmp_path)
    assert code != 0
    assert f"is not in effect, since the working directory is {tmp_path}; go to {checkout} first" in output


def test_a_checkout_that_everybody_may_write_is_told(checkout):
    mode = checkout.stat().st_mode
    checkout.chmod(0o777)
    try:
        code, output = start(checkout, *PROD)
    finally:
        checkout.chmod(mode)
    assert code != 0
    assert f"Ansible ignores it, since everybody may write into {checkout}; run `chmod o-w {checkout}`" in output


@pytest.mark.parametrize("verb", sorted(path.name for path in (Path(__file__).parents[2] / "playbooks").glob("*.yml")))
def test_every_verb_begins_with_the_check(root, verb):
    """Not what is only imported, what speaks after another verb, and what needs no inventory."""
    if verb in ("check_run.yml", "transaction.yml", "dev_summary.yml", "secrets.yml"):
        return
    first = verb
    while first != "check_run.yml":
        play = yaml.safe_load((root / "playbooks" / first).read_text())[0]
        assert "ansible.builtin.import_playbook" in play, first
        first = play["ansible.builtin.import_playbook"]


def test_a_key_that_is_written_twice_is_refused(checkout):
    folder = checkout / "inventories/twice"
    shutil.copytree(checkout / "inventories/prod", folder)
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text("stack_name: a1\nstack_root: /opt/x\nstack_name: b1\n")
    code, output = start(checkout, "-i", "inventories/twice")
    assert code != 0
    assert "stack_name" in output


def test_files_of_an_application_beside_the_hosts_are_not_read_as_hosts(checkout):
    folder = checkout / "inventories/beside"
    shutil.copytree(checkout / "inventories/prod", folder)
    (folder / "context").mkdir()
    (folder / "context/requirements.in").write_text("shop==3.2\n")
    (folder / "context/pyproject.toml").write_text("[project]\nname = 'shop'\n")
    for name in ("requirements.in", "Dockerfile", "entrypoint.sh", "uv.lock"):
        (folder / name).write_text("shop==3.2\n")
    code, output = start(checkout, "-i", "inventories/beside")
    assert code == 0, output
    listed = subprocess.run(
        [str(BIN / "ansible-inventory"), "-i", "inventories/beside", "--list"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "shop==3.2" not in listed
    assert "shop1" in listed


def test_settings_of_ones_own_file_that_do_the_same_are_accepted():
    settings = {
        name: controller.Setting(one.value, "/etc/ansible/ansible.cfg") for name, one in controller.NEEDED.items()
    }
    assert controller.settings_problems(settings, "is not in effect; go elsewhere") == []
    settings["TASK_TIMEOUT"] = controller.Setting(60, "/etc/ansible/ansible.cfg")
    (problem,) = controller.settings_problems(settings, "")
    assert "take it out of /etc/ansible/ansible.cfg" in problem.line()


def test_what_molecule_skips_is_no_wish_of_a_user() -> None:
    skipped = ["molecule-notest", "notest", "molecule-idempotence-notest"]
    assert controller.tag_problems(["all"], skipped, ["postgres"]) == []
    assert len(controller.tag_problems(["all"], ["molecule-other"], ["postgres"])) == 1
