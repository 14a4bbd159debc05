"""A factor and a term a channel: scale and batch normalization with constant statistics."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.broadcasting import broadcast_views
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, ElementwiseKernel, Scratch, image_bytes, is_weight, lane_image, pack, rows_filling_lanes
from tpumlir_core.ir import Array, Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import FLOATS, Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes
from tpumlir_sophgo.widening import Widened

LEAST_SPREAD = 1 << 13  # elements of a channel
MOST_PLANES = 32  # each takes an instruction
LARGEST_SHARE = 0.3  # of a lane that all planes may take in F32, which they are in twice
SHORTEST_ROW = 64  # elements


class ScaleKernel(ElementwiseKernel):
    """``x * scale + bias``: one LIN instruction; both lie in the lanes, a number a channel."""

    native = FLOATS
    packed = frozenset({0})

    def supports(self, op: Operation) -> str | None:
        if any(v is not None and not is_weight(v) for v in op.operands[1:]):
            return "its factors must be weights"
        return None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        shape = op.output.shape
        by_channel = (shape[1], *(1,) * (len(shape) - 2)) if len(shape) > 1 else (1,)
        found = broadcast_views([shape, by_channel], shape, [known[0], None], frozenset({1}))
        return None if found is None else Views((found[1], *(None,) * (len(op.operands) - 1)), (found[1],))

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(i for i, v in enumerate(op.operands) if i > 0 and v is not None)

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        data = [None if v is None or i == 0 else weights[v.name].astype(np.float32).reshape(-1) for i, v in enumerate(op.operands)]
        channels = views.results[0][1]
        parts = [np.broadcast_to(part, channels)[out.start[1] : out.stop[1]] for part in self.factors(op, data)]
        return np.concatenate([lane_image(part, out.size[1], self.element(op)) for part in parts], axis=1)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return 2 * image_bytes(out.size[1], self.element(op))

    def factors(self, op: Any, data: list[Array | None]) -> tuple[Array, Array]:
        """Scale and bias, a number a channel each. ``data``: the operands' values, None for the input and what is absent."""
        scale, bias = data[1:3]
        return np.ones(1, np.float32) if scale is None else scale, np.zeros(1, np.float32) if bias is None else bias

    def operands(self, op: Operation, tile: Tile, s: Scratch, e: Bm1684xEmitter) -> list[LocalTensor]:
        x, out = tile.operands[0], tile.results[0].shape
        assert x is not None
        at, element = tile.constants, self.element(op)
        images = [LocalTensor.compact(e.arch, at + i * image_bytes(out[1], element), (1, out[1], 1, 1), element) for i in range(2)]
        return [pack(x, out, s, e), *images]

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        x, scale, bias = operands
        e.linear(out, x, scale, bias)


class PlaneScaleKernel(ScaleKernel):
    """The same with each channel's elements in rows over all lanes, a plane at a time: for images, whose few channels leave lanes empty.

    Views are (n * channels, rows, 1, elements of a row); the lane image has every plane's numbers in every lane.
    """

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        planes, elements = self._planes(op), prod(op.output.shape[2:])
        rows = self._rows(op)
        view: Shape4 = (planes, rows, 1, elements // rows)
        if known[0] is not None and known[0][0] == planes and known[0][2] == 1:
            view = known[0]
        return Views((view, *(None,) * (len(op.operands) - 1)), (view,))

    def splits(self, op: Operation, views: Views) -> str:
        return "c"

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        data = [None if v is None or i == 0 else weights[v.name].astype(np.float32).reshape(-1) for i, v in enumerate(op.operands)]
        batches, channels = op.output.shape[:2]
        groups = ceil_div(out.size[1], arch().lanes)
        row = np.concatenate([np.repeat(np.tile(np.broadcast_to(part, channels), batches), groups) for part in self.factors(op, data)])
        return np.tile(row.astype(np.float32), (arch().lanes, 1)).view(np.uint8)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return 2 * self._planes(op) * image_bytes(out.size[1])

    def operands(self, op: Operation, tile: Tile, s: Scratch, e: Bm1684xEmitter) -> list[LocalTensor]:
        x, out = tile.operands[0], tile.results[0].shape
        assert x is not None
        places = (tile.constants + i * image_bytes(out[1]) for i in range(2 * out[0]))
        return [pack(x, out, s, e), *(LocalTensor.compact(e.arch, at, (1, out[1], 1, 1), F32) for at in places)]

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        x, *images = operands
        for plane in range(out.shape[0]):
            box = Box.whole(out.shape).with_axis(0, plane, 1)
            e.linear(out.part(e.arch, box), x.part(e.arch, box), images[plane], images[out.shape[0] + plane])

    def suits(self, op: Operation) -> bool:
        """Whether lanes would be empty for longer than bytes take to memory and back, into another layout."""
        shape = op.output.shape
        bytes_only = op.output.type.element.bytes == op.input.type.element.bytes == 1
        if not bytes_only or len(shape) < 3 or prod(shape[2:]) < LEAST_SPREAD:
            return False
        return self._planes(op) <= MOST_PLANES and shape[1] < arch().lanes // 2 and self._rows(op) > 1

    @staticmethod
    def _planes(op: Operation) -> int:
        return prod(op.output.shape[:2])

    def _rows(self, op: Operation) -> int:
        """How many rows of a channel fill the lanes best; 1 where those of all channels do not fit."""
        elements = prod(op.output.shape[2:])
        for rows in rows_filling_lanes(elements, SHORTEST_ROW):
            if self._planes(op) * aligned_bytes(arch(), (1, 1, 1, elements // rows), F32) < LARGEST_SHARE * arch().lane_bytes:
                return rows
        return 1


class ScaleChoice(ChoiceKernel):
    """Scales in F32, or of bytes with conversions around."""

    def __init__(self) -> None:
        self._plain, self._planes = ScaleKernel(), PlaneScaleKernel()

    def choose(self, op: Any) -> Kernel:
        return Widened(arch(), self._planes, op) if self._planes.suits(op) else self._plain


class BatchNormKernel(ScaleKernel):
    """Batch normalization as a scale."""

    def factors(self, op: Any, data: list[Array | None]) -> tuple[Array, Array]:
        mean, variance, gamma, beta = (None if v is None else v.astype(np.float64) for v in (data + [None] * 2)[1:5])
        assert mean is not None
        assert variance is not None
        scale: Array = 1 / np.sqrt(variance + op.epsilon)
        if gamma is not None:
            scale = scale * gamma
        bias = -mean * scale if beta is None else beta - mean * scale
        return scale.astype(np.float32), bias.astype(np.float32)


def register(registry: KernelRegistry) -> None:
    """Kernels with a factor and a term a channel."""
    registry.add("tpu.Scale", ScaleChoice())
    registry.add("tpu.BatchNorm", BatchNormKernel())
