"""Local response normalization across channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent
from tpumlir_bm1684x.kernels.common import F32, TABLE_BYTES, Scratch
from tpumlir_bm1684x.kernels.folding import slice_axis
from tpumlir_bm1684x.kernels.functions import exponential, logarithm
from tpumlir_sophgo.kernel import KernelRegistry, Tile
from tpumlir_sophgo.tensor import LocalTensor, Shape4, aligned_bytes


class LrnKernel(AxisKernel):
    """x over (bias + alpha / size * the sum of squares over neighbouring channels) to the power beta.

    The power is taken by reciprocal square roots where beta is a multiple of a quarter up to 1, else by logarithm and
    exponential.
    """

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, 1)

    def work_bytes(self, op: Any, shape: Shape4, axis: int) -> int:
        return 6 * aligned_bytes(arch(), shape, F32) + 2 * TABLE_BYTES

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        squares, sums, power = s.like(x, 3)
        e.binary("mul", squares, x, x)
        _window_sums(e, sums, squares, axis, op.size)
        e.linear(sums, sums, op.alpha / op.size, op.bias)
        if op.beta in (0.25, 0.5, 0.75, 1.0):
            power = _inverse_power(e, int(4 * op.beta), sums, power, squares)
        else:
            logarithm(power, sums, -op.beta, s, e)
            exponential(power, power, squares, sums, s, e)
        e.binary("mul", outs[0], x, power)


def _inverse_power(e: Bm1684xEmitter, quarters: int, x: LocalTensor, a: LocalTensor, b: LocalTensor) -> LocalTensor:
    """The buffer that then holds x to the power -quarters / 4; all are lost."""
    e.reciprocal_sqrt(a, x)
    if quarters == 2:
        return a
    if quarters == 4:
        e.binary("mul", b, a, a)
        return b
    e.binary("mul", b, x, a)
    e.reciprocal_sqrt(b, b)
    if quarters == 1:
        return b
    e.binary("mul", x, a, b)
    return x


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
