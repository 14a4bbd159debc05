"""Pooling operations: the windows they slide, how many elements each averages, and in how many instructions they cost least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.instructions.convolution import LIMIT
from tpumlir_bm1684x.kernels.filters import pair, spatial
from tpumlir_bm1684x.kernels.windows import Axis, Pair, Window, effective, window_box
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.tensor import Box, Shape4


@dataclass(frozen=True)
class Pooling:
    """A pooling operation in two spatial axes."""

    x: Shape4
    y: Shape4
    rows: Axis
    columns: Axis

    def windows(self, out: Box) -> tuple[Window, Window]:
        return self.rows.window(out.start[2], out.size[2]), self.columns.window(out.start[3], out.size[3])

    def needed(self, out: Box) -> Box:
        """The input box that ``out`` is computed from."""
        return window_box(*self.windows(out), (out.start[0], out.size[0]), (out.start[1], out.size[1]))

    @property
    def strided(self) -> bool:
        """Whether a stride is too long for the instruction."""
        return max(self.rows.stride, self.columns.stride) > LIMIT


def pooling(op: Any) -> Pooling:
    """The pooling that an operation of one or two spatial axes asks for."""
    extents = op.input.shape[2:]
    kernel, strides = op.kernel(extents)
    x = spatial(op.input.shape)
    begins = [begin for begin, _ in op.padding(extents)]
    y = spatial((*x[:2], *op.extents(extents)))
    axes = zip(x[2:], pair(kernel, 1), effective(pair(strides, 1), y[2:]), pair(begins, 0), strict=True)
    rows, columns = (Axis(size, taps, stride, 1, begin) for size, taps, stride, begin in axes)
    return Pooling(x, y, rows, columns)


def averaged_counts(op: Any) -> list[tuple[int, list[int], int]]:
    """For rows and columns of the result: (axis, how many elements each window averages along it, the kernel's extent)."""
    p = pooling(op)
    pads = pair([end for _, end in op.padding(op.input.shape[2:])], 0)
    found = []
    for axis, a, end, count in zip((2, 3), (p.rows, p.columns), pads, p.y[2:], strict=True):
        low, high = (-a.pad, a.size + end) if op.count_include_pad else (0, a.size)
        starts = [i * a.stride - a.pad for i in range(count)]
        found.append((axis, [min(s + a.kernel, high) - max(s, low) for s in starts], a.kernel))
    return found


def equal_runs(values: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal values: (start, length, value)."""
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            yield start, i - start, values[start]
            start = i


def abreast(element: ElementType) -> int:
    """Elements in a row of execution units."""
    return arch().eu_bytes // element.bytes


def plan(
    p: Pooling, out: Shape4, rows: Window, columns: Window, element: ElementType, alike: bool
) -> tuple[bool, Shape4] | None:
    """None: one instruction. Else (whether rows come first, the largest shape of what lies between). By what costs least for a tile; where
    all have to be done ``alike``, since sums depend on their order, for the whole result."""
    n, c, h, w = out
    if 1 in (p.rows.kernel, p.columns.kernel):
        return None
    found = _order(p, p.y, *p.windows(Box.whole(p.y)), element) if alike else _order(p, out, rows, columns, element)
    if found is None:
        return None
    # What lies behind the last window may come along, up to the next window's start.
    return (True, (n, c, h, columns.extent + p.columns.stride)) if found else (False, (n, c, rows.extent + p.rows.stride, w))


def _order(p: Pooling, out: Shape4, rows: Window, columns: Window, element: ElementType) -> bool | None:
    """Whether to take rows first or columns; None: both at once."""
    (high, wide), (down, right), (h, w) = (p.rows.kernel, p.columns.kernel), (p.rows.stride, p.columns.stride), out[2:]
    down_first = _cycles((high, 1), (down, 1), (h, columns.extent), element) + _cycles((1, wide), (1, right), (h, w), element)
    right_first = _cycles((1, wide), (1, right), (rows.extent, w), element) + _cycles((high, 1), (down, 1), (h, w), element)
    at_once = _cycles((high, wide), (down, right), (h, w), element)
    return None if at_once <= min(down_first, right_first) else down_first <= right_first


def _cycles(kernel: Pair, stride: Pair, out: Pair, element: ElementType) -> int:
    """Cycles of a PorD for each batch and group of lanes (tpu-mlir 1.30.2's estimate)."""
    elements = abreast(element)
    steps = out[0] * ceil_div(out[1], elements) if kernel[0] == 1 else align(out[0] * out[1], elements) // elements
    return kernel[0] * kernel[1] * steps * (3 if min(stride) > 1 else 1)
