#!/usr/bin/env python3
"""A playbook of the collection for one of the applications: play.py NAME PLAYBOOK [ARGUMENTS].

It gets the application's own inventory, and after it Molecule's, which knows how the host is reached. Meanwhile the
wheel of ledger is served where builds can reach it, as by a team's package server; that ends with this program.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Part of the wheel's address and thereby of the image's name, so it is always the same.
PORT = 18642


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Says nothing."""


def bridge() -> str:
    """This machine's address in the network of builds."""
    command = ["docker", "network", "inspect", "bridge", "--format={{json .IPAM.Config}}"]
    config = json.loads(subprocess.check_output(command, text=True))[0]
    return config.get("Gateway") or str(ipaddress.ip_network(config["Subnet"])[1])


def serve(folder: Path) -> str:
    """Serve a folder with one wheel; the wheel's address with its checksum."""
    (wheel,) = folder.glob("*.whl")
    address = bridge()
    server = ThreadingHTTPServer((address, PORT), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{address}:{PORT}/{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def main(name: str, playbook: str, *arguments: str) -> int:
    environment = dict(os.environ)
    if name == "ledger":
        environment["LEDGER_WHEEL"] = serve(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "wheels")
    inventories = [ROOT / "tests/apps" / name / "inventory", os.environ["MOLECULE_INVENTORY_FILE"]]
    command = ["ansible-playbook", *(f"--inventory={path}" for path in inventories), *arguments, str(ROOT / playbook)]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
