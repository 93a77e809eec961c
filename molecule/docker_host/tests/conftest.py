"""What the tests of this scenario share."""

from __future__ import annotations

import pytest

# An image from the host's own files: nothing is delivered to this host.
PROBE = """
set -eu
programs='/usr/bin/bash /usr/bin/cat /usr/bin/sleep'
libraries=$(ldd $programs | grep -o '/[^ ]*\\.so[^ ]*' | sort -u)
tar --create --dereference --absolute-names $programs $libraries | docker import - probe:1
"""


@pytest.fixture(scope="module")
def probe(host) -> str:
    if not host.run("docker image inspect probe:1").succeeded:
        host.check_output(f"bash -c '{PROBE.replace(chr(39), chr(34))}'")
    return "probe:1"
