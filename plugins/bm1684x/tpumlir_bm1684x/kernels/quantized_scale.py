"""A scale and an offset a channel on 8-bit numbers (QuantizedScale): as 16-bit integers, requantized once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.channel import PlaneScaleKernel, ScaleKernel
from tpumlir_bm1684x.kernels.common import Scratch, is_weight
from tpumlir_bm1684x.kernels.requantization import Requantization, scale_bytes, scale_image, table_bytes
from tpumlir_core.ir import ElementType, Operation, WeightStore
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, Shape4, aligned_bytes


class QuantizedScaleKernel(Kernel):
    """Views are those of a Scale."""

    def __init__(self) -> None:
        self._plain, self._planes = ScaleKernel(), PlaneScaleKernel()

    def takes(self, op: Operation) -> bool:
        return op.input.type.element.bytes == op.output.type.element.bytes == 1

    def supports(self, op: Operation) -> str | None:
        if not all(map(is_weight, op.operands[1:])):
            return "scales that are computed"
        return "few channels, whose elements a Scale spreads over all lanes" if self._planes.suits(op) else self._plain.supports(op)

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        return self._plain.views(op, known)

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def writes_parts(self, op: Operation) -> bool:
        return False

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2})

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        scale, offset = (weights[value.name] for value in op.operands[1:] if value is not None)
        return scale_image(op, scale, offset, slice(out.start[1], out.stop[1]))

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return scale_bytes(out.size[1])

    def scratch(self, op: Operation, tile: Tile) -> int:
        return table_bytes(tile.out.size[1]) + aligned_bytes(arch(), tile.results[0].shape, ElementType.SI16)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = tile.operands[0], tile.results[0], Scratch(tile.scratch)
        assert x is not None
        requantization = Requantization(op, tile.constants, tile.out.size[1], s, e)
        wide = s.take(out.shape, ElementType.SI16)
        e.unary("cast", wide, x)
        requantization.finish(out, wide)


def register(registry: KernelRegistry) -> None:
    """The kernel of scales of 8-bit numbers."""
    registry.add("tpu.QuantizedScale", QuantizedScaleKernel())
