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
import re
import typing as t

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultSecret, VaultSecretsContext
from ansible.plugins.vars import BaseVarsPlugin

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = ".vault-password-"
# An environment may be in a folder of another name. Encrypted text names its environment.
LABEL = re.compile(r"\$ANSIBLE_VAULT;1\.2;AES256;([\w.@ -]+)$", re.M)


class VarsModule(BaseVarsPlugin):
    """Adds to the secrets that the command line gave; has no variables."""

    # Ansible keeps one instance instead of making one for every question.
    is_stateless = True
    read: t.ClassVar[set[str]] = set()

    def get_vars(self, loader, path, entities, cache=True):
        super().get_vars(loader, path, entities)
        folder = os.path.abspath(os.fsdecode(path))
        if folder not in self.read:
            self.read.add(folder)
            self.unlock(loader, folder)
        return {}

    def unlock(self, loader, folder):
        labels, encrypted = self.labels(folder)
        names = [os.path.basename(folder), *sorted(labels)]
        found = [(name, VaultSecret(password)) for name in dict.fromkeys(names) if (password := self.password(name))]
        secrets = loader._vault.secrets or []
        if found:
            # This secret comes first: Ansible tries one after the other, and each try takes time.
            found += secrets
            loader.set_vault_secrets(found)
            # Single encrypted values are read with these secrets. There is no public way to change them.
            VaultSecretsContext.current().secrets = found
        elif encrypted and {label for label, _secret in secrets} <= {"inventory"}:
            # Ansible would say that it cannot decrypt, but neither what is missing nor where. Somebody who gave another
            # password on the command line knows that.
            text = "%s is encrypted, and %s is missing in %s: write the vault password into it"
            raise AnsibleError(text % (encrypted[0], PREFIX + names[0], CHECKOUT))

    @staticmethod
    def password(name):
        file = CHECKOUT / (PREFIX + name)
        try:
            password = file.read_bytes().strip()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise AnsibleError("%s cannot be read: %s" % (file, error.strerror)) from error
        if not password:
            raise AnsibleError("%s is empty: write the vault password into it" % file)
        return password

    @staticmethod
    def labels(folder):
        """Labels of what is encrypted in an inventory's variables, and the files that are encrypted as a whole."""
        labels, encrypted = set(), []
        for kind in ("group_vars", "host_vars"):
            for file in sorted(pathlib.Path(folder, kind).rglob("*")):
                if file.suffix in ("", ".yml", ".yaml", ".json") and os.access(file, os.R_OK) and file.is_file():
                    text = file.read_text(encoding="utf-8", errors="replace")
                    labels.update(LABEL.findall(text))
                    encrypted += [file] if text.startswith("$ANSIBLE_VAULT;") else []
        return labels, encrypted
