"""Convolutions of few input channels in 16 bits: the rows of the kernel are folded into the channels.

A step of the multipliers takes 32 input channels, whether they are there or not: of an image's three, a kernel of 7 x 7 wastes
nine tenths of 49 steps. So each channel is broadcast to as many lanes as the kernel has rows, a depthwise convolution by kernels
of one 1 picks in each of them the rows that its row of the kernel meets, and what is left is a convolution of 21 channels by a
kernel of 1 x 7. (tpu-mlir 1.30.2 picks rows like this too, of an image that it loads once for each of them.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, results_per_step
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import F32, Scratch, relu
from tpumlir_bm1684x.kernels.filters import Convolution, Problem, has_bias, problem, rows_bytes, rows_image, taps_image
from tpumlir_bm1684x.kernels.windows import Window, cut, pad_into, padded_shape, sweepable, window_box
from tpumlir_core.ir import ElementType, Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import FLOAT32, FLOATS, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

WORTHWHILE = 0.9  # of the cycles of the direct way


def pays(op: Any) -> bool:
    """Whether folding the rows of an operation's kernel takes fewer cycles."""
    p, element = problem(op), op.output.type.element
    if element is F32 or p.groups > 1 or p.tapwise or p.kernel[0] == 1 or _lanes(p) > arch().lanes:
        return False
    n, c, height, width = p.y
    slots, points, row = ceil_div(c, arch().lanes), ceil_div(height * width, results_per_step(element)), arch().eu_bytes // element.bytes
    step = filter_bytes(1, 1, element)
    direct = slots * points * filter_bytes(p.x[1], p.taps, element) // step
    moved = p.x[1] * ceil_div(p.x[2] * p.x[3], row) + p.kernel[0] * ceil_div(height * p.x[3], row)
    folded = slots * points * filter_bytes(_lanes(p), p.kernel[1], element) // step + moved
    return bool(folded < WORTHWHILE * direct)


def _lanes(p: Problem) -> int:
    """Channels after folding: row k of the kernel over channel c is channel c * rows + k."""
    return p.x[1] * p.kernel[0]


class FoldedRows(Convolution):
    """See above."""

    native = FLOATS - FLOAT32

    def needed(self, p: Problem, out: Box) -> Box:
        return window_box(*p.windows(out), (out.start[0], out.size[0]), (0, p.x[1]))

    def writes_parts(self, op: Operation) -> bool:
        """One instruction writes all batches."""
        return False

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        p, element = problem(op), op.output.type.element
        channels = slice(out.start[1], out.stop[1])
        filters = weights[op.operands[1].name].reshape(p.y[1], _lanes(p), 1, p.kernel[1])[channels]
        parts = [taps_image(filters, element)]
        if has_bias(op):
            parts.append(rows_image(weights[op.operands[2].name].reshape(-1, 1)[channels], F32))
        parts.append(rows_image(np.tile(np.eye(p.kernel[0], dtype=np.float32), (p.x[1], 1)), element))
        lanes = max(map(len, parts))
        return np.concatenate([np.pad(part, ((0, lanes - len(part)), (0, 0))) for part in parts], axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        p, element = problem(op), op.output.type.element
        return _filters(p, out, element) + _biases(op, out) + rows_bytes(_lanes(p), p.kernel[0], element)

    def scratch(self, op: Any, tile: Tile) -> int:
        p = problem(op)
        x = cut(tile, self.needed(p, tile.out))
        shapes = [_packed(x, *p.windows(tile.out)), _copies(p, tile), _picked(p, tile)]
        return sum(aligned_bytes(arch(), shape, x.element) for shape in shapes)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p, out, s = problem(op), tile.results[0], Scratch(tile.scratch)
        rows, columns = p.windows(tile.out)
        x = cut(tile, self.needed(p, tile.out))
        packed = LocalTensor.aligned(arch(), s.take_bytes(aligned_bytes(arch(), _packed(x, rows, columns), x.element)), x.shape, x.element)
        pads = (rows.before, rows.after, columns.before, columns.after)
        if not sweepable((rows, columns), LIMIT):
            x, pads = pad_into(e, packed.address, x, rows, columns, 0.0), (0, 0, 0, 0)
        elif not x.is_aligned(arch()):
            e.copy(packed, x)
            x = packed
        bias = tile.constants + _filters(p, tile.out, x.element)
        picked = self._pick(p, tile, x, pads[:2], bias + _biases(op, tile.out), s, e)
        dilation = p.columns.dilation if p.kernel[1] > 1 else 1
        sweep = Sweep((1, p.kernel[1]), (1, p.columns.stride), (0, 0, *pads[2:]), (1, dilation))
        e.convolve(out, picked, tile.constants, bias if has_bias(op) else None, sweep)
        relu(op, out, e)

    def _pick(
        self, p: Problem, tile: Tile, x: LocalTensor, pads: tuple[int, int], kernels: int, s: Scratch, e: Bm1684xEmitter
    ) -> LocalTensor:
        """In the lanes of each channel, the rows that each row of the kernel meets. ``kernels``: of one 1 each."""
        count = p.kernel[0]
        copies = s.take((x.shape[0], _lanes(p), *x.shape[2:]), x.element)
        for channel in range(p.x[1]):
            target = copies.part(arch(), Box((0, channel * count, 0, 0), (x.shape[0], count, *x.shape[2:])))
            e.lane_broadcast(target, x.part(arch(), Box((0, channel, 0, 0), (x.shape[0], 1, *x.shape[2:]))))
        picked = s.take((x.shape[0], _lanes(p), tile.out.size[2], x.shape[3]), x.element)
        e.depthwise(picked, copies, kernels, None, Sweep((count, 1), (p.rows.stride, 1), (*pads, 0, 0), (p.rows.dilation, 1)))
        return picked


def _filters(p: Problem, out: Box, element: ElementType) -> int:
    """Bytes of a lane for the filters of ``out``."""
    return ceil_div(out.size[1], arch().lanes) * filter_bytes(_lanes(p), p.kernel[1], element)


def _biases(op: Any, out: Box) -> int:
    """Bytes of a lane for its biases."""
    return rows_bytes(out.size[1], 1, F32) if has_bias(op) else 0


def _packed(x: LocalTensor, rows: Window, columns: Window) -> Shape4:
    """The input in the standard layout, its padding written out where an instruction cannot: nothing where it lies so."""
    if not sweepable((rows, columns), LIMIT):
        return padded_shape(x, rows, columns)
    return (0, 0, 0, 0) if x.is_aligned(arch()) else x.shape


def _copies(p: Problem, tile: Tile) -> Shape4:
    """The input once for each row of the kernel, with its padding at most."""
    rows, columns = p.windows(tile.out)
    extents = (w.size if sweepable((rows, columns), LIMIT) else w.extent for w in (rows, columns))
    height, width = extents
    return (tile.out.size[0], _lanes(p), height, width)


def _picked(p: Problem, tile: Tile) -> Shape4:
    n, c, _, width = _copies(p, tile)
    return (n, c, tile.out.size[2], width)
