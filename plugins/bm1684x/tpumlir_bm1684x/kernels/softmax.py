"""Softmax and its logarithm along one axis.

Usually a row lies in one lane (``AlongAxis``). Few long rows are spread over the lanes (``AcrossLanes``), and their statistics
folded across them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent, factors
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, TABLE_BYTES, Scratch, spread
from tpumlir_bm1684x.kernels.estimate import MAX_SIZE, lane_factor, pass_cycles, transfer_cycles
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes, slice_axis, with_size
from tpumlir_bm1684x.kernels.functions import exponential, logarithm, reciprocal
from tpumlir_core.ir import Operation
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, Tile, Views
from tpumlir_sophgo.tensor import C, H, LocalTensor, Shape4, W, aligned_bytes

_PIECE = 4096  # elements of a row taken through the exponential at a time
_PASSES = 12  # times that softmax goes over its operand, about
_CROSSING = 2000  # cycles that spreading rows over the lanes must save: it folds across them, and may cost a pass through memory


@dataclass(frozen=True)
class Shapes:
    """Shapes of a call: the tile, its pieces along the axis (w or h), its statistics. ``across``: rows go on along the lanes."""

    whole: Shape4
    axis: int
    across: bool = False

    @property
    def statistic(self) -> Shape4:
        shape = with_size(self.whole, self.axis, 1)
        return with_size(shape, C, 1) if self.across else shape

    @property
    def step(self) -> int:
        """Positions of the axis in a piece."""
        row = self.whole[3] if self.axis == H else 1
        return min(self.whole[self.axis], max(_PIECE // row, 1))

    @property
    def piece(self) -> Shape4:
        return with_size(self.whole, self.axis, self.step)

    @property
    def pieces(self) -> int:
        return ceil_div(self.whole[self.axis], self.step)

    @property
    def work_bytes(self) -> int:
        """Scratch bytes a lane that ``softmax`` takes."""
        statistic = aligned_bytes(arch(), self.statistic, F32)
        powers = 3 * aligned_bytes(arch(), self.piece, F32) + TABLE_BYTES
        folds = fold_bytes(self.whole, self.statistic)
        kept = aligned_bytes(arch(), self.whole, F32) if self.pieces == 1 else 0
        lasting, passing = (3, 4) if self.across else (2, 3)
        return lasting * statistic + max(powers, kept + max(folds, passing * statistic + TABLE_BYTES))


def softmax(op: Any, out: LocalTensor, x: LocalTensor, shapes: Shapes, s: Scratch, e: Bm1684xEmitter) -> None:
    """exp(beta * x) over its sum, the maximum subtracted first; or the logarithm of that."""
    channels = x.shape[1] if shapes.across else 1
    top, total = s.take(shapes.statistic), s.take(shapes.statistic)
    fold(e, "max", top, x, s.fork())
    greatest = spread(top, channels, s, e)
    powers = _powers(op.beta, out, x, greatest, shapes, s, e)
    fold(e, "add", total, powers, s.fork())
    later = s.fork()
    if not op.log:
        reciprocal(top, total, later.take(shapes.statistic), later.take(shapes.statistic), e)
        e.binary("mul", out, powers, spread(top, channels, later, e))
        return
    e.binary("sub", powers, x, greatest)
    if op.beta != 1:
        e.binary("mul", powers, powers, op.beta)
    logarithm(top, total, 1.0, later, e)
    e.binary("sub", out, powers, spread(top, channels, later, e))


def _powers(
    beta: float, out: LocalTensor, x: LocalTensor, top: LocalTensor, shapes: Shapes, s: Scratch, e: Bm1684xEmitter
) -> LocalTensor:
    """exp(beta * (x - top)): in scratch memory where it is one piece, else in ``out``."""
    if shapes.pieces == 1:
        powers = s.take(shapes.whole)
        later = s.fork()
        e.binary("sub", powers, x, top)
        exponential(powers, powers, later.take(shapes.whole), later.take(shapes.whole), later, e, beta)
        return powers
    for start in range(0, shapes.whole[shapes.axis], shapes.step):
        size = min(shapes.step, shapes.whole[shapes.axis] - start)
        later, shape = s.fork(), with_size(shapes.whole, shapes.axis, size)
        piece, a, b = (later.take(shape) for _ in range(3))
        e.binary("sub", piece, slice_axis(x, shapes.axis, start, size), top)
        exponential(piece, piece, a, b, later, e, beta)
        e.copy(slice_axis(out, shapes.axis, start, size), piece)
    return out


class AlongAxis(AxisKernel):
    """A row in a lane."""

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, op.axis)

    def work_bytes(self, op: Operation, shape: Shape4, axis: int) -> int:
        return Shapes(shape, axis).work_bytes

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        softmax(op, outs[0], x, Shapes(x.shape, axis), s, e)


class AcrossLanes(Kernel):
    """A row spread over lanes: (outer, d, 1, axis / d), or, where it is not the last axis, (outer, d, axis / d, inner)."""

    def supports(self, op: Any) -> str | None:
        extent = Extent.of(op.input.shape, op.axis)
        view = self.view(extent)
        tile = with_size(with_size(view, 0, 1), W, view[3] if extent.inner == 1 else 1)
        if 2 * aligned_bytes(arch(), tile, F32) + self._shapes(op, tile).work_bytes > arch().lane_bytes:
            return f"{extent.axis} elements along its axis are too many for local memory"
        return None

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        view = self.view_of(op)
        return Views((view,), (view,))

    def view_of(self, op: Any) -> Shape4:
        """How an operation's rows lie in the lanes."""
        return self.view(Extent.of(op.input.shape, op.axis))

    @staticmethod
    def view(extent: Extent) -> Shape4:
        """How the rows lie in the lanes."""
        lanes = lane_factor(extent.axis, _PASSES, extent.inner)
        rest = extent.axis // lanes
        return (extent.outer, lanes, 1, rest) if extent.inner == 1 else (extent.outer, lanes, rest, extent.inner)

    def splits(self, op: Any, views: Views) -> str:
        return "n" if Extent.of(op.input.shape, op.axis).inner == 1 else "nw"

    def scratch(self, op: Any, tile: Tile) -> int:
        return self._shapes(op, tile.results[0].shape).work_bytes

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out = tile.operands[0], tile.results[0]
        assert x is not None
        softmax(op, out, x, self._shapes(op, out.shape), Scratch(tile.scratch), e)

    @staticmethod
    def _shapes(op: Any, shape: Shape4) -> Shapes:
        return Shapes(shape, W if Extent.of(op.input.shape, op.axis).inner == 1 else H, across=True)


class SoftmaxKernel(ChoiceKernel):
    """Softmax: rows in the lanes; few long ones across the lanes."""

    def __init__(self) -> None:
        self._along, self._across = AlongAxis(), AcrossLanes()

    def choose(self, op: Any) -> Kernel:
        if self._along.supports(op) is not None:
            return self._across
        if self._across.supports(op) is not None:
            return self._along
        extent = Extent.of(op.input.shape, op.axis)
        if extent.inner != 1:
            return self._along
        n, c = factors(extent.outer, MAX_SIZE)
        along, across = (n, c, 1, extent.axis), self._across.view(extent)
        saved = _PASSES * (pass_cycles(along) - pass_cycles(across)) + 2 * (transfer_cycles(along) - transfer_cycles(across))
        return self._across if saved > _CROSSING else self._along

    def supports(self, op: Any) -> str | None:
        if op.beta <= 0:
            return f"beta {op.beta} is not positive"
        reason = self._along.supports(op)
        return self._across.supports(op) if reason is not None and op.input.shape else reason


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.Softmax", SoftmaxKernel())
