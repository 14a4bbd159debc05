"""Pooling: MaxPool and AvgPool of one or two spatial axes.

Three ways, by what the instruction costs: one PorD over the window; two, over its rows and then its columns (or the other
way round), which is less work and avoids the dear combination of strides along both axes; and where a tile is a single
window, its elements folded row by row of execution units.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.instructions.pooling import LOWEST
from tpumlir_bm1684x.kernels.common import F32, Scratch, relu
from tpumlir_bm1684x.kernels.movement import FITTING
from tpumlir_bm1684x.kernels.pooled_windows import Pooling, abreast, averaged_counts, equal_runs, plan, pooling
from tpumlir_bm1684x.kernels.windows import Window, cut, every, pad_into, pairs, swept_bytes, swept_input
from tpumlir_core.ir import ElementType, Operation
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import BYTES, FLOATS, Kernel, KernelRegistry, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

SINGLE = 32  # a window of more elements than this is folded by rows of execution units where it stands alone
FEW_TERMS = 16  # of a window whose average is taken in 16 bits


class PoolKernel(Kernel):
    """What both kinds share. Subclasses give the instruction and what stands for the padding."""

    native = FLOATS
    alike = False
    """Whether results depend on the order in which a window's elements are taken: then that is the same in all tiles."""

    @abstractmethod
    def fill(self, element: ElementType) -> float:
        """What stands for an element outside the input."""

    @abstractmethod
    def pool(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, sweep: Sweep, elements: int) -> None:
        """One instruction; ``elements`` is by how many the whole window is divided here (1: not yet)."""

    @abstractmethod
    def fold(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor) -> None:
        """``out = out with x``, element by element."""

    @abstractmethod
    def finish(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        """Whatever the result needs at last, in place."""

    def supports(self, op: Any) -> str | None:
        if not 3 <= len(op.input.shape) <= 4:
            return f"{len(op.input.shape) - 2} spatial axes"
        if self._least_bytes(op) > FITTING * arch().lane_bytes:
            return f"a window of {' x '.join(map(str, op.kernel(op.input.shape[2:])[0]))} elements, more than local memory holds"
        return None

    def _least_bytes(self, op: Any) -> int:
        """Bytes a lane that one window takes."""
        p = pooling(op)
        out = Box((0, 0, p.y[2] // 2, p.y[3] // 2), (1, 1, 1, 1))
        needed = p.needed(out)
        element = op.output.type.element
        x, y = (LocalTensor.aligned(arch(), 0, box.size, element) for box in (needed, out))
        size = self.scratch(op, Tile((x,), (y,), (needed,), out))
        return size + sum(aligned_bytes(arch(), box.size, element) for box in (needed, out))

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        p = pooling(op)
        return Views((p.x,), (p.y,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        return [pooling(op).needed(out)]

    def scratch(self, op: Any, tile: Tile) -> int:
        p = pooling(op)
        rows, columns = p.windows(tile.out)
        n, c = tile.out.size[:2]
        element = op.output.type.element
        whole = aligned_bytes(arch(), (n, c, rows.extent, columns.extent), element)
        if self._alone(p, tile):
            return whole + aligned_bytes(arch(), (n, c, 2, abreast(element)), element)
        if p.strided:
            return whole + aligned_bytes(arch(), (n, c, tile.out.size[2], columns.extent), element)
        middle = plan(p, tile.out.size, rows, columns, element, self.alike)
        return swept_bytes(tile, p.needed(tile.out), rows, columns) + (aligned_bytes(arch(), middle[1], element) if middle else 0)

    def _alone(self, p: Pooling, tile: Tile) -> bool:
        """Whether a tile is one large window that holds at least one input."""
        rows, columns = p.windows(tile.out)
        inside = min(rows.extent - rows.before, rows.extent - rows.after, columns.extent - columns.before, columns.extent - columns.after)
        single = prod((p.y if self.alike else tile.out.size)[2:]) == 1
        return single and rows.size * columns.size > SINGLE and inside > 0

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p = pooling(op)
        rows, columns = p.windows(tile.out)
        if self._alone(p, tile):
            self._single(p, tile, e)
        elif p.strided:
            self._strided(p, tile, rows, columns, e)
        else:
            self._swept(p, tile, rows, columns, e)
        self.finish(op, tile, e)

    def _swept(self, p: Pooling, tile: Tile, rows: Window, columns: Window, e: Bm1684xEmitter) -> None:
        """One instruction over the window, or one over its rows and one over its columns."""
        needed = p.needed(tile.out)
        x, (up, down, left, right) = swept_input(tile, needed, rows, columns, self.fill(tile.results[0].element), e)
        (high, wide), (down_step, right_step) = (p.rows.kernel, p.columns.kernel), (p.rows.stride, p.columns.stride)
        over_rows = Sweep((high, 1), (down_step, 1), (up, down, 0, 0))
        over_columns = Sweep((1, wide), (1, right_step), (0, 0, left, right))
        middle = plan(p, tile.out.size, rows, columns, x.element, self.alike)
        if middle is None:
            whole = Sweep((high, wide), (down_step, right_step), (up, down, left, right))
            self._each(e, tile.results[0], x, whole, high * wide)
            return
        first, second = (over_rows, over_columns) if middle[0] else (over_columns, over_rows)
        n, c, h, w = x.shape
        shape = (n, c, tile.out.size[2], w) if middle[0] else (n, c, h, tile.out.size[3])
        between = LocalTensor.aligned(arch(), tile.scratch + swept_bytes(tile, needed, rows, columns), shape, x.element)
        self._each(e, between, x, first, 1)
        self._each(e, tile.results[0], between, second, high * wide)

    def _each(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, sweep: Sweep, elements: int) -> None:
        for target, source, _ in pairs(out, x):
            self.pool(e, target, source, sweep, elements)

    def _single(self, p: Pooling, tile: Tile, e: Bm1684xEmitter) -> None:
        """A single window of many elements: full rows of execution units are folded into one, and that to a single element."""
        elements = p.rows.kernel * p.columns.kernel
        s = Scratch(tile.scratch)
        wide = self._abreast(cut(tile, p.needed(tile.out)), s, e)
        n, c, h, w = wide.shape
        row = s.take((n, c, 1, w), wide.element)
        self._each(e, row, wide, Sweep((h, 1)), 1)
        self._each(e, tile.results[0], row, Sweep((1, w)), elements)

    def _abreast(self, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
        """The elements of each channel as rows of as many as there are execution units: in place where they fill rows, else a
        copy, filled up."""
        n, c, h, w = x.shape
        count, width = h * w, abreast(x.element)
        shape = (n, c, ceil_div(count, width), width)
        if count % width == 0 and x.is_aligned(arch()) and x.lane == 0:
            return LocalTensor.aligned(arch(), x.address, shape, x.element)
        out = s.take(shape, x.element)
        if count % width:
            tail = (n, c, 1, width - count % width)
            e.copy(out.part(arch(), Box((0, 0, shape[2] - 1, count % width), tail)), self.fill(x.element))
        e.copy(LocalTensor(out.address, x.shape, x.element, (out.strides[0], out.strides[1], w, 1)), x)
        return out

    def _strided(self, p: Pooling, tile: Tile, rows: Window, columns: Window, e: Bm1684xEmitter) -> None:
        """Strides that the instruction has not: rows, then columns, folded by element-wise instructions."""
        out = tile.results[0]
        x = pad_into(e, tile.scratch, cut(tile, p.needed(tile.out)), rows, columns, self.fill(out.element), out.lane)
        n, c, h, w = out.shape
        s = Scratch(tile.scratch + aligned_bytes(arch(), x.shape, x.element))
        between = s.take((n, c, h, x.shape[3]), x.element)
        self._fold_all(e, between, (every(x, (tap, 0), (p.rows.stride, 1), between.shape) for tap in range(p.rows.kernel)))
        self._fold_all(e, out, (every(between, (0, tap), (1, p.columns.stride), out.shape) for tap in range(p.columns.kernel)))
        self.scale(e, out, p.rows.kernel * p.columns.kernel)

    def _fold_all(self, e: Bm1684xEmitter, out: LocalTensor, parts: Iterator[LocalTensor]) -> None:
        e.copy(out, next(parts))
        for part in parts:
            self.fold(e, out, part)

    @abstractmethod
    def scale(self, e: Bm1684xEmitter, out: LocalTensor, elements: int) -> None:
        """Divide what was folded element by element by the number of elements of the window, where that is asked for."""


class MaxPoolKernel(PoolKernel):
    """MaxPool; of bytes too, whatever they stand for."""

    native = FLOATS | BYTES

    def takes(self, op: Any) -> bool:
        return super().takes(op) and (op.output.type.element.is_float or not op.do_relu)

    def fill(self, element: ElementType) -> float:
        return LOWEST[element]

    def pool(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, sweep: Sweep, elements: int) -> None:
        e.max_pool(out, x, sweep)

    def fold(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor) -> None:
        e.binary("max", out, out, x)

    def scale(self, e: Bm1684xEmitter, out: LocalTensor, elements: int) -> None:
        """A maximum is not divided."""

    def finish(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        relu(op, tile.results[0], e)


class AvgPoolKernel(PoolKernel):
    """AvgPool: sums divided by the size of the kernel, then what lies at the borders set right.

    In 16 bits sums are rounded term by term, so that only small windows are natively summed up.
    """

    alike = True

    def takes(self, op: Any) -> bool:
        p = pooling(op)
        return super().takes(op) and (op.output.type.element is F32 or p.rows.kernel * p.columns.kernel <= FEW_TERMS)

    def fill(self, element: ElementType) -> float:
        return 0.0

    def supports(self, op: Any) -> str | None:
        if op.count_include_pad and op.pad_value and any(sum(each) for each in op.padding(op.input.shape[2:])):
            return f"padding with {op.pad_value}"
        return super().supports(op)

    def pool(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, sweep: Sweep, elements: int) -> None:
        e.average_pool(out, x, sweep, 1.0 / elements)

    def fold(self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor) -> None:
        e.binary("add", out, out, x)

    def scale(self, e: Bm1684xEmitter, out: LocalTensor, elements: int) -> None:
        e.binary("mul", out, out, 1.0 / elements)

    def finish(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        out = tile.results[0]
        for axis, counts, kernel in averaged_counts(op):
            start = tile.out.start[axis]
            for begin, size, count in equal_runs(counts[start : start + out.shape[axis]]):
                if count != kernel:
                    part = out.part(arch(), Box.whole(out.shape).with_axis(axis, begin, size))
                    e.binary("mul", part, part, kernel / count)
        relu(op, out, e)


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.MaxPool", MaxPoolKernel())
    registry.add("tpu.AvgPool", AvgPoolKernel())
