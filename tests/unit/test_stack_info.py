"""Parsing in the observation module."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.broadcast.stack.plugins.modules import stack_info


def test_listening_sockets_are_read_from_the_kernels_tables(tmp_path):
    header = "  sl  local_address rem_address   st\n"
    four = tmp_path / "tcp"
    four.write_text(header + "0: 0100007F:1F40 00000000:0000 0A\n1: 0100007F:1F41 00000000:0000 01\n")
    six = tmp_path / "tcp6"
    six.write_text(header + "0: 00000000000000000000000000000000:01BB 0:0 0A\n")
    assert stack_info.listening((str(four), str(six), str(tmp_path / "absent"))) == [
        {"address": "127.0.0.1", "port": 8000},
        {"address": "::", "port": 443},
    ]


def test_log_frames_are_joined():
    stream = b"".join(struct.pack(">BxxxI", 1, len(part)) + part for part in (b"one\n", b"two\n"))
    assert stack_info.demultiplex(stream) == "one\ntwo\n"


def test_files_are_hashed_with_owner_and_mode(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o640)
    state = stack_info.files_state(str(tmp_path), [str(tmp_path / "absent")])
    assert list(state) == [str(tmp_path / "a")]
    assert state[str(tmp_path / "a")]["mode"] == "0640"
    assert len(state[str(tmp_path / "a")]["sha256"]) == 64


def test_a_host_without_an_engine_is_observed(tmp_path):
    seen = stack_info.observe("shop", str(tmp_path), [], "unix://%s/absent.sock" % tmp_path, [], 5)
    assert seen["engine"]["running"] is False
    assert "absent.sock" in seen["engine"]["error"]
    assert seen["host"]["memory_mb"] > 0
    assert seen["containers"] == {}


def test_only_unix_sockets_are_observed():
    with pytest.raises(stack_info.EngineError, match="only unix://"):
        stack_info.observe("shop", "/nonexistent", [], "tcp://192.0.2.1:2375", [], 5)


def test_routes_are_read_from_the_kernels_table(tmp_path):
    table = tmp_path / "route"
    table.write_text("Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 004DD50A 0 1 0 0 0 00FFFFFF\n")
    assert stack_info.routes(str(table)) == [{"interface": "eth0", "network": "10.213.77.0/24"}]
