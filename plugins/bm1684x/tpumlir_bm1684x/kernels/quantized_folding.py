"""Convolutions of few input channels on 8-bit numbers: the rows of the kernel are folded into the channels.

A step of the multipliers takes 64 input channels, whether they are there or not. So for each row of the kernel the input rows that
it meets are copied to lanes of their own (with the zero point for what lies outside), beside each other; what is left is a
convolution of 21 channels by a kernel of 1 x 7, where it was 3 by 7 x 7. (tpu-mlir 1.30.2 loads the image once for each row.)

As in 16 bits (``folded_rows``) each channel is broadcast to as many lanes as the kernel has rows, and a depthwise convolution by
kernels of one 1 picks its rows in each of them. Where the instruction cannot, DMA copies them, for which everything else waits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image, rows_by_lane
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import Scratch
from tpumlir_bm1684x.kernels.filters import Problem, problem
from tpumlir_bm1684x.kernels.quantized_convolution import SI8, SI32, Quantized8Bit, chunks
from tpumlir_bm1684x.kernels.requantization import Requantization, scale_bytes
from tpumlir_bm1684x.kernels.windows import Window, cut, sweepable, window_box
from tpumlir_core.ir import Array, ElementType, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

RESULTS = 4  # of a step of the multipliers


def pays(op: Any) -> bool:
    """Whether folding the rows of an operation's kernel takes fewer cycles."""
    p = problem(op)
    lanes, (high, wide) = p.x[1] * p.kernel[0], p.kernel
    beyond = max(p.columns.pad, (p.y[3] - 1) * p.columns.stride + (wide - 1) * p.columns.dilation + 1 - p.columns.pad - p.x[3])
    if p.groups > 1 or high == 1 or lanes > arch().lanes or beyond > LIMIT or p.columns.pad >= (wide - 1) * p.columns.dilation + 1:
        return False
    points = p.y[0] * ceil_div(p.y[1], arch().lanes) * ceil_div(p.y[2] * p.y[3], RESULTS)
    spread, picked = p.x[1] * ceil_div(p.x[2] * p.x[3], arch().eu_bytes), high * ceil_div(p.y[2] * p.x[3], arch().eu_bytes)
    return bool(points * wide * (high - 1) > p.y[0] * (spread + picked))


