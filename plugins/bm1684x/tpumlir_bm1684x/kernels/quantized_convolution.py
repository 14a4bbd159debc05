"""Convolution of 8-bit numbers (QuantizedConv), dense, grouped and depthwise.

Chunk by chunk, sums are made in scratch in SI32 and requantized into the result, 8 bits or floats (``requantization``). The lane image
of a range of output channels: their scales and offsets, then their filters.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image, rows_by_lane
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import Scratch, is_weight
from tpumlir_bm1684x.kernels.filters import ChannelGroups, Convolution, Problem, problem
from tpumlir_bm1684x.kernels.requantization import Requantization, results_fit, scale_bytes, scale_image, table_bytes
from tpumlir_bm1684x.kernels.windows import (
    aligned_span,
    cut,
    pad_into,
    padded_shape,
    sweepable,
    swept_bytes,
    swept_input,
    window_box,
)
from tpumlir_core.ir import Array, ElementType, Operation, WeightStore
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, aligned_bytes

SI8, SI32 = ElementType.SI8, ElementType.SI32
SUMS = 16 << 10  # bytes of a lane for sums that are made at once


class Quantized8Bit(Convolution):
    """What both forms share: the lane image begins with the pairs, scratch with room for an input with its padding written out."""

    def takes(self, op: Operation) -> bool:
        return op.input.type.element.bytes == 1 and results_fit(op)

    def supports(self, op: Any) -> str | None:
        if len(op.kernel_shape) > 2:
            return f"{len(op.kernel_shape)} spatial axes"
        if not all(map(is_weight, op.operands[1:])):
            return "filters or scales that are computed"
        return "strides or dilations beyond the instruction's" if problem(op).tapwise else None

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2, 3})

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        channels = slice(out.start[1], out.stop[1])
        filters, scale, offset = (weights[v.name].reshape(v.shape) for v in op.operands[1:])
        image = self.filter_image(np.ascontiguousarray(filters[channels]))
        return np.concatenate([scale_image(op, scale, offset, channels), image.view(np.uint8)], axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return scale_bytes(out.size[1]) + ceil_div(out.size[1], arch().lanes) * self.row_bytes(problem(op))

    def scratch(self, op: Any, tile: Tile) -> int:
        room = align(self.room(problem(op), tile), arch().eu_bytes)
        return room + table_bytes(tile.out.size[1]) + sums_bytes(tile.results[0])

    @abstractmethod
    def filter_image(self, filters: Array) -> Array:
        """Filters as the lanes hold them, 8 bits an element."""

    @abstractmethod
    def row_bytes(self, p: Problem) -> int:
        """Bytes of one output channel's filter."""

    @abstractmethod
    def room(self, p: Problem, tile: Tile) -> int:
        """Scratch bytes for an input with its padding written out."""


def sweep_of(p: Problem, pads: tuple[int, int, int, int]) -> Sweep:
    """How a convolution's kernel moves over an input with these pads."""
    dilation = (p.rows.dilation if p.kernel[0] > 1 else 1, p.columns.dilation if p.kernel[1] > 1 else 1)
    return Sweep(p.kernel, (p.rows.stride, p.columns.stride), pads, dilation)


