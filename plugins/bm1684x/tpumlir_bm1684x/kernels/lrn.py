"""Local response normalization across channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent
from tpumlir_bm1684x.kernels.common import F32, Scratch
from tpumlir_bm1684x.kernels.folding import slice_axis
from tpumlir_sophgo.kernel import KernelRegistry, Tile
from tpumlir_sophgo.tensor import LocalTensor, Shape4, aligned_bytes


class LrnKernel(AxisKernel):
    """x over (bias + alpha / size * the sum of squares over neighbouring channels) to the power beta.

    The power is taken by reciprocal square roots, which serves the multiples of a quarter up to 1.
    """

    def supports(self, op: Any) -> str | None:
        if op.beta not in (0.25, 0.5, 0.75, 1.0):
            return f"beta {op.beta} is no multiple of a quarter up to 1"
        return super().supports(op)

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, 1)

    def work_bytes(self, op: Any, shape: Shape4, axis: int) -> int:
        return 3 * aligned_bytes(arch(), shape, F32)

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        squares, sums, root = (s.take(x.shape) for _ in range(3))
        e.binary("mul", squares, x, x)
        _window_sums(e, sums, squares, axis, op.size)
        e.linear(sums, sums, op.alpha / op.size, op.bias)
        e.reciprocal_sqrt(root, sums)
        if op.beta == 0.5:
            e.binary("mul", outs[0], x, root)
            return
        if op.beta == 1.0:
            e.binary("mul", squares, x, root)
            e.binary("mul", outs[0], squares, root)
            return
        e.binary("mul", squares, sums, root)
        e.reciprocal_sqrt(sums, squares)
        if op.beta == 0.25:
            e.binary("mul", outs[0], x, sums)
            return
        e.binary("mul", squares, x, root)
        e.binary("mul", outs[0], squares, sums)


def _window_sums(e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, axis: int, size: int) -> None:
    """Sums over a window of ``size`` positions, (size - 1) // 2 of them before; nothing outside."""
    length = x.shape[axis]
    before = (size - 1) // 2
    e.copy(out, x)
    for shift in range(-before, size - before):
        count = length - abs(shift)
        if shift == 0 or count <= 0:
            continue
        target = slice_axis(out, axis, max(-shift, 0), count)
        e.binary("add", target, target, slice_axis(x, axis, max(shift, 0), count))


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.LRN", LrnKernel())
