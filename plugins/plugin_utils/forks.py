# MIT License (see LICENSE)
"""Work that only computes, on all processors."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable


def in_forks(work: Callable[[list], object], items: list, processes: int | None = None) -> list:
    """What work returns for each part of the items, one part for each processor, in order.

    All parts but the first are worked on in forks of this process, which inherit all that it has and hand back nothing
    but the result. A part whose fork fails is worked on here, so that an error is raised where it is understood.
    """
    count = max(1, min(processes or os.cpu_count() or 1, len(items)))
    first, *others = (items[start::count] for start in range(count))
    forked = [(part, *fork(work, part)) for part in others]
    results = [work(first)]
    for part, child, reader in forked:
        with open(reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        results.append(pickle.loads(data) if data else work(part))
    return results


def fork(work: Callable[[list], object], part: list) -> tuple[int, int]:
    """The process that works on a part, and where its pickled result can be read; nothing when it fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        data = pickle.dumps(work(part))
        with open(writer, "wb") as pipe:
            pipe.write(data)
    finally:
        # Nothing that belongs to the parent may be ended here, and no error may be shown twice.
        os._exit(0)