class DenseQuantized(Quantized8Bit):
    """By the CONV instruction, one for each group of channels of a block, and one requantization a block."""

    def needed(self, p: Problem, out: Box) -> Box:
        channels = ChannelGroups.of(p.x, p.y, p.groups, out).needed
        return window_box(*p.windows(out), (out.start[0], out.size[0]), channels)

    def filter_image(self, filters: Array) -> Array:
        return filter_image(filters.reshape(*filters.shape[:2], -1, 1), SI8)

    def row_bytes(self, p: Problem) -> int:
        return filter_bytes(p.x[1] // p.groups, p.taps, SI8)

    def room(self, p: Problem, tile: Tile) -> int:
        windows = p.windows(tile.out)
        if sweepable(windows, LIMIT):
            return 0
        x = cut(tile, self.needed(p, tile.out))
        return aligned_span(padded_shape(x, *windows), x.lane, x.element.bytes)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p, zero = problem(op), op.input.type.scaling[1]
        rows, columns = p.windows(tile.out)
        x, s = cut(tile, self.needed(p, tile.out)), Scratch(tile.scratch)
        pads = (rows.before, rows.after, columns.before, columns.after)
        at = s.take_bytes(self.room(p, tile))
        if not sweepable((rows, columns), LIMIT):
            x, pads = pad_into(e, at, x, rows, columns, zero), (0, 0, 0, 0)
        sweep, groups = sweep_of(p, pads), ChannelGroups.of(p.x, p.y, p.groups, tile.out)
        filters, row = tile.constants + scale_bytes(tile.out.size[1]), self.row_bytes(p)
        requantization = Requantization(op, tile.constants, tile.out.size[1], s, e)
        for chunk in chunks(tile.results[0]):
            part = groups.between(chunk.start[1], chunk.stop[1])
            sums = LocalTensor.aligned(arch(), s.top, chunk.size, SI32)
            image = x.part(arch(), Box.whole(x.shape).with_axis(0, chunk.start[0], chunk.size[0]))
            first = filters + chunk.start[1] // arch().lanes * row
            for target, source, slot in part.calls(sums, part.channels_of(image, groups)):
                e.convolve(target, source, first + slot * row, None, sweep, outside=zero)
            requantization.finish(tile.results[0].part(arch(), chunk), sums, chunk.start[1])


class DepthwiseQuantized(Quantized8Bit):
    """By the PorD instruction, one and one requantization for each block."""

    def needed(self, p: Problem, out: Box) -> Box:
        return window_box(*p.windows(out), (out.start[0], out.size[0]), (out.start[1], out.size[1]))

    def filter_image(self, filters: Array) -> Array:
        return rows_by_lane(filters.reshape(len(filters), -1))

    def row_bytes(self, p: Problem) -> int:
        return p.taps

    def room(self, p: Problem, tile: Tile) -> int:
        return swept_bytes(tile, self.needed(p, tile.out), *p.windows(tile.out))

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p, zero, s = problem(op), op.input.type.scaling[1], Scratch(tile.scratch)
        x, pads = swept_input(tile, self.needed(p, tile.out), *p.windows(tile.out), zero, e)
        s.take_bytes(self.room(p, tile))
        sweep, row = sweep_of(p, pads), self.row_bytes(p)
        filters = tile.constants + scale_bytes(tile.out.size[1])
        requantization = Requantization(op, tile.constants, tile.out.size[1], s, e)
        for chunk in chunks(tile.results[0], x.is_aligned(arch())):
            sums = LocalTensor.aligned(arch(), s.top, chunk.size, SI32)
            source = x.part(arch(), Box((*chunk.start[:2], 0, 0), (*chunk.size[:2], *x.shape[2:])))
            e.depthwise(sums, source, filters + chunk.start[1] // arch().lanes * row, None, sweep, outside=zero)
            requantization.finish(tile.results[0].part(arch(), chunk), sums, chunk.start[1])


def chunks(out: LocalTensor, together: bool = True) -> list[Box]:
    """What is summed up at once: as many batches as fit, with all their channels; or, where one is too large, the input's are not
    ``together`` or the result's lie apart (it is some channels of a larger tensor), one batch's group of lanes."""
    n, c, h, w = out.shape
    lanes, size = arch().lanes, aligned_bytes(arch(), (1, *out.shape[1:]), SI32)
    if size > SUMS or not (together and out.is_aligned(arch())):
        return [Box((i, a, 0, 0), (1, min(lanes, c - a), h, w)) for i in range(n) for a in range(0, c, lanes)]
    count = SUMS // size
    return [Box((i, 0, 0, 0), (min(count, n - i), c, h, w)) for i in range(0, n, count)]


def sums_bytes(out: LocalTensor) -> int:
    """Scratch bytes for the sums of the largest chunk."""
    return aligned_bytes(arch(), chunks(out)[0].size, SI32)
