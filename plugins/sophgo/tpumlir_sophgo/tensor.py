"""Tensors in memory: boxes (parts of a 4-D view), local tensors (in the lanes) and global tensors (in DDR)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arch import Arch, align, ceil_div

Shape4 = tuple[int, int, int, int]
N, C, H, W = 0, 1, 2, 3


@dataclass(frozen=True)
class Box:
    """A part of a 4-D (n, c, h, w) view: where it starts and how large it is, in elements."""

    start: Shape4
    size: Shape4

    @classmethod
    def whole(cls, shape: Shape4) -> Box:
        return cls((0, 0, 0, 0), shape)

    @property
    def stop(self) -> Shape4:
        s, z = self.start, self.size
        return (s[0] + z[0], s[1] + z[1], s[2] + z[2], s[3] + z[3])

    def with_axis(self, axis: int, start: int, size: int) -> Box:
        """The same box with another extent along one axis."""
        s, z = list(self.start), list(self.size)
        s[axis], z[axis] = start, size
        return Box((s[0], s[1], s[2], s[3]), (z[0], z[1], z[2], z[3]))

    def union(self, other: Box) -> Box:
        """The smallest box that holds both."""
        start = tuple(map(min, self.start, other.start))
        stop = tuple(map(max, self.stop, other.stop))
        return Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))  # type: ignore[arg-type]

    def contains(self, other: Box) -> bool:
        return all(a <= b for a, b in zip(self.start, other.start, strict=True)) and all(
            a >= b for a, b in zip(self.stop, other.stop, strict=True)
        )


@dataclass(frozen=True)
class LocalTensor:
    """A 4-D tensor in local memory: channel c lives in lane ``(lane + c) % lanes``.

    ``address`` is the byte offset inside a lane; ``strides`` are in elements: n, channel group (from one channel to the
    next one *in the same lane*), h, w.
    """

    address: int
    shape: Shape4
    element: ElementType
    strides: Shape4
    lane: int = 0

    @classmethod
    def aligned(cls, arch: Arch, address: int, shape: Shape4, element: ElementType, lane: int = 0) -> LocalTensor:
        """The standard layout: each channel's h*w block starts at a multiple of the EU width."""
        return cls(address, shape, element, aligned_strides(arch, shape, element, lane), lane)

    @classmethod
    def compact(cls, arch: Arch, address: int, shape: Shape4, element: ElementType, lane: int = 0) -> LocalTensor:
        """Channel groups directly one after the other (biases, slopes, filters)."""
        n, c, h, w = shape
        return cls(address, shape, element, (ceil_div(c + lane, arch.lanes) * h * w, h * w, w, 1), lane)

    def is_aligned(self, arch: Arch) -> bool:
        """Whether strides and address are those of the standard layout (strides of axes of size 1 do not matter)."""
        want = aligned_strides(arch, self.shape, self.element, self.lane)
        (n, c, h, w), strides = self.shape, self.strides
        if self.address % arch.eu_bytes or (w != 1 and strides[3] != want[3]) or (h != 1 and strides[2] != want[2]):
            return False
        return (strides[1] == want[1] or c + self.lane <= arch.lanes) and (n == 1 or strides[0] == want[0])

    @cached_property
    def span(self) -> int:
        """Bytes from ``address`` to the last byte used in any lane (for 64 lanes; an upper bound)."""
        groups = ceil_div(self.shape[1] + self.lane, 64)
        sizes = (self.shape[0], groups, self.shape[2], self.shape[3])
        last = sum((size - 1) * stride for size, stride in zip(sizes, self.strides, strict=True))
        return (last + 1) * self.element.bytes

    def part(self, arch: Arch, box: Box) -> LocalTensor:
        """The part ``box`` (relative to this tensor) in place: same strides, later address. The channel start may be any."""
        n, c, h, w = box.start
        lane = self.lane + c
        offset = n * self.strides[0] + lane // arch.lanes * self.strides[1] + h * self.strides[2] + w * self.strides[3]
        return LocalTensor(self.address + offset * self.element.bytes, box.size, self.element, self.strides, lane % arch.lanes)

    def reinterpret(self, element: ElementType) -> LocalTensor:
        """The same bytes read as another element type of the same size."""
        return replace(self, element=element)


def aligned_strides(arch: Arch, shape: Shape4, element: ElementType, lane: int = 0) -> Shape4:
    """Element strides of the standard layout."""
    _, c, h, w = shape
    channel = align(h * w, arch.eu_bytes // element.bytes)
    return (ceil_div(c + lane, arch.lanes) * channel, channel, w, 1)


def aligned_bytes(arch: Arch, shape: Shape4, element: ElementType) -> int:
    """Bytes a lane needs for a tensor in the standard layout, rounded up to the EU width."""
    n, c, h, w = shape
    return n * ceil_div(c, arch.lanes) * align(h * w * element.bytes, arch.eu_bytes)


@dataclass(frozen=True)
class GlobalTensor:
    """A 4-D tensor in global memory: byte address and element strides (n, c, h, w)."""

    address: int
    shape: Shape4
    element: ElementType
    strides: Shape4

    @classmethod
    def dense(cls, address: int, shape: Shape4, element: ElementType) -> GlobalTensor:
        _, c, h, w = shape
        return cls(address, shape, element, (c * h * w, h * w, w, 1))

    def part(self, box: Box) -> GlobalTensor:
        """The part ``box`` in place."""
        offset = sum(a * s for a, s in zip(box.start, self.strides, strict=True))
        return GlobalTensor(self.address + offset * self.element.bytes, box.size, self.element, self.strides)

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.element.bytes
