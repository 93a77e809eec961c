"""`make secrets`: what an environment lacks is created and encrypted, what it has is kept, and no value is printed."""

from __future__ import annotations

import os
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

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        self.password = folder / ".vault-password-prod"
        self.file = folder / "inventories/prod/group_vars/all/20_secrets.yml"
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
            "ansible-playbook", "playbooks/secrets.yml", "-i", "localhost,", "-e", "secrets_environment=prod", *options
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
