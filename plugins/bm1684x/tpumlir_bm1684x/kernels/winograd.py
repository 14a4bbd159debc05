"""3 x 3 convolutions of stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3).

Every 2 x 2 results come from a 4 x 4 patch of the input by 16 multiplications instead of 36: patch and filter are
transformed (the filter beforehand), multiplied element by element, which over all patches and channels is 16 convolutions
of one tap, and the products are transformed back. (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks".)
The lane image is that of a convolution whose taps are the 16 transformed ones, tap by tap.

In 16 bits the products are F32 sums, and so is all that is made of them: they are several times as large as the results.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, inputs_per_step, results_per_step
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.common import F32, Scratch
from tpumlir_bm1684x.kernels.filters import has_bias, problem, rows_image, taps_image
from tpumlir_bm1684x.kernels.windows import batches, cut, every, pad_into
from tpumlir_core.ir import WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import LaneImage, Tile
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
# Row i of a transformed patch: this of rows a and b of the patch.
PATCH = (("sub", 0, 2), ("add", 1, 2), ("sub", 2, 1), ("sub", 1, 3))
ONE = Sweep((1, 1))
LEAST_SAVED = 1500  # cycles; below, some 60 commands instead of one are not worth their compile time and their place
LOAD_BYTES = 54  # that a cycle loads at best (tpu-mlir 1.30.2's estimate)


def pays(op: Any) -> bool:
    """Whether an operation can be done this way, and saves more cycles than fetching the larger filters may cost."""
    p = problem(op)
    square = p.kernel == (3, 3) and p.groups == 1 and all((a.stride, a.dilation) == (1, 1) for a in (p.rows, p.columns))
    if not square:
        return False
    element = op.output.type.element
    patches = ceil_div(p.y[2], 2) * ceil_div(p.y[3], 2)
    inputs, groups = ceil_div(p.x[1], arch().lanes), ceil_div(p.y[1], arch().lanes)
    steps = ceil_div(p.x[1], inputs_per_step(element))
    direct = p.y[0] * 9 * steps * groups * ceil_div(p.y[2] * p.y[3], results_per_step(element))
    products = 16 * steps * groups * ceil_div(patches, results_per_step(element))
    sums = (24 + 8 * (element is not F32)) * groups * ceil_div(patches, arch().eu_bytes // F32.bytes)
    ours = p.y[0] * (products + sums + 64 * inputs * ceil_div(patches, arch().eu_bytes // element.bytes))
    fetch = 7 * p.x[1] * p.y[1] * element.bytes // LOAD_BYTES
    return bool(direct - ours - fetch > max(LEAST_SAVED, direct // 20))


def image(op: Any, out: Box, weights: WeightStore) -> LaneImage:
    """The transformed filters and the biases of the output channels of ``out``."""
    channels = slice(out.start[1], out.stop[1])
    filters = weights[op.operands[1].name][channels].astype(np.float64)
    taps = (FILTER @ filters @ FILTER.T).transpose(2, 3, 0, 1).reshape(16, *filters.shape[:2]).astype(np.float32)
    parts = [taps_image(tap[:, :, None, None], op.output.type.element) for tap in taps]
    if has_bias(op):
        parts.append(rows_image(weights[op.operands[2].name].reshape(-1, 1)[channels], F32))
    return np.concatenate(parts, axis=1)


def image_bytes(op: Any, out: Box) -> int:
    filters = 16 * filter_bytes(problem(op).x[1], 1, op.output.type.element)
    return ceil_div(out.size[1], arch().lanes) * (filters + has_bias(op) * F32.bytes)


def _patches(out: Shape4) -> tuple[int, int]:
    return ceil_div(out[2], 2), ceil_div(out[3], 2)


def scratch_bytes(op: Any, out: Shape4) -> int:
    """The padded input, its transformed rows, a plane of patches; four products, eight half transformed ones, a sum."""
    rows, columns = _patches(out)
    inputs, element = op.input.shape[1], op.output.type.element
    shapes: list[tuple[int, Shape4]] = [
        (1, (1, inputs, 2 * rows + 2, 2 * columns + 2)), (4, (1, inputs, rows, 2 * columns + 2)), (1, (1, inputs, rows, columns)),
    ]
    sums = 13 * aligned_bytes(arch(), (1, out[1], rows, columns), F32)
    return sums + sum(count * aligned_bytes(arch(), shape, element) for count, shape in shapes)


def emit(op: Any, tile: Tile, needed: Box, e: Bm1684xEmitter) -> None:
    """The whole convolution of a tile, batch by batch; ``needed`` is the input box for it."""
    out = tile.results[0]
    rows, columns = problem(op).windows(tile.out)
    rows, columns = (replace(w, after=w.after + size % 2) for w, size in zip((rows, columns), out.shape[2:], strict=True))
    for x, y in zip(batches(cut(tile, needed)), batches(out), strict=True):
        s = Scratch(tile.scratch)
        padded = pad_into(e, s.top, x, rows, columns, 0.0)
        s.take(padded.shape, padded.element)
        _Batch(op, tile, y, s, e).emit(padded)
    if op.do_relu and op.relu_limit > 0:
        e.binary("min", out, out, op.relu_limit)


class _Batch:
    """One batch of a tile: its scratch and where its constants lie."""

    def __init__(self, op: Any, tile: Tile, y: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        self.op, self.e, self.y, self.s = op, e, y, s
        inputs, slots = op.input.shape[1], ceil_div(y.shape[1], arch().lanes)
        self.filters, self.tap_bytes = tile.constants, slots * filter_bytes(inputs, 1, y.element)
        self.bias = tile.constants + 16 * self.tap_bytes if has_bias(op) else None
        self.patches = _patches(y.shape)
        plane = (1, y.shape[1], *self.patches)
        self.products = [s.take(plane) for _ in PATCH]
        self.halves = [(s.take(plane), s.take(plane)) for _ in PATCH]
        self.sum = s.take(plane)

    def emit(self, x: LocalTensor) -> None:
        """``x``: the input with its padding, as many rows and columns as the patches have."""
        e, (rows, columns) = self.e, self.patches
        shape = (1, x.shape[1], rows, x.shape[3])
        bands = [self.s.take(shape, x.element) for _ in PATCH]
        for band, (operation, a, b) in zip(bands, PATCH, strict=True):
            e.binary(operation, band, every(x, (a, 0), (2, 1), shape), every(x, (b, 0), (2, 1), shape))
        plane = self.s.take((1, x.shape[1], rows, columns), x.element)
        for i, band in enumerate(bands):
            for j, (operation, a, b) in enumerate(PATCH):
                e.binary(operation, plane, every(band, (0, a), (1, 2), plane.shape), every(band, (0, b), (1, 2), plane.shape))
                # The product at (1, 1) is in all four results: it brings the bias.
                bias = self.bias if i == j == 1 else None
                e.convolve(self.products[j], plane, self.filters + (4 * i + j) * self.tap_bytes, bias, ONE)
            self._half(self.products, *self.halves[i])
        for column in (0, 1):
            self._results([half[column] for half in self.halves], column)

    def _half(self, p: list[LocalTensor], even: LocalTensor, odd: LocalTensor) -> None:
        """``even = p0 + p1 + p2``, ``odd = p1 - p2 - p3``; never in place, which costs twice."""
        self.e.binary("add", self.sum, p[1], p[2])
        self.e.binary("add", even, p[0], self.sum)
        self.e.binary("sub", self.sum, p[1], p[2])
        self.e.binary("sub", odd, self.sum, p[3])

    def _results(self, p: list[LocalTensor], column: int) -> None:
        """Every second column of the result, from ``column``."""
        for row, operands in ((0, (p[0], self.sum)), (1, (self.sum, p[3]))):
            size = ((self.y.shape[2] - row + 1) // 2, (self.y.shape[3] - column + 1) // 2)
            if min(size) == 0:
                continue
            self.e.binary("sub" if row else "add", self.sum, p[1], p[2])
            target = every(self.y, (row, column), (2, 2), (1, self.y.shape[1], *size))
            a, b = (x.part(arch(), Box((0, 0, 0, 0), target.shape)) for x in operands)
            narrow = target.element is not F32
            if not (self.op.do_relu or narrow):
                self.e.binary("sub" if row else "add", target, a, b)
                continue
            spare, other = (product.part(arch(), Box((0, 0, 0, 0), target.shape)) for product in self.products[:2])
            self.e.binary("sub" if row else "add", spare, a, b)
            if self.op.do_relu:
                self.e.binary("max", other if narrow else target, spare, 0.0)
            if narrow:
                self.e.unary("cast", target, other if self.op.do_relu else spare)
