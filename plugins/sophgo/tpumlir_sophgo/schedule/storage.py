"""Global memory: the constants' pool, the addresses of values that cross groups, inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_sophgo.arch import align

_OPEN = 8  # blocks of rows between which there may be room


@dataclass
class ConstantPool:
    """Bytes that are loaded with the network; equal blobs are stored once. Offsets are from the pool's start.

    ``image`` has the blobs, each from a multiple of ``unit`` on. It grows with them, so that no blob has to be kept beside it.
    """

    unit: int = 256
    image: bytearray = field(default_factory=bytearray)
    _known: dict[bytes, int] = field(default_factory=dict)
    _blocks: dict[int, list[_Block]] = field(default_factory=dict)

    def add(self, data: np.ndarray[Any, np.dtype[Any]]) -> int:
        """The offset of ``data`` in the pool."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        key = _digest(raw)
        offset = self._known.get(key)
        if offset is None:
            offset = self._known[key] = len(self.image)
            self.image += raw.data
            self.image += bytes(-len(raw) % self.unit)
        return offset

    def add_rows(self, rows: np.ndarray[Any, np.dtype[np.uint8]], stride: int) -> int:
        """The offset of the first of some rows, of which each next one lies ``stride`` bytes on; those of others lie between them."""
        if stride == rows.shape[1]:
            return self.add(rows)
        key = _digest(np.ascontiguousarray(rows).reshape(-1)) + stride.to_bytes(8, "little")
        if key not in self._known:
            self._known[key] = self._between(rows, stride)
        return self._known[key]

    def _between(self, rows: np.ndarray[Any, np.dtype[np.uint8]], stride: int) -> int:
        count, length = rows.shape
        blocks = self._blocks.setdefault(stride, [])
        block = next((b for b in blocks if b.rows >= count and b.used + length <= stride), None)
        if block is None:
            block = _Block(len(self.image), count)
            blocks.append(block)
            del blocks[:-_OPEN]
            self.image += bytes(count * stride)
        at = block.start + block.used
        for index, row in enumerate(rows):
            self.image[at + index * stride : at + index * stride + length] = row.tobytes()
        block.used += length
        return at


@dataclass
class _Block:
    """Rows between which there may be room for others."""

    start: int
    rows: int
    used: int = 0


def _digest(raw: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    import hashlib

    return hashlib.blake2b(raw.data, digest_size=20).digest() + len(raw).to_bytes(8, "little")


@dataclass
class Region:
    """A buffer of global memory in use from group ``first`` to group ``last``."""

    bytes: int
    first: int
    last: int
    address: int = -1


def assign(regions: list[Region], base: int, unit: int) -> int:
    """Give every region an address from ``base`` on, reusing what is dead; gives the bytes used. Linear in practice:
    a free list with first fit, regions in order of their first use."""
    free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
    ends: dict[int, list[tuple[int, int]]] = {}
    top = 0
    done = 0
    for region in sorted(regions, key=lambda r: (r.first, -r.bytes)):
        for moment in [m for m in ends if m < region.first] if region.first > done else []:
            for block in ends.pop(moment):
                _release(free, block)
        done = max(done, region.first)
        size = align(max(region.bytes, 1), unit)
        slot = next((i for i, (_, room) in enumerate(free) if room >= size), None)
        if slot is None:
            offset, top = top, top + size
        else:
            offset, room = free[slot]
            if room == size:
                del free[slot]
            else:
                free[slot] = (offset + size, room - size)
        region.address = base + offset
        ends.setdefault(region.last, []).append((offset, size))
    return top


def _release(free: list[tuple[int, int]], block: tuple[int, int]) -> None:
    import bisect

    at = bisect.bisect(free, block)
    free.insert(at, block)
    if at + 1 < len(free) and free[at][0] + free[at][1] == free[at + 1][0]:
        free[at] = (free[at][0], free[at][1] + free[at + 1][1])
        del free[at + 1]
    if at and free[at - 1][0] + free[at - 1][1] == free[at][0]:
        free[at - 1] = (free[at - 1][0], free[at - 1][1] + free[at][1])
        del free[at]
