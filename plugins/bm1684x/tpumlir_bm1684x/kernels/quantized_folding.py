"""Convolutions of few input channels on 8-bit numbers: the rows of the kernel are folded into the channels.

A step of the multipliers takes 64 input channels, whether they are there or not. So DMA copies, for each row of the kernel, the input
rows that it meets to lanes of their own (with the zero point for what lies outside), beside each other; what is left is a
convolution of 21 channels by a kernel of 1 x 7, where it was 3 by 7 x 7. (tpu-mlir 1.30.2 loads the image once for each row.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import Scratch
from tpumlir_bm1684x.kernels.filters import Problem, problem
from tpumlir_bm1684x.kernels.quantized_convolution import SI8, SI32, Quantized8Bit, chunks, pairs_of, scale_bytes, scale_table
from tpumlir_bm1684x.kernels.windows import Window, cut, window_box
from tpumlir_core.ir import Array
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Tile
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

RESULTS = 4  # of a step of the multipliers
MOVED_BYTES = 32  # a cycle, from lane to lane


def pays(op: Any) -> bool:
    """Whether folding the rows of an operation's kernel takes fewer cycles."""
    p = problem(op)
    lanes, (high, wide) = p.x[1] * p.kernel[0], p.kernel
    beyond = max(p.columns.pad, (p.y[3] - 1) * p.columns.stride + (wide - 1) * p.columns.dilation + 1 - p.columns.pad - p.x[3])
    if p.groups > 1 or high == 1 or lanes > arch().lanes or beyond > LIMIT or p.columns.pad >= (wide - 1) * p.columns.dilation + 1:
        return False
    points = p.y[0] * ceil_div(p.y[1], arch().lanes) * ceil_div(p.y[2] * p.y[3], RESULTS)
    moved = p.y[0] * lanes * p.y[2] * p.x[3] // MOVED_BYTES
    return bool(points * wide * (high - 1) > moved)


class FoldedQuantized(Quantized8Bit):
    """See above; row k of the kernel over channel c is channel k * channels + c."""

    def needed(self, p: Problem, out: Box) -> Box:
        return window_box(*p.windows(out), (out.start[0], out.size[0]), (0, p.x[1]))

    def filter_image(self, filters: Array) -> Array:
        rows = filters.reshape(*filters.shape[:2], filters.shape[2] if filters.ndim == 4 else 1, filters.shape[-1])
        folded = np.ascontiguousarray(rows.transpose(0, 2, 1, 3)).reshape(len(rows), -1, 1, rows.shape[3])
        return filter_image(folded, SI8)

    def row_bytes(self, p: Problem) -> int:
        return filter_bytes(p.x[1] * p.kernel[0], p.kernel[1], SI8)

    def room(self, p: Problem, tile: Tile) -> int:
        return aligned_bytes(arch(), self._folded_shape(p, tile), SI8)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p, zero, s = problem(op), op.input.type.scaling[1], Scratch(tile.scratch)
        rows, columns = p.windows(tile.out)
        x = cut(tile, self.needed(p, tile.out))
        folded = s.take(self._folded_shape(p, tile), x.element)
        self._fold(p, folded, x, rows, zero, e)
        dilation = p.columns.dilation if p.kernel[1] > 1 else 1
        sweep = Sweep((1, p.kernel[1]), (1, p.columns.stride), (0, 0, columns.before, columns.after), (1, dilation))
        filters, row = tile.constants + scale_bytes(tile.out.size[1]), self.row_bytes(p)
        table = scale_table(tile.constants, tile.out.size[1], s, e)
        for chunk in chunks(tile.results[0]):
            sums = LocalTensor.aligned(arch(), s.top, chunk.size, SI32)
            image = folded.part(arch(), Box.whole(folded.shape).with_axis(0, chunk.start[0], chunk.size[0]))
            e.convolve(sums, image, filters + chunk.start[1] // arch().lanes * row, None, sweep, outside=zero)
            e.requantize_scaled(tile.results[0].part(arch(), chunk), sums, pairs_of(table, chunk))

    @staticmethod
    def _folded_shape(p: Problem, tile: Tile) -> Shape4:
        width = p.windows(tile.out)[1].size
        return (tile.out.size[0], p.x[1] * p.kernel[0], tile.out.size[2], width)

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
            target = folded.part(arch(), Box((0, tap * channels, first, 0), (n, channels, count, width)))
            seen = x.part(arch(), Box((0, 0, first * stride + offset, 0), (n, channels, 1, width)))
            strides = (x.strides[0], x.strides[1], x.strides[2] * stride, x.strides[3])
            e.shift(target, LocalTensor(seen.address, target.shape, x.element, strides, x.lane))
