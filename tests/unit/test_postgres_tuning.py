"""Sizes of PostgreSQL derived from a host."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.filter.postgres_tuning import memory_mb, tuning


@pytest.mark.parametrize(
    ("value", "host_mb", "expected"),
    [
        ("auto", 900, 512),
        ("auto", 8000, 1792),
        ("auto", 8191, 1792),
        ("auto", 64 * 1024, 16 * 1024),
        ("512m", 900, 512),
        ("2g", 900, 2048),
        ("2GB", 900, 2048),
        ("1.5g", 900, 1536),
    ],
)
def test_limit_is_a_quarter_of_the_host_or_the_wish(value: str, host_mb: int, expected: int) -> None:
    assert memory_mb(value, host_mb) == expected


@pytest.mark.parametrize("value", ["", "12 apples", "0m", "512", "-1g", "100m"])
def test_limit_that_is_no_usable_size_is_refused(value: str) -> None:
    with pytest.raises(AnsibleFilterError, match="postgres_memory"):
        memory_mb(value, 4096)


def megabytes(value: str) -> int:
    assert value.endswith("MB")
    return int(value.removesuffix("MB"))


@pytest.mark.parametrize("limit_mb", [256, 512, 1024, 2048, 8192, 65536, 262144])
@pytest.mark.parametrize("cpus", [0.5, 1, 2, 8, 64])
def test_settings_fit_into_the_limit(limit_mb: int, cpus: float) -> None:
    settings = tuning(limit_mb, cpus)
    shared = megabytes(settings["shared_buffers"])
    assert shared == limit_mb // 4
    assert shared + 3 * megabytes(settings["maintenance_work_mem"]) < limit_mb
    assert megabytes(settings["effective_cache_size"]) <= limit_mb
    assert 50 <= int(settings["max_connections"]) <= 300
    assert int(settings["max_parallel_workers_per_gather"]) <= int(settings["max_parallel_workers"])
    assert int(settings["max_parallel_workers"]) <= int(settings["max_worker_processes"])


def test_settings_grow_with_memory_and_processors() -> None:
    small, large = tuning(512, 1), tuning(16384, 8)
    assert megabytes(small["work_mem"]) < megabytes(large["work_mem"])
    assert int(small["max_connections"]) < int(large["max_connections"])
    assert (small["max_parallel_workers_per_gather"], large["max_parallel_workers_per_gather"]) == ("0", "4")
