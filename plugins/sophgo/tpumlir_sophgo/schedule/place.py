"""Local memory over time: which bytes of a lane are whose, from which step to which."""

from __future__ import annotations

import numpy as np

from tpumlir_sophgo.arch import align


class Placement:
    """Rectangles (bytes x steps) in a lane. ``find`` looks for a hole, ``take`` claims it.

    Rectangles that ended before the window of interest are dropped by ``forget``, so that work stays linear.
    """

    def __init__(self, capacity: int, unit: int) -> None:
        self.capacity = capacity
        self.unit = unit
        self._rows = np.zeros((256, 4), np.int64)  # start, stop, first, last
        self._count = 0

    def find(self, size: int, first: int, last: int, top: bool = False) -> int | None:
        """The lowest (``top``: highest) address where ``size`` bytes are free from step ``first`` to ``last``, or None."""
        size = align(max(size, 1), self.unit)
        rows = self._rows[: self._count]
        live = rows[(rows[:, 2] <= last) & (rows[:, 3] >= first)]
        order = np.argsort(live[:, 0], kind="stable")
        starts = live[order, 0]
        stops = np.maximum.accumulate(live[order, 1])
        low = np.concatenate(([0], stops))
        high = np.concatenate((starts, [self.capacity]))
        fits = np.flatnonzero(high - low >= size)
        if not len(fits):
            return None
        if top:
            return int((high[fits[-1]] - size) // self.unit * self.unit)
        return int(low[fits[0]])

    def take(self, address: int, size: int, first: int, last: int) -> None:
        """Claim a rectangle."""
        if self._count == len(self._rows):
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
        self._rows[self._count] = (address, address + align(max(size, 1), self.unit), first, last)
        self._count += 1

    def forget(self, before: int) -> None:
        """Drop what ended before step ``before``."""
        rows = self._rows[: self._count]
        kept = rows[rows[:, 3] >= before]
        self._rows[: len(kept)] = kept
        self._count = len(kept)

    def mark(self) -> int:
        """A point to come back to with ``undo``."""
        return self._count

    def undo(self, mark: int) -> None:
        self._count = mark
