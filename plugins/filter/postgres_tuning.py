# MIT License (see LICENSE)
"""Filters that size PostgreSQL: from a host to a memory limit, from the limit to settings."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import is_positive_size, megabytes

SMALLEST_MB = 256
SMALLEST_AUTOMATIC_MB = 512


def memory_mb(value: object, host_memory_mb: int) -> int:
    """Memory limit in MiB: a size such as 2g, or a quarter of the host for "auto".

    The automatic size is rounded down to steps of 256 MiB, so that another kernel's idea of the same machine's memory
    does not replace the container.
    """
    text = str(value).strip().lower()
    if text == "auto":
        return max(SMALLEST_AUTOMATIC_MB, int(host_memory_mb) // 4 // 256 * 256)
    if not is_positive_size(text):
        raise AnsibleFilterError("postgres_memory: %r is not a size such as 512m or 2g, nor auto" % (value,))
    size = int(megabytes(text))
    if size < SMALLEST_MB:
        raise AnsibleFilterError("postgres_memory: %s is less than the %dm PostgreSQL needs" % (value, SMALLEST_MB))
    return size


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def tuning(limit_mb: int, cpus: float) -> dict[str, str]:
    """Settings that depend on the container's memory and processors, for a mixed web workload on flash disks."""
    limit_mb, cores = int(limit_mb), max(1, int(cpus))
    shared_mb = limit_mb // 4
    connections = clamp(limit_mb // 10 // 10 * 10, 50, 300)
    # A query may use work_mem several times (sorts, hashes); three of them per connection must fit beside the buffers.
    work_mb = clamp((limit_mb - shared_mb) // (connections * 3), 4, 256)
    helpers = clamp(cores // 2, 0, 4)
    return {
        "max_connections": str(connections),
        "shared_buffers": "%dMB" % shared_mb,
        # The container's limit includes its share of the page cache.
        "effective_cache_size": "%dMB" % (limit_mb * 3 // 4),
        "work_mem": "%dMB" % work_mb,
        "maintenance_work_mem": "%dMB" % clamp(limit_mb // 16, 32, 2048),
        "min_wal_size": "%dMB" % clamp(limit_mb // 4, 128, 1024),
        "max_wal_size": "%dMB" % clamp(limit_mb, 1024, 16384),
        "max_worker_processes": str(max(8, cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(helpers),
        "max_parallel_maintenance_workers": str(helpers),
    }


class FilterModule:
    """Sizes of PostgreSQL."""

    def filters(self):
        return {"postgres_memory_mb": memory_mb, "postgres_tuning": tuning}
