# MIT License (see LICENSE)
"""The images of a stack, named by content."""

from __future__ import annotations

DOCUMENTATION = r"""
name: image_catalog
author: The broadcast.stack authors
short_description: The images of a stack, named by content
description:
  - Returns every image of a stack with its reference and what a build of it needs. The tag is a hash of the Dockerfile,
    the files of the build context, the build arguments and the parent images, so the same sources have the same name
    everywhere, and a reference that is on a host need not be built again.
  - C(.dockerignore) is honoured; version control and Python bytecode never enter. Mirrors, certificate authorities and
    the package index do not change what is built, so they do not enter either.
  - The sources are looked at once per run of Ansible. Files that are edited while it runs count in the next run.
options:
  _terms:
    description: Not used.
  namespace:
    description: First part of every reference, usually the stack's name.
    type: str
    required: true
  application:
    description:
      - The Django project, with C(context) (folder), C(target) (C(prod) or C(dev)), C(requirements), C(packages) and
        the other fields of C(Application) in plugins/plugin_utils/images/catalog.py. With neither C(context) nor
        C(packages) the catalog has no C(django).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the reference of the PostgreSQL image
  ansible.builtin.debug:
    msg: "{{ lookup('broadcast.stack.image_catalog', namespace='shop').postgres.reference }}"
"""

RETURN = r"""
_raw:
  description: >-
    One dictionary, image name to C(reference), C(dockerfile), C(context), C(target), C(args), C(parents) and
    C(programs), see M(broadcast.stack.image_context); parents stand before their children.
  type: list
  elements: dict
"""

import hashlib
import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.catalog import Application, catalog
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import CatalogError

DOCKER = Path(__file__).resolve().parents[2] / "docker"


def once_per_run(namespace: str, application: Application | None) -> dict:
    """The catalog as the first of Ansible's processes saw it: all share the run's temporary folder."""
    key = hashlib.sha256(repr((DOCKER, namespace, application)).encode()).hexdigest()
    remembered = Path(constants.DEFAULT_LOCAL_TMP) / f"image_catalog-{key}.json"
    if not remembered.exists():
        with tempfile.NamedTemporaryFile("w", dir=remembered.parent, delete=False) as stream:
            json.dump(catalog(DOCKER, namespace, application), stream)
        try:
            os.link(stream.name, remembered)
        except FileExistsError:
            pass
        finally:
            os.unlink(stream.name)
    return json.loads(remembered.read_text())


def described(project: dict) -> Application | None:
    """The application of the option, in plain hashable types; none when nothing says what to build."""
    if not project.get("context") and not project.get("packages"):
        return None
    unknown = set(project) - {field.name for field in fields(Application)}
    if unknown:
        raise AnsibleLookupError(f"application: unknown {', '.join(sorted(unknown))}")
    values = {}
    for field in fields(Application):
        value = project.get(field.name)
        if value is None:
            continue
        if isinstance(value, dict):
            value = tuple(sorted((str(key), str(item)) for key, item in value.items()))
        elif isinstance(value, list):
            value = tuple(str(item) for item in value)
        elif not isinstance(value, bool):
            value = str(value)
        values[field.name] = value
    if values.get("context"):
        values["context"] = str(Path(values["context"]).expanduser().resolve())
    return Application(**values)


class LookupModule(LookupBase):
    """Returns the catalog."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        self.set_options(var_options=variables, direct=kwargs)
        application = described(dict(self.get_option("application") or {}))
        try:
            return [once_per_run(self.get_option("namespace"), application)]
        except (CatalogError, OSError) as error:
            raise AnsibleLookupError(str(error)) from error
