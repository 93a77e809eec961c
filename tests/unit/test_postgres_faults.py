"""What PostgreSQL's answer about owners and rights means."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.filter.postgres_faults import faults, text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, []),
        ({"rc": 0, "stdout": "", "stderr": ""}, []),
        ({"rc": 0, "stdout": "table a belongs to postgres\nschema b belongs to c\n", "stderr": ""},
         ["table a belongs to postgres", "schema b belongs to c"]),
        ({"rc": 2, "stdout": "", "stderr": 'FATAL:  database "shop" does not exist'}, ["database shop is missing"]),
        # Starting, full, or gone: its health says so.
        ({"rc": 2, "stdout": "", "stderr": "FATAL:  the database system is starting up"}, []),
        ({"rc": 2, "stdout": "", "stderr": 'FATAL:  database "other" does not exist'}, []),
        ({"rc": -1, "stdout": "", "stderr": "timed out"}, []),
    ],
)  # fmt: skip
def test_faults_are_those_that_were_seen(answer, expected):
    assert faults(answer, "shop") == expected


def test_a_line_names_the_first_and_counts_the_others():
    assert text(["a", "b"]) == "a, b"
    assert text(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