class FoldedQuantized(Quantized8Bit):
    """See above; row k of the kernel over channel c is channel c * rows + k. Behind the filters lie kernels of one 1."""

    def needed(self, p: Problem, out: Box) -> Box:
        return window_box(*p.windows(out), (out.start[0], out.size[0]), (0, p.x[1]))

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        image, p = super().constants(op, views, out, weights), problem(op)
        assert image is not None
        ones = rows_by_lane(np.tile(np.eye(p.kernel[0], dtype=np.uint8), (p.x[1], 1)))
        lanes = max(len(image), len(ones))
        return np.concatenate([np.pad(part, ((0, lanes - len(part)), (0, 0))) for part in (image, ones)], axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return super().constant_bytes(op, views, out, weights) + problem(op).kernel[0]

    def filter_image(self, filters: Array) -> Array:
        rows = filters.reshape(*filters.shape[:2], -1, filters.shape[-1])
        return filter_image(rows.reshape(len(rows), -1, 1, rows.shape[3]), SI8)

    def row_bytes(self, p: Problem) -> int:
        return filter_bytes(p.x[1] * p.kernel[0], p.kernel[1], SI8)

    def room(self, p: Problem, tile: Tile) -> int:
        x, folded = cut(tile, self.needed(p, tile.out)), self._folded_shape(p, tile)
        copies = (x.shape[0], folded[1], *x.shape[2:]) if self._picks(p, tile) else (0, 0, 0, 0)
        return sum(aligned_bytes(arch(), shape, SI8) for shape in (folded, copies))

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p, zero, s = problem(op), op.input.type.scaling[1], Scratch(tile.scratch)
        rows, columns = p.windows(tile.out)
        x = cut(tile, self.needed(p, tile.out))
        filters, row = tile.constants + scale_bytes(tile.out.size[1]), self.row_bytes(p)
        folded = s.take(self._folded_shape(p, tile), x.element)
        if self._picks(p, tile):
            self._pick(p, folded, x, rows, zero, filters + ceil_div(tile.out.size[1], arch().lanes) * row, s, e)
        else:
            self._fold(p, folded, x, rows, zero, e)
        dilation = p.columns.dilation if p.kernel[1] > 1 else 1
        sweep = Sweep((1, p.kernel[1]), (1, p.columns.stride), (0, 0, columns.before, columns.after), (1, dilation))
        requantization = Requantization(op, tile.constants, tile.out.size[1], s, e)
        for chunk in chunks(tile.results[0]):
            sums = LocalTensor.aligned(arch(), s.top, chunk.size, SI32)
            image = folded.part(arch(), Box.whole(folded.shape).with_axis(0, chunk.start[0], chunk.size[0]))
            e.convolve(sums, image, filters + chunk.start[1] // arch().lanes * row, None, sweep, outside=zero)
            requantization.finish(tile.results[0].part(arch(), chunk), sums, chunk.start[1])

    @staticmethod
    def _folded_shape(p: Problem, tile: Tile) -> Shape4:
        width = p.windows(tile.out)[1].size
        return (tile.out.size[0], p.x[1] * p.kernel[0], tile.out.size[2], width)

    def _picks(self, p: Problem, tile: Tile) -> bool:
        """Whether instructions can copy what lies so."""
        x = cut(tile, self.needed(p, tile.out))
        return x.is_aligned(arch()) and sweepable(p.windows(tile.out)[:1], LIMIT)

    @staticmethod
    def _pick(
        p: Problem, folded: LocalTensor, x: LocalTensor, rows: Window, zero: int, kernels: int, s: Scratch, e: Bm1684xEmitter
    ) -> None:
        """The rows that each row of the kernel meets, in lanes of their own. ``kernels``: of one 1 each."""
        n, channels, height, width = x.shape
        count = p.kernel[0]
        copies = s.take((n, channels * count, height, width), x.element)
        for channel in range(channels):
            target = copies.part(arch(), Box((0, channel * count, 0, 0), (n, count, height, width)))
            e.lane_broadcast(target, x.part(arch(), Box((0, channel, 0, 0), (n, 1, height, width))))
        sweep = Sweep((count, 1), (p.rows.stride, 1), (rows.before, rows.after, 0, 0), (p.rows.dilation, 1))
        e.depthwise(folded, copies, kernels, None, sweep, filter_element=ElementType.UI8, outside=zero)

    @staticmethod
    def _fold(p: Problem, folded: LocalTensor, x: LocalTensor, rows: Window, zero: int, e: Bm1684xEmitter) -> None:
        """The rows that each row of the kernel meets, a transfer each; ``zero`` where they lie outside."""
        n, channels, height, width = x.shape
        if rows.before > 0 or rows.after > 0:
            e.copy(folded, zero)
        stride = p.rows.stride
        for tap in range(p.kernel[0]):
            offset = tap * p.rows.dilation - rows.before  # of the first output row's input row
            first = max(0, ceil_div(-offset, stride))
            count = min(folded.shape[2], (height - 1 - offset) // stride + 1) - first
            if count <= 0:
                continue
            for channel in range(channels):
                target = folded.part(arch(), Box((0, channel * p.kernel[0] + tap, first, 0), (n, 1, count, width)))
                seen = x.part(arch(), Box((0, channel, first * stride + offset, 0), (n, 1, 1, width)))
                strides = (x.strides[0], x.strides[1], x.strides[2] * stride, x.strides[3])
                e.shift(target, LocalTensor(seen.address, target.shape, x.element, strides, seen.lane))
