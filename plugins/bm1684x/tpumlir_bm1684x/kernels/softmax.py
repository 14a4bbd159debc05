"""Softmax and its logarithm along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent
from tpumlir_bm1684x.kernels.common import F32, TABLE_BYTES, Scratch
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes, slice_axis, with_size
from tpumlir_bm1684x.kernels.functions import exponential, logarithm, reciprocal
from tpumlir_core.ir import Operation
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import KernelRegistry, Tile
from tpumlir_sophgo.tensor import LocalTensor, Shape4, aligned_bytes

_PIECE = 4096  # elements of a row taken through the exponential at a time


@dataclass(frozen=True)
class _Shapes:
    """Shapes of a call: the tile, its pieces along the axis, its statistics."""

    whole: Shape4
    axis: int

    @property
    def statistic(self) -> Shape4:
        return with_size(self.whole, self.axis, 1)

    @property
    def step(self) -> int:
        """Positions of the axis in a piece."""
        row = self.whole[3] if self.axis == 2 else 1
        return min(self.whole[self.axis], max(_PIECE // row, 1))

    @property
    def piece(self) -> Shape4:
        return with_size(self.whole, self.axis, self.step)

    @property
    def pieces(self) -> int:
        return ceil_div(self.whole[self.axis], self.step)


class SoftmaxKernel(AxisKernel):
    """exp(beta * x) over its sum along an axis, the maximum subtracted first; or the logarithm of that."""

    def supports(self, op: Any) -> str | None:
        if op.beta <= 0:
            return f"beta {op.beta} is not positive"
        return super().supports(op)

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, op.axis)

    def work_bytes(self, op: Operation, shape: Shape4, axis: int) -> int:
        shapes = _Shapes(shape, axis)
        statistic = aligned_bytes(arch(), shapes.statistic, F32)
        powers = 3 * aligned_bytes(arch(), shapes.piece, F32) + TABLE_BYTES
        folds = fold_bytes(shape, shapes.statistic)
        kept = aligned_bytes(arch(), shape, F32) if shapes.pieces == 1 else 0
        return 2 * statistic + max(powers, kept + max(folds, 3 * statistic + TABLE_BYTES))

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        out = outs[0]
        shapes = _Shapes(x.shape, axis)
        top, total = s.take(shapes.statistic), s.take(shapes.statistic)
        fold(e, "max", top, x, s.fork())
        powers = self._powers(op.beta, out, x, top, shapes, s, e)
        fold(e, "add", total, powers, s.fork())
        later = s.fork()
        if not op.log:
            reciprocal(top, total, later.take(shapes.statistic), later.take(shapes.statistic), e)
            e.binary("mul", out, powers, top)
            return
        e.binary("sub", powers, x, top)
        if op.beta != 1:
            e.binary("mul", powers, powers, op.beta)
        logarithm(top, total, 1.0, later, e)
        e.binary("sub", out, powers, top)

    @staticmethod
    def _powers(
        beta: float, out: LocalTensor, x: LocalTensor, top: LocalTensor, shapes: _Shapes, s: Scratch, e: Bm1684xEmitter
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


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.Softmax", SoftmaxKernel())
