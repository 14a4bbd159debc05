"""Normalization along one run of axes: LayerNorm, RMSNorm, PixelNorm, Normalize."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.axis import AxisKernel, Extent
from tpumlir_bm1684x.kernels.common import F32, Scratch, every_lane, is_weight
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes, with_size
from tpumlir_core.ir import Array, Operation, WeightStore, top
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.kernel import KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


class NormalizationKernel(AxisKernel):
    """Base: x, less its mean where ``centred``, over the root of the sum of squares; then times a weight plus a bias.

    Weight and bias vary along the axis only. They come as one row in one lane, which a broadcast brings to all.
    """

    centred = False

    @abstractmethod
    def spread_of(self, op: Any, axis: int) -> tuple[float, float]:
        """What the sum of squares is multiplied by, and what is added to that before the root is taken."""

    def supports(self, op: Operation) -> str | None:
        if any(v is not None and not is_weight(v) for v in op.operands[1:]):
            return "only constant weights"
        return super().supports(op)

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(i for i, v in enumerate(op.operands) if i and v is not None)

    def factor(self, op: Operation, data: Array) -> Array:
        """One operand (weight or bias) as a row of the axis' length."""
        axis = self.extent(op).axis
        row: Array = data.astype(np.float32).reshape(-1)
        return np.repeat(row, axis // len(row)) if len(row) != axis else row

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        factors = [value for value in op.operands[1:] if value is not None]
        if not factors:
            return None
        rows = np.zeros((len(factors), self._row_bytes(op) // F32.bytes), np.float32)
        for row, value in zip(rows, factors, strict=True):
            row[: self.extent(op).axis] = self.factor(op, weights[value.name])
        return rows.view(np.uint8).reshape(1, -1)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return self.fixed_bytes(op)

    def fixed_bytes(self, op: Any) -> int:
        return self._row_bytes(op) * len(self.constant_operands(op))

    def work_bytes(self, op: Operation, shape: Shape4, axis: int) -> int:
        statistic = with_size(shape, axis, 1)
        buffers = 2 * aligned_bytes(arch(), statistic, F32) + aligned_bytes(arch(), shape, F32)
        return self.fixed_bytes(op) + buffers + fold_bytes(shape, statistic)

    def compute(
        self, op: Any, outs: Sequence[LocalTensor], x: LocalTensor, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        out = outs[0]
        factors = self._factors(op, x.shape, axis, tile, s, e)
        sums, root = (s.take(with_size(x.shape, axis, 1)) for _ in range(2))
        spare = s.take(x.shape)
        squares = spare
        if self.centred:
            fold(e, "add", sums, x, s.fork())
            e.linear(sums, sums, 1 / x.shape[axis], 0.0)
            e.binary("sub", spare, x, sums)
            x, squares = spare, out
        e.binary("mul", squares, x, x)
        fold(e, "add", sums, squares, s.fork())
        e.linear(sums, sums, *self.spread_of(op, x.shape[axis]))
        e.reciprocal_sqrt(root, sums)
        steps = [("mul", root), *factors]
        target = out if len(steps) % 2 or self.centred else spare
        for i, (operation, factor) in enumerate(steps):
            last = i == len(steps) - 1
            e.binary(operation, out if last else target, x, factor)
            x, target = target, spare if target is out else out

    def _factors(
        self, op: Operation, shape: Shape4, axis: int, tile: Tile, s: Scratch, e: Bm1684xEmitter
    ) -> list[tuple[str, LocalTensor]]:
        """Weight and bias in every lane, each with what it does."""
        found = []
        at = tile.constants
        lanes = min(arch().lanes, shape[1])
        row: Shape4 = with_size((1, lanes, 1, 1), axis, shape[axis])
        for operation, value in zip(("mul", "add"), op.operands[1:], strict=False):
            if value is None:
                continue
            wide = s.take(row)
            e.lane_broadcast(wide, LocalTensor.aligned(arch(), at, with_size(row, 1, 1), F32))
            found.append((operation, every_lane(wide, shape[1])))
            at += self._row_bytes(op)
        return found

    def _row_bytes(self, op: Operation) -> int:
        return align(self.extent(op).axis * F32.bytes, arch().eu_bytes)


class LayerNormKernel(NormalizationKernel):
    """Over the axes from one on."""

    centred = True

    def extent(self, op: Any) -> Extent:
        first = op.axis % len(op.input.shape)
        return Extent.of(op.input.shape, first, len(op.input.shape) - first)

    def spread_of(self, op: Any, axis: int) -> tuple[float, float]:
        return 1 / axis, op.eps


class RmsNormKernel(NormalizationKernel):
    """Over the last axis, without a mean."""

    def supports(self, op: Operation) -> str | None:
        gamma = op.operands[1] if len(op.operands) > 1 else None
        if gamma is not None and gamma.type.elements not in (1, op.input.shape[-1]):
            return f"its gamma {list(gamma.shape)} is not one row"
        return super().supports(op)

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, -1)

    def spread_of(self, op: Any, axis: int) -> tuple[float, float]:
        return 1 / axis, op.eps


class PixelNormKernel(LayerNormKernel):
    """Over the channels at every position."""

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, 1)


class NormalizeKernel(NormalizationKernel):
    """x over its L2 norm along the channels, and the positions with ``across_spatial``."""

    def extent(self, op: Any) -> Extent:
        return Extent.of(op.input.shape, 1, len(op.input.shape) - 1 if op.across_spatial else 1)

    def spread_of(self, op: Any, axis: int) -> tuple[float, float]:
        return 1.0, top.Normalize.EPSILON


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.RMSNorm", RmsNormKernel())
    registry.add("tpu.PixelNorm", PixelNormKernel())
    registry.add("tpu.Normalize", NormalizeKernel())
