# MIT License (see LICENSE)
"""The status of a stack on all hosts; documented in plugins/modules/stack_status.py."""

from __future__ import annotations

import json
import pathlib
import time

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.action.report import reported
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import planning
from ansible_collections.broadcast.stack.plugins.plugin_utils.status import document, rows, shown
from cryptography import x509


def certificates_of(texts):
    """Path to name and end of the certificates in PEM texts; the first of a chain is the one that is served."""
    found = {}
    for path, text in (texts or {}).items():
        try:
            certificate = x509.load_pem_x509_certificates(text.encode())[0]
        except ValueError:
            continue
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        found[path] = {
            "name": names[0].value if names else pathlib.Path(path).name,
            "not_after": int(certificate.not_valid_after_utc.timestamp()),
        }
    return found


class ActionModule(ActionBase):
    """Reads what was observed and planned on all hosts; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(
        {"stack", "hosts", "slots", "web_hosts", "backups", "maintenance", "asked", "least_free_mb", "form", "output"}
    )

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "stack": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "slots": {"type": "list", "elements": "str", "default": []},
                "web_hosts": {"type": "list", "elements": "str", "default": []},
                "backups": {"type": "dict", "default": {}},
                "maintenance": {"type": "dict", "default": {}},
                "asked": {"type": "dict", "default": {}},
                "least_free_mb": {"type": "int", "default": 0},
                "form": {"type": "str", "choices": ["table", "json"], "default": "table"},
                "output": {"type": "path", "default": ""},
            }
        )
        hosts, certificates = {}, {}
        for host in arguments["hosts"]:
            variables = task_vars["hostvars"].raw_get(host)
            observation = variables.get("container_observation")
            failure = variables.get("stack_status_failure")
            failures = [failure["msg"]] if isinstance(failure, dict) and "msg" in failure else []
            failures += planning.plan_errors(variables, host)
            hosts[host] = {
                "observation": observation,
                "failure": "; ".join(dict.fromkeys(failures)),
                "maintenance": arguments["maintenance"].get(host, ""),
                "plans": planning.planned(variables, host),
                "asked": arguments["asked"].get(host, {}),
            }
            if rows.observed(observation):
                certificates[host] = certificates_of(observation.get("certificates"))
        found = document.document(
            arguments["stack"],
            hosts,
            arguments["slots"],
            arguments["web_hosts"],
            arguments["backups"],
            time.time(),
            certificates,
            arguments["least_free_mb"],
        )
        text = json.dumps(found, indent=2) if arguments["form"] == "json" else shown.text(found)
        if arguments["output"]:
            try:
                pathlib.Path(arguments["output"]).write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise AnsibleError("output: %s" % error) from error
        return reported(text, "", found["exit_code"])
