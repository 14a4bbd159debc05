"""Index of the greatest or least element along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent
from tpumlir_bm1684x.kernels.common import F32, Scratch, every_lane
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes, with_size
from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.kernel import KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


class ArgKernel(AxisKernel):
    """ArgMax and ArgMin: the elements equal to the extreme are marked, and the greatest of the marked ranks taken.

    Ranks are the indices plus one, or, where the first of equals is wanted, counted from the end. The result is a float.
    """

    keeps_axis = False

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, op.axis)

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        axis = self.extent(op).axis
        ranks = np.zeros(self.fixed_bytes(op) // F32.bytes, np.float32)
        ranks[:axis] = np.arange(1, axis + 1) if op.select_last_index else np.arange(axis, 0, -1)
        return ranks.view(np.uint8).reshape(1, -1)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return self.fixed_bytes(op)

    def fixed_bytes(self, op: Any) -> int:
        return align(self.extent(op).axis * F32.bytes, arch().eu_bytes)

    def work_bytes(self, op: Operation, shape: Shape4, axis: int) -> int:
        statistic = with_size(shape, axis, 1)
        marks = aligned_bytes(arch(), shape, F32)
        return self.fixed_bytes(op) + aligned_bytes(arch(), statistic, F32) + 2 * marks + fold_bytes(shape, statistic)

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        ranks = self._ranks(x.shape, axis, tile, s, e)
        extreme = outs[1] if len(outs) > 1 else s.take(outs[0].shape)
        fold(e, "max" if op.mode == "ArgMax" else "min", extreme, x, s.fork())
        marks, ranked = s.take(x.shape), s.take(x.shape)
        e.select("eq", marks, x, extreme, 1.0)
        e.binary("mul", ranked, marks, ranks)
        fold(e, "max", outs[0], ranked, s.fork())
        if op.select_last_index:
            e.linear(outs[0], outs[0], 1.0, -1.0)
        else:
            e.linear(outs[0], outs[0], -1.0, float(x.shape[axis]))

    @staticmethod
    def _ranks(shape: Shape4, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
        row = with_size((1, min(arch().lanes, shape[1]), 1, 1), axis, shape[axis])
        wide = s.take(row)
        e.lane_broadcast(wide, LocalTensor.aligned(arch(), tile.constants, with_size(row, 1, 1), F32))
        return every_lane(wide, shape[1])


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.Arg", ArgKernel())
