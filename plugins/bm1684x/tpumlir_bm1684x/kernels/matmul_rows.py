"""Matrix products with the rows of the result in the lanes.

The left matrix, a row a lane, is the filters of a convolution of one tap; the right one, K in the lanes and columns along w, is
the image. In 16 bits a step of the multipliers takes 32 of K at once, which lie along a lane as a row of the left matrix has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import inputs_per_step
from tpumlir_bm1684x.kernels.common import F32, Scratch, relu
from tpumlir_bm1684x.kernels.filters import has_bias, rows_image
from tpumlir_bm1684x.kernels.matrices import (
    ONE,
    MatrixKernel,
    Product,
    left_transposed,
    one_image,
    product,
    right_transposed,
    shares_weight,
    tile_operand,
    turned,
    turned_bytes,
    weight_matrix,
)
from tpumlir_core.ir import Array, Operation, WeightStore
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


class RowsInLanes(MatrixKernel):
    """A row a lane. A shared weight is laid out as the image (inner in the lanes, columns along w) by ``constants``."""

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views:
        p = product(op)
        batch, rows = self._merged(op, p, known)
        lefts = batch if shares_weight(op) else prod(p.left_batches)
        left = (lefts, p.inner, 1, rows) if left_transposed(op) else (lefts, rows, 1, p.inner)
        if shares_weight(op):
            right: Shape4 | None = None
        else:
            rights = prod(p.right_batches)
            right = (rights, p.columns, 1, p.inner) if right_transposed(op) else (rights, p.inner, 1, p.columns)
        bias: list[Shape4 | None] = [(1, 1, 1, p.columns) if has_bias(op) else None] * (len(op.operands) - 2)
        return Views((left, right, *bias), ((batch, rows, 1, p.columns),))

    def _merged(self, op: Any, p: Product, known: Sequence[Shape4 | None]) -> tuple[int, int]:
        """Batches and rows of the result's view; batches that share the right matrix may count as rows."""
        batch = prod(p.batches)
        if not shares_weight(op) or left_transposed(op):
            return batch, p.rows
        merged = ceil_div(p.total_rows, arch().lanes)
        wanted = [(v[0], v[1]) for v in known[:1] if v is not None and v[2] == 1 and v[3] == p.inner]
        for n, c in (*wanted, (batch, p.rows)):
            if n * ceil_div(c, arch().lanes) * 4 <= merged * 5:
                return n, c
        return 1, p.total_rows

    def splits(self, op: Operation, views: Views) -> str:
        return "nc" if right_transposed(op) and views.operands[1] is not None else "ncw"

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        p = product(op)
        (n, c, _, w), (batches, rows, _, columns) = out.start, out.size
        left, right = views.operands[:2]
        assert left is not None
        if right is None:
            first, count = n, batches
        else:
            first, count = _range(p.source_batches(p.left_batches), n, batches)
        boxes: list[Box | None] = [
            Box((first, 0, 0, c), (count, p.inner, 1, rows)) if left_transposed(op) else Box((first, c, 0, 0), (count, rows, 1, p.inner))
        ]
        if right is None:
            boxes.append(None)
        else:
            first, count = _range(p.source_batches(p.right_batches), n, batches)
            if right_transposed(op):
                boxes.append(Box((first, w, 0, 0), (count, columns, 1, p.inner)))
            else:
                boxes.append(Box((first, 0, 0, w), (count, p.inner, 1, columns)))
        return boxes + [None if view is None else Box((0, 0, 0, w), (1, 1, 1, columns)) for view in views.operands[2:]]

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1}) if shares_weight(op) else frozenset()

    def piece_axis(self, op: Operation, views: Views) -> int:
        return 3

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        if not shares_weight(op):
            return None
        columns, element = out.size[3], op.output.type.element
        rows = np.zeros((product(op).inner, align(columns, arch().eu_bytes // element.bytes)), np.float32)
        rows[:, :columns] = weight_matrix(op, weights)[:, out.start[3] : out.stop[3]]
        return rows_image(rows, element)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return aligned_bytes(arch(), (1, product(op).inner, 1, out.size[3]), op.output.type.element) if shares_weight(op) else 0

    def scratch(self, op: Any, tile: Tile) -> int:
        """Room for one batch of each operand, transposed and, where it is a part of a larger tile, copied before; for rows filled
        up; for what the bias takes."""
        left, right, out = tile_operand(tile, 0), tile.operands[1], tile.results[0]
        size = 0
        if has_bias(op):
            size = aligned_bytes(arch(), (1, arch().lanes, 1, 1), F32) if out.element is F32 else _bias_bytes(tile_operand(tile, 2), out)
        if left_transposed(op):
            size += turned_bytes(left, 1)
        if right is not None and right_transposed(op):
            size += turned_bytes(right, 1)
        return size + (aligned_bytes(arch(), _filled_shape(product(op), tile), out.element) if _filled_up(op) else 0)

    def least_bytes(self, op: Any) -> int:
        """Bytes a lane of the smallest tile: a row in each lane, or fewer."""
        views = self.views(op, [None] * len(op.operands))
        _, rows, _, columns = views.results[0]
        out = Box((0, 0, 0, 0), (1, min(rows, arch().lanes), 1, columns if "w" not in self.splits(op, views) else 1))
        boxes = self.input_slices(op, views, out)
        element = op.output.type.element
        tensors = [None if box is None else LocalTensor.aligned(arch(), 0, box.size, element) for box in boxes]
        y = LocalTensor.aligned(arch(), 0, out.size, element)
        constants = aligned_bytes(arch(), (1, product(op).inner, 1, 1), element) if shares_weight(op) else 0
        held = sum(aligned_bytes(arch(), t.shape, element) for t in (*tensors, y) if t is not None)
        return constants + held + self.scratch(op, Tile(tuple(tensors), (y,), tuple(boxes), out))

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        out, s = tile.results[0], Scratch(tile.scratch)
        multiply = self._multiplier(op, tile, s, e)
        begin = s.top
        for batch in range(out.shape[0]):
            s.top = begin
            left, right = self._batch(op, tile, batch, s, e)
            for row in range(0, out.shape[1], arch().lanes):
                count = min(arch().lanes, out.shape[1] - row)
                target = out.part(arch(), Box((batch, row, 0, 0), (1, count, 1, out.shape[3])))
                multiply(target, right, left.part(arch(), Box((0, row, 0, 0), (1, count, 1, left.shape[3]))).address)
        relu(op, out, e)

    def _multiplier(self, op: Any, tile: Tile, s: Scratch, e: Bm1684xEmitter) -> Callable[[LocalTensor, LocalTensor, int], None]:
        """What computes the rows of one group of lanes from the right matrix and the address of their left ones.

        F32 sums go on from the bias, which a convolution by ones brings to all lanes; sums of 16 bits cannot, so it is added.
        """
        if not has_bias(op):
            return lambda target, right, filters: e.convolve(target, right, filters, None, ONE)
        bias, out = tile_operand(tile, 2), tile.results[0]
        if out.element is F32:
            ones = s.take((1, arch().lanes, 1, 1))
            e.copy(ones, 1.0)

            def accumulate(target: LocalTensor, right: LocalTensor, filters: int) -> None:
                e.convolve(target, bias, ones.address, None, ONE)
                e.convolve(target, right, filters, None, ONE, accumulate=True)

            return accumulate
        everywhere = _in_every_lane(bias, out, s, e)
        sums = s.take(everywhere.shape, out.element)

        def add(target: LocalTensor, right: LocalTensor, filters: int) -> None:
            part, terms = (x.part(arch(), Box((0, 0, 0, 0), target.shape)) for x in (sums, everywhere))
            e.convolve(part, right, filters, None, ONE)
            e.binary("add", target, part, terms)

        return add

    def _batch(self, op: Any, tile: Tile, batch: int, s: Scratch, e: Bm1684xEmitter) -> tuple[LocalTensor, LocalTensor]:
        """Left (rows in the lanes) and right matrix (inner in the lanes) of one batch of the tile."""
        p, n = product(op), tile.out.start[0] + batch
        shared = tile.operands[1] is None
        left = _one(tile, 0, n if shared else int(p.source_batches(p.left_batches)[n]))
        if left_transposed(op):
            left = turned(left, s, e)
        if _filled_up(op):
            filled = s.take(_filled_shape(p, tile), left.element)
            e.copy(filled, 0.0)
            e.copy(filled.part(arch(), Box((0, 0, 0, 0), left.shape)), left)
            left = filled
        if shared:
            return left, LocalTensor.aligned(arch(), tile.constants, (1, p.inner, 1, tile.out.size[3]), left.element)
        right = _one(tile, 1, int(p.source_batches(p.right_batches)[n]))
        return left, turned(right, s, e) if right_transposed(op) else right


def _one(tile: Tile, index: int, batch: int) -> LocalTensor:
    """One batch (of the whole operand) of an operand of a tile."""
    box = tile.boxes[index]
    assert box is not None
    return one_image(tile_operand(tile, index), batch - box.start[0])


def _range(batches: Array, start: int, count: int) -> tuple[int, int]:
    """The operand batches that batches ``start`` to ``start + count`` of the result need: (first, how many)."""
    wanted = batches[start : start + count]
    return int(wanted.min()), int(wanted.max() - wanted.min() + 1)


def _filled_up(op: Any) -> bool:
    """Whether the rows of the left matrix are no whole steps of the multipliers, so that what lies behind them has to be zero."""
    return bool(product(op).inner % inputs_per_step(op.output.type.element))


def _filled_shape(p: Product, tile: Tile) -> Shape4:
    """One batch of the left matrix with its rows filled up."""
    return (1, tile.out.size[1], 1, align(p.inner, inputs_per_step(tile.results[0].element)))


def _bias_bytes(bias: LocalTensor, out: LocalTensor) -> int:
    """Scratch bytes of a bias in every lane and of sums to add it to, in 16 bits."""
    rows = (1, min(out.shape[1], arch().lanes), 1, out.shape[3])
    return 2 * aligned_bytes(arch(), rows, out.element) + aligned_bytes(arch(), bias.shape, out.element)


def _in_every_lane(bias: LocalTensor, out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """A bias (1, 1, 1, columns) in the element type of ``out``, once for each row of a group of lanes."""
    row = s.take(bias.shape, out.element)
    e.unary("cast" if bias.element is F32 else "copy", row, bias)
    wide = s.take((1, min(out.shape[1], arch().lanes), 1, out.shape[3]), out.element)
    e.lane_broadcast(wide, row)
    return wide
