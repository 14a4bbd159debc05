"""Kernels that work along one run of axes and keep the shape (softmax, normalizations): how the run is laid out.

The tensor is (outer, axis, inner). In the ``row`` layout (inner is 1) the axis is w. Else it is c, and the tile is transposed
so that it is w (``channel``), or, where inner is too small to fill the lanes, it is h (``column``). The layout depends on
the operation alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import F32, Scratch
from tpumlir_bm1684x.kernels.estimate import MAX_SIZE, pass_cycles, transfer_cycles
from tpumlir_bm1684x.kernels.folding import rows_of, with_size
from tpumlir_core.ir import Operation
from tpumlir_sophgo.kernel import Kernel, Tile, Views
from tpumlir_sophgo.tensor import Box, C, H, LocalTensor, Shape4, W, aligned_bytes

_PASSES = 12  # times that a kernel goes over its operand, about


class Layout(Enum):
    """Where the axis lies in the 4-D view."""

    ROW = "row"
    CHANNEL = "channel"
    COLUMN = "column"


@dataclass(frozen=True)
class Extent:
    """A tensor as (outer, axis, inner)."""

    outer: int
    axis: int
    inner: int

    @classmethod
    def of(cls, shape: Sequence[int], first: int, count: int = 1) -> Extent:
        """The run of ``count`` axes from ``first`` on."""
        first %= max(len(shape), 1)
        return cls(prod(shape[:first]), prod(shape[first : first + count]), prod(shape[first + count :]))

    @property
    def layout(self) -> Layout:
        """The layout with the fewest cycles."""
        if self.inner == 1:
            return Layout.ROW
        channel: Shape4 = (self.outer, self.axis, 1, self.inner)
        turned: Shape4 = (self.outer, self.inner, 1, self.axis)
        column: Shape4 = (1, self.outer, self.axis, self.inner)
        channel_cycles = _PASSES * pass_cycles(turned) + 2 * transfer_cycles(channel)
        column_cycles = _PASSES * pass_cycles(column) + 2 * transfer_cycles(column)
        fits = self.outer <= MAX_SIZE and self.axis <= MAX_SIZE
        return Layout.CHANNEL if fits and channel_cycles <= column_cycles else Layout.COLUMN


def factors(size: int, limit: int) -> tuple[int, int]:
    """``size`` as a product (a, b) with the largest b of at most ``limit``."""
    b = next(d for d in range(min(size, limit), 0, -1) if size % d == 0)
    return size // b, b


class AxisKernel(Kernel):
    """Base of kernels along one run of axes. Subclasses say the ``extent``, what scratch ``compute`` needs, and compute."""

    keeps_axis = True  # whether results have the operand's shape; else size 1 along the axis

    @abstractmethod
    def extent(self, op: Any) -> Extent:
        """The run of axes an operation works along."""

    @abstractmethod
    def work_bytes(self, op: Any, shape: Shape4, axis: int) -> int:
        """Scratch bytes a lane that ``compute`` takes for tensors of ``shape``."""

    def fixed_bytes(self, op: Any) -> int:
        """Bytes a lane of the constants, whatever the tile."""
        return 0

    @abstractmethod
    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        """Emit the results from ``x`` along ``axis`` (w or h). Results are in the standard layout and have x's shape, or,
        where not ``keeps_axis``, size 1 along the axis."""

    def supports(self, op: Operation) -> str | None:
        if not op.input.shape:
            return "a scalar has no axis"
        if self._smallest_tile(op) > arch().lane_bytes:
            return f"{self.extent(op).axis} elements along its axis are too many for local memory"
        return None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        extent = self.extent(op)
        view = own = self._own_view(extent)
        if known and known[0] is not None and self._accepts(extent, known[0], own):
            view = known[0]
        result = view if self.keeps_axis else with_size(view, self._view_axis(extent), 1)
        return Views((view, *(None for _ in op.operands[1:])), (result,) * len(op.results))

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        extent = self.extent(op)
        return [out.with_axis(self._view_axis(extent), 0, extent.axis), *(None for _ in op.operands[1:])]

    def splits(self, op: Operation, views: Views) -> str:
        return {Layout.ROW: "nch", Layout.CHANNEL: "nhw", Layout.COLUMN: "cw"}[self.extent(op).layout]

    def scratch(self, op: Operation, tile: Tile) -> int:
        x = tile.operands[0]
        assert x is not None
        if self.extent(op).layout is not Layout.CHANNEL:
            return self.work_bytes(op, x.shape, self._inner_axis(op))
        n, c, h, w = x.shape
        turned = (n, h * w, 1, c)
        copied = 0 if x.is_aligned(arch()) and x.lane == 0 else aligned_bytes(arch(), x.shape, F32)
        result = turned if self.keeps_axis else with_size(turned, W, 1)
        turns = aligned_bytes(arch(), turned, F32) + len(op.results) * aligned_bytes(arch(), result, F32)
        return copied + turns + self.work_bytes(op, turned, W)

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        x = tile.operands[0]
        assert x is not None
        s = Scratch(tile.scratch)
        if self.extent(op).layout is not Layout.CHANNEL:
            self.compute(op, tile.results, x, self._inner_axis(op), tile, s, e)
            return
        if not (x.is_aligned(arch()) and x.lane == 0):
            e.copy(source := s.take(x.shape), x)
            x = source
        outs = [rows_of(out) for out in tile.results]
        n, _, h, w = x.shape
        turned = s.take((n, h * w, 1, x.shape[1]))
        results = [s.take((n, h * w, 1, out.shape[1])) for out in outs]
        e.transpose(turned, rows_of(x))
        self.compute(op, results, turned, W, tile, s, e)
        for out, result in zip(outs, results, strict=True):
            e.transpose(out, result)

    def _inner_axis(self, op: Operation) -> int:
        return H if self.extent(op).layout is Layout.COLUMN else W

    @staticmethod
    def _view_axis(extent: Extent) -> int:
        return {Layout.ROW: W, Layout.CHANNEL: C, Layout.COLUMN: H}[extent.layout]

    def _own_view(self, extent: Extent) -> Shape4:
        if extent.layout is Layout.CHANNEL:
            h, w = factors(extent.inner, MAX_SIZE)
            return (extent.outer, extent.axis, h, w)
        n, c = factors(extent.outer, MAX_SIZE)
        if extent.layout is Layout.COLUMN:
            return (n, c, extent.axis, extent.inner)
        return (n, c, 1, extent.axis)

    def _accepts(self, extent: Extent, view: Shape4, own: Shape4) -> bool:
        """Whether the operand's view has the axis where this layout wants it, at less cost than going through memory."""
        n, c, h, w = view
        if prod(view) != prod(own):
            return False
        if extent.layout is Layout.CHANNEL:
            return n == extent.outer and c == extent.axis
        if extent.layout is Layout.COLUMN:
            return n * c == extent.outer and h == extent.axis and w == extent.inner
        return w == extent.axis and _PASSES * (pass_cycles(view) - pass_cycles(own)) <= 2 * transfer_cycles(view)

    def _smallest_tile(self, op: Operation) -> int:
        extent = self.extent(op)
        if extent.layout is Layout.ROW:
            shape: Shape4 = (1, 1, 1, extent.axis)
        elif extent.layout is Layout.COLUMN:
            shape = (1, 1, extent.axis, 1)
        else:
            shape = (1, extent.axis, 1, 1)
        x = LocalTensor.aligned(arch(), 0, shape, F32)
        loose = replace(x, lane=1) if extent.layout is Layout.CHANNEL else x
        box = Box.whole(shape)
        tile = Tile((loose,), (x,) * len(op.results), (box,), box)
        return self.fixed_bytes(op) + 2 * aligned_bytes(arch(), shape, F32) + self.scratch(op, tile)

