"""The timeline of two engines that run in order and wait for each other's commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.errors import InternalError


@dataclass(frozen=True)
class Timeline:
    """Start and end of every command of both engines (TIU first), in cycles; ``total`` is the end of the last one."""

    start: tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]
    end: tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]
    total: int


def simulate(cycles: Sequence[Sequence[int]], waits: Sequence[Sequence[int]], begin: int = 0) -> Timeline:
    """Run two streams. ``cycles[e][i]`` is the cost of command i (id i + 1) of engine e; ``waits[e][i]`` the id of the other
    engine's command that has to end first (0: none). Raises InternalError where the streams wait for each other."""
    counts = [len(cycles[0]), len(cycles[1])]
    starts = [np.zeros(n, np.int64) for n in counts]
    ends = [np.zeros(n, np.int64) for n in counts]
    done, clock = [0, 0], [begin, begin]
    while done[0] < counts[0] or done[1] < counts[1]:
        moved = False
        for engine in (0, 1):
            other = 1 - engine
            while done[engine] < counts[engine]:
                at = done[engine]
                awaited = waits[engine][at]
                if awaited > done[other]:
                    break
                ready = int(ends[other][awaited - 1]) if awaited else begin
                starts[engine][at] = max(clock[engine], ready)
                clock[engine] = ends[engine][at] = int(starts[engine][at]) + cycles[engine][at]
                done[engine] += 1
                moved = True
        if not moved:
            raise InternalError(f"the engines wait for each other at commands {done[0] + 1} and {done[1] + 1}")
    return Timeline((starts[0], starts[1]), (ends[0], ends[1]), max(clock))
