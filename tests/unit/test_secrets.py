"""`make secrets`: what an environment lacks is created and encrypted, what it has is kept, and no value is printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

BIN = Path(sys.executable).parent


class Checkout:
    """The few files of a checkout that the playbook needs."""

    def __init__(self, root: Path, folder: Path, name: str = "prod") -> None:
        self.folder = folder
        self.name = name
        self.password = folder / f".vault-password-{name}"
        self.file = folder / f"inventories/{name}/group_vars/all/20_secrets.yml"
        self.file.parent.mkdir(parents=True)
        for path in ("playbooks/secrets.yml", "meta/stack_variables.yml", "scripts/vault-password-client"):
            (folder / path).parent.mkdir(exist_ok=True)
            shutil.copy(root / path, folder / path)

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        program = [str(BIN / command[0]), *command[1:]]
        return subprocess.run(
            program, cwd=self.folder, env=env, capture_output=True, text=True, timeout=180, check=False, **options
        )

    def create(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            *("ansible-playbook", "playbooks/secrets.yml", "-i", "localhost,"),
            *("-e", json.dumps({"secrets_environment": self.name}), *options),
        )

    def read(self) -> dict[str, str]:
        secret = VaultSecret(self.password.read_bytes().strip())
        return yaml.safe_load(VaultLib([("prod", secret)]).decrypt(self.file.read_bytes()))


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Checkout:
    return Checkout(root, tmp_path)


def test_secrets_are_created_once_and_never_printed(checkout: Checkout) -> None:
    done = checkout.create("-vvv", "--diff")
    assert done.returncode == 0, done.stdout
    created = checkout.read()
    options = yaml.safe_load((checkout.folder / "meta/stack_variables.yml").read_text())["argument_specs"]["main"][
        "options"
    ]
    assert sorted(created) == sorted(
        name for name, option in options.items() if name.startswith("secret_") and option.get("required")
    )
    assert len(set(created.values())) == len(created)
    assert all(len(value) == 50 and value.isalnum() for value in created.values())
    assert not [value for value in created.values() if value in done.stdout + done.stderr]
    assert checkout.password.read_text().strip() not in done.stdout + done.stderr
    assert [path.stat().st_mode & 0o777 for path in (checkout.file, checkout.password)] == [0o600, 0o600]

    before = checkout.file.read_bytes()
    assert "nothing was missing" in checkout.create().stdout
    assert checkout.file.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        # Each way to write an inventory with one name, and with others what those make of it: a run costs a second.
        ("mein Büro", ("{folder}", "{folder}/", "{folder}/hosts.yml", "{checkout}/{folder}", "{outside}")),
        ("eu.prod", ("{folder}/",)),
        ("eu-prod_2", ("{outside}",)),
        ("prod.yml", ("{folder}", "{folder}/hosts.yml")),
        ("-x", ("{folder}", "{checkout}/{folder}")),
    ],
)
def test_any_name_of_a_folder_is_that_of_an_environment(
    root: Path, tmp_path: Path, name: str, forms: tuple[str, ...]
) -> None:
    checkout = Checkout(root, tmp_path, name)
    (tmp_path / "inventories" / name / "hosts.yml").write_text("all: {hosts: {shop1: {ansible_connection: local}}}")
    shutil.copy(root / "ansible.cfg", tmp_path)
    (tmp_path / "plugins/vars").mkdir(parents=True)
    shutil.copy(root / "plugins/vars/vault_password.py", tmp_path / "plugins/vars")
    (tmp_path / "collections/ansible_collections/broadcast").mkdir(parents=True)
    (tmp_path / "collections/ansible_collections/broadcast/stack").symlink_to("../../..")
    shutil.copy(root / "galaxy.yml", tmp_path)
    # Its callbacks are not what this is about.
    (tmp_path / "ansible.cfg").write_text(
        re.sub("(?m)^callbacks_enabled.*$", "", (tmp_path / "ansible.cfg").read_text())
    )
    assert checkout.create().returncode == 0
    secret = checkout.read()["secret_django_key"]

    (tmp_path / "linked").symlink_to(f"inventories/{name}")
    outside = tmp_path / "elsewhere" / name
    shutil.copytree(tmp_path / "inventories" / name, outside)
    folder = f"inventories/{name}"
    for form in forms:
        source = form.format(folder=folder, checkout=tmp_path, outside=outside)
        shown = checkout.run("ansible", "shop1", f"-i{source}", "-m", "debug", "-a", "var=secret_django_key")
        assert secret in shown.stdout, shown.stdout + shown.stderr
        assert "WARNING" not in shown.stderr
    # A folder of another name: what is encrypted says whose it is.
    if name.isascii():
        renamed = outside.rename(tmp_path / "elsewhere" / "deploy")
        shown = checkout.run("ansible", "shop1", f"-i{renamed}", "-m", "debug", "-a", "var=secret_django_key")
        assert secret in shown.stdout, shown.stdout + shown.stderr
    viewed = checkout.run("ansible-vault", "view", "--", str(checkout.file))
    assert secret in viewed.stdout, viewed.stderr
    assert "WARNING" not in viewed.stderr

    checkout.password.rename(tmp_path / "kept")
    refused = checkout.run("ansible", "shop1", f"-i{folder}", "-m", "debug", "-a", "var=secret_django_key")
    assert refused.returncode != 0
    assert f".vault-password-{name} is missing in {tmp_path}: write the vault password into it" in " ".join(
        (refused.stdout + refused.stderr).split()
    )


def test_secrets_of_ones_own_are_made_when_they_are_listed(checkout: Checkout) -> None:
    folder = checkout.file.parent
    (folder / "10_env.yml").write_text("stack_extra_variables: [secret_shop_payment, shop_name]\nother: secret_no\n")
    (folder / "11_more.yml").write_text("stack_extra_variables:\n  - secret_shop_mail\n  - x\nlast: secret_neither\n")
    done = checkout.create()
    assert done.returncode == 0, done.stdout
    made = {name for name in checkout.read() if name.startswith(("secret_shop", "secret_n"))}
    assert made == {"secret_shop_payment", "secret_shop_mail"}
    assert "interpreter" not in done.stderr


def test_values_of_ones_own_are_kept_and_encrypted(checkout: Checkout) -> None:
    checkout.file.write_text("secret_redis_cache: my-own-value-0123456\n# why\nbackend_secrets: {api: abc}")
    assert checkout.create().returncode == 0
    kept = checkout.read()
    assert kept["secret_redis_cache"] == "my-own-value-0123456"
    assert kept["backend_secrets"] == {"api": "abc"}
    assert "secret_django_key" in kept


def test_an_encrypted_file_without_its_password_is_left_alone(checkout: Checkout) -> None:
    checkout.file.write_text("$ANSIBLE_VAULT;1.2;AES256;prod\n6162\n")
    done = checkout.create()
    assert done.returncode != 0
    assert "write the vault password into it" in done.stdout + done.stderr
    assert checkout.file.read_text().endswith("6162\n")
    assert not checkout.password.exists()


def test_a_missing_password_file_stops_encryption_and_nothing_else(checkout: Checkout) -> None:
    client = "prod@scripts/vault-password-client"
    assert (
        checkout.run("ansible", "localhost", "-i", "localhost,", "--list-hosts", "--vault-id", client).returncode == 0
    )
    refused = checkout.run("ansible-vault", "encrypt", "--vault-id", client, input="value")
    assert refused.returncode != 0
    assert ".vault-password-prod is missing in the checkout" in refused.stderr
    checkout.password.write_text("known\n")
    accepted = checkout.run("ansible-vault", "encrypt", "--vault-id", client, input="value")
    assert VaultLib([("prod", VaultSecret(b"known"))]).decrypt(accepted.stdout) == b"value"
