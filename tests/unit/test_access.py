"""What the stack gives an application is what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.access import database_access, redis_access

PAGE = (Path(__file__).resolve().parents[2] / "docs/your-own-app/values.md").read_text()
FLEET = {"host": "10.0.0.5", "ports": {"broker": 6379}, "ca": "/run/config/stack-ca.crt"}
DATABASE = {"host": "db", "port": 5432, "name": "shop", "sslmode": "prefer", "sslrootcert": ""}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("stack_database", database_access(DATABASE, "app", "word")),
        ("stack_redis.<use>", redis_access({"broker": {}}, "shop", {"broker": {"password": "word"}}, FLEET)["broker"]),
    ],
)
def test_each_key_is_documented_and_each_documented_key_is_given(name, given):
    row = re.search(rf"^\| `{re.escape(name)}` \| (.*) \|$", PAGE, re.M)[1]
    assert set(re.findall(r"`([a-z_]+)`", row)) - {"backend_redis_uses"} == set(given)


def test_in_a_fleet_redis_is_given_with_its_authority():
    given = redis_access({"broker": {}}, "shop", {"broker": {"password": "word"}}, FLEET)["broker"]
    assert given["tls"] is True
    assert given["ca"] == FLEET["ca"]
    assert given["url"].startswith("rediss://")
