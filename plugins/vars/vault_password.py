# MIT License (see LICENSE)
"""Gives Ansible the vault password of the environment whose inventory is read."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vault_password
short_description: The vault password of an environment, from C(.vault-password-<environment>) of the checkout
description:
  - An environment is called as its inventory's folder is. Its password is known before its variables are read, so no
    command needs C(--vault-password-file), and only the password of the environment in question is read.
  - It has no variables of its own.
requirements:
  - Enable it with C(vars_plugins_enabled) in ansible.cfg, before C(host_group_vars).
"""

import os
import pathlib
import typing as t

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultSecret, VaultSecretsContext, is_encrypted
from ansible.plugins.vars import BaseVarsPlugin

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = ".vault-password-"


class VarsModule(BaseVarsPlugin):
    """Adds to the secrets that the command line gave; has no variables."""

    read: t.ClassVar[set[str]] = set()

    def get_vars(self, loader, path, entities, cache=True):
        super().get_vars(loader, path, entities)
        folder = os.path.abspath(os.fsdecode(path))
        if folder not in self.read:
            self.read.add(folder)
            self.unlock(loader, folder)
        return {}

    def unlock(self, loader, folder):
        name = os.path.basename(folder)
        file = CHECKOUT / (PREFIX + name)
        secrets = loader._vault.secrets
        try:
            password = file.read_bytes().strip()
        except FileNotFoundError:
            self.refuse_without(folder, file.name, [label for label, _secret in secrets or []])
            return
        except OSError as error:
            raise AnsibleError("%s cannot be read: %s" % (file, error.strerror)) from error
        if not password:
            raise AnsibleError("%s is empty: write the vault password of %s into it" % (file, folder))
        # First, since Ansible tries one after the other, and each try takes time.
        found = [(name, VaultSecret(password)), *(secrets or [])]
        loader.set_vault_secrets(found)
        # Values that are encrypted by themselves are read with these. There is no public way to change them.
        VaultSecretsContext.current().secrets = found

    @staticmethod
    def refuse_without(folder, needed, labels):
        """Ansible would say that it cannot decrypt, but neither what is missing nor where."""
        for kind in ("group_vars", "host_vars"):
            for file in sorted(pathlib.Path(folder, kind).rglob("*")):
                # Whoever gave another password on the command line knows which.
                if set(labels) <= {"inventory"} and file.is_file() and file.suffix in ("", ".yml", ".yaml", ".json"):
                    with file.open("rb") as stream:
                        if is_encrypted(stream.read(64)):
                            text = "%s is encrypted, and %s is missing in %s: write the vault password into it"
                            raise AnsibleError(text % (file, needed, CHECKOUT))
