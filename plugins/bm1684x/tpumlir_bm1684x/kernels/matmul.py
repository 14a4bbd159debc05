"""Matrix products (MatMul), by the CONV instruction: F32 has no other that uses all lanes and execution units, and in 16 bits
none is faster.

Rows in the lanes: the left matrix, a row a lane, is the filters; the right one, K in the lanes and columns along w, is the
image; so the result has its rows in the lanes. Few rows and a weight on the right: the left matrix, K in the lanes, is
one image a row, the transposed weight is the filters; so the result has its columns in the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, inputs_per_step
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, Scratch, is_weight, relu
from tpumlir_bm1684x.kernels.filters import has_bias, rows_image, taps_image
from tpumlir_bm1684x.kernels.movement import FITTING
from tpumlir_core.ir import Array, Operation, WeightStore
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import FLOATS, Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

ONE = Sweep((1, 1))
FEW_BYTES = 128 << 10  # of a filter: two of them fit a lane
FULL = 0.9  # share of the multipliers' inputs from which a view of the left operand is good enough
RESULTS = 4  # of a step of the multipliers in 16 bits


@dataclass(frozen=True)
class Product:
    """A matrix product: batches of rows x inner by inner x columns, as the operands have them before any transposition."""

    left_batches: tuple[int, ...]
    right_batches: tuple[int, ...]
    batches: tuple[int, ...]
    rows: int
    inner: int
    columns: int

    @property
    def total_rows(self) -> int:
        return prod(self.batches) * self.rows

    def source_batches(self, side: tuple[int, ...]) -> Array:
        """For every batch of the result, in order, that of the operand with batches ``side``."""
        return np.broadcast_to(np.arange(prod(side)).reshape(side), self.batches).reshape(-1)


def product(op: Any) -> Product:
    """The product that an operation asks for."""
    left, right = op.shapes(op.input.shape, op.operands[1].shape)
    left = left if len(left) > 1 else (1, *left)
    right = right if len(right) > 1 else (*right, 1)
    batches = np.broadcast_shapes(left[:-2], right[:-2])
    return Product(tuple(left[:-2]), tuple(right[:-2]), batches, left[-2], left[-1], right[-1])


def weight_matrix(op: Any, weights: WeightStore) -> Array:
    """The right operand, a weight of one batch, as inner x columns."""
    p = product(op)
    matrix = weights[op.operands[1].name]
    if op.right_transpose and matrix.ndim > 1:
        return matrix.reshape(p.columns, p.inner).T
    return matrix.reshape(p.inner, p.columns)


def shares_weight(op: Any) -> bool:
    """Whether the right operand is a weight that is the same for all batches."""
    return is_weight(op.operands[1]) and prod(product(op).right_batches) == 1


class MatrixKernel(Kernel):
    """What both formulations share: in 16 bits the bias alone may be stored otherwise, as weights are."""

    native = FLOATS

    def takes(self, op: Any) -> bool:
        matrices = [op.input, *(v for i, v in enumerate(op.operands[1:2], 1) if i not in self.constant_operands(op)), op.output]
        bias = op.operands[2].type.element if has_bias(op) else F32
        element = op.output.type.element
        return {v.type.element for v in matrices} == {element} and element in self.native and bias in (F32, element)


class RowsInLanes(MatrixKernel):
    """A row a lane. A shared weight is laid out as the image (inner in the lanes, columns along w) by ``constants``."""

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views:
        p = product(op)
        batch, rows = self._merged(op, p, known)
        lefts = batch if shares_weight(op) else prod(p.left_batches)
        left = (lefts, p.inner, 1, rows) if _left_transposed(op) else (lefts, rows, 1, p.inner)
        if shares_weight(op):
            right: Shape4 | None = None
        else:
            rights = prod(p.right_batches)
            right = (rights, p.columns, 1, p.inner) if _right_transposed(op) else (rights, p.inner, 1, p.columns)
        bias: list[Shape4 | None] = [(1, 1, 1, p.columns) if has_bias(op) else None] * (len(op.operands) - 2)
        return Views((left, right, *bias), ((batch, rows, 1, p.columns),))

    def _merged(self, op: Any, p: Product, known: Sequence[Shape4 | None]) -> tuple[int, int]:
        """Batches and rows of the result's view; batches that share the right matrix may count as rows."""
        batch = prod(p.batches)
        if not shares_weight(op) or _left_transposed(op):
            return batch, p.rows
        merged = ceil_div(p.total_rows, arch().lanes)
        wanted = [(v[0], v[1]) for v in known[:1] if v is not None and v[2] == 1 and v[3] == p.inner]
        for n, c in (*wanted, (batch, p.rows)):
            if n * ceil_div(c, arch().lanes) * 4 <= merged * 5:
                return n, c
        return 1, p.total_rows

    def splits(self, op: Operation, views: Views) -> str:
        return "nc" if _right_transposed(op) and views.operands[1] is not None else "ncw"

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
            Box((first, 0, 0, c), (count, p.inner, 1, rows)) if _left_transposed(op) else Box((first, c, 0, 0), (count, rows, 1, p.inner))
        ]
        if right is None:
            boxes.append(None)
        else:
            first, count = _range(p.source_batches(p.right_batches), n, batches)
            if _right_transposed(op):
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
        left, right, out = _tensor(tile, 0), tile.operands[1], tile.results[0]
        size = 0
        if has_bias(op):
            size = aligned_bytes(arch(), (1, arch().lanes, 1, 1), F32) if out.element is F32 else _bias_bytes(_tensor(tile, 2), out)
        if _left_transposed(op):
            size += _turned_bytes(left)
        if right is not None and _right_transposed(op):
            size += _turned_bytes(right)
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
        bias, out = _tensor(tile, 2), tile.results[0]
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
        if _left_transposed(op):
            left = _turned(left, s, e)
        if _filled_up(op):
            filled = s.take(_filled_shape(p, tile), left.element)
            e.copy(filled, 0.0)
            e.copy(filled.part(arch(), Box((0, 0, 0, 0), left.shape)), left)
            left = filled
        if shared:
            return left, LocalTensor.aligned(arch(), tile.constants, (1, p.inner, 1, tile.out.size[3]), left.element)
        right = _one(tile, 1, int(p.source_batches(p.right_batches)[n]))
        return left, _turned(right, s, e) if _right_transposed(op) else right


class ColumnsInLanes(MatrixKernel):
    """Few rows times a weight. The left operand comes with K in the lanes, as a convolution leaves it, or along w; from
    global memory it comes spread over lanes and w, which makes the product a convolution with a kernel as wide as w."""

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        p = product(op)
        rows = p.total_rows
        seen = known[0] if known else None
        step = inputs_per_step(op.output.type.element)
        lanes = next(c for c in range(arch().lanes, 0, -1) if p.inner % c == 0 and (c % step == 0 or c == 1))
        if seen is None or seen[0] != rows or align(_inputs(seen), step) * FULL > _inputs(seen):
            seen = (rows, lanes, 1, p.inner // lanes)
        return Views((seen, *[None] * (len(op.operands) - 1)), ((rows, 1, 1, p.columns),))

    def splits(self, op: Operation, views: Views) -> str:
        return "nw"

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        left = views.operands[0]
        assert left is not None
        return [Box.whole(left).with_axis(0, out.start[0], out.size[0]), *[None] * (len(op.operands) - 1)]

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2})

    def piece_axis(self, op: Operation, views: Views) -> int:
        return 3

    def piece_unit(self, op: Operation, views: Views) -> int:
        return arch().lanes

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        columns = slice(out.start[3], out.stop[3])
        filters = weight_matrix(op, weights)[:, columns].T.reshape(out.size[3], _inputs(views.operands[0]), -1, 1)
        parts = [taps_image(filters, op.output.type.element)]
        if has_bias(op):
            parts.append(rows_image(weights[op.operands[2].name].reshape(-1, 1)[columns], F32))
        return np.concatenate(parts, axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        inputs = _inputs(views.operands[0])
        size = filter_bytes(inputs, product(op).inner // inputs, op.output.type.element)
        return ceil_div(out.size[3], arch().lanes) * (size + has_bias(op) * F32.bytes)

    def scratch(self, op: Any, tile: Tile) -> int:
        left = _tensor(tile, 0)
        n, _, _, columns = tile.out.size
        size = aligned_bytes(arch(), (n, columns, 1, 1), left.element)
        return size + (_turned_bytes(left) if left.shape[1] == 1 and left.shape[3] > 1 else 0)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = _tensor(tile, 0), tile.results[0], Scratch(tile.scratch)
        n, _, _, columns = out.shape
        sums = s.take((n, columns, 1, 1), out.element)
        if x.shape[1] == 1 and x.shape[3] > 1:
            x = _turned(x, s, e)
        size = filter_bytes(x.shape[1], x.shape[2] * x.shape[3], x.element)
        bias = tile.constants + ceil_div(columns, arch().lanes) * size
        e.convolve(sums, x, tile.constants, bias if has_bias(op) else None, Sweep((x.shape[2], x.shape[3])))
        relu(op, sums, e)
        for row in range(n):
            e.transpose(_row(out, row), _row(sums, row))


class MatMulKernel(ChoiceKernel):
    """MatMul: columns in the lanes where the rows are few, else rows."""

    def __init__(self) -> None:
        self._rows, self._columns = RowsInLanes(), ColumnsInLanes()

    def choose(self, op: Any) -> Kernel:
        p = product(op)
        rows, lanes, element = p.total_rows, arch().lanes, op.output.type.element
        if not shares_weight(op) or _left_transposed(op) or p.inner * element.bytes > FEW_BYTES:
            return self._rows
        if has_bias(op) and not is_weight(op.operands[2]):
            return self._rows
        results = arch().eu_bytes // F32.bytes if element is F32 else RESULTS
        by_row, by_column = ceil_div(rows, lanes) * ceil_div(p.columns, results), rows * ceil_div(p.columns, lanes)
        return self._columns if by_column <= by_row else self._rows

    def supports(self, op: Any) -> str | None:
        if op.hdim_is_batch or op.output_transpose:
            return "hdim_is_batch or output_transpose"
        p = product(op)
        if has_bias(op) and (op.operands[2].type.elements != p.columns or op.operands[2].shape[-1] != p.columns):
            return f"a bias of shape {list(op.operands[2].shape)}, which is not one for each of {p.columns} columns"
        if self.choose(op) is self._rows and self._rows.least_bytes(op) > FITTING * arch().lane_bytes:
            return f"rows of {p.inner} elements are too long for local memory"
        return None


def _left_transposed(op: Any) -> bool:
    return bool(op.left_transpose) and len(op.input.shape) > 1


def _right_transposed(op: Any) -> bool:
    return bool(op.right_transpose) and len(op.operands[1].shape) > 1


def _tensor(tile: Tile, index: int) -> LocalTensor:
    tensor = tile.operands[index]
    assert tensor is not None
    return tensor


def _row(x: LocalTensor, n: int) -> LocalTensor:
    return x.part(arch(), Box((n, 0, 0, 0), (1, *x.shape[1:])))


def _one(tile: Tile, index: int, batch: int) -> LocalTensor:
    """One batch (of the whole operand) of an operand of a tile."""
    box = tile.boxes[index]
    assert box is not None
    return _row(_tensor(tile, index), batch - box.start[0])


def _range(batches: Array, start: int, count: int) -> tuple[int, int]:
    """The operand batches that batches ``start`` to ``start + count`` of the result need: (first, how many)."""
    wanted = batches[start : start + count]
    return int(wanted.min()), int(wanted.max() - wanted.min() + 1)


def _turned_bytes(x: LocalTensor) -> int:
    """Scratch bytes of ``_turned`` for one batch."""
    _, c, h, w = x.shape
    return aligned_bytes(arch(), (1, w, h, c), x.element) + aligned_bytes(arch(), (1, c, h, w), x.element)


def _turned(x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """c and w exchanged."""
    n, c, h, w = x.shape
    if not x.is_aligned(arch()):
        part = s.take(x.shape, x.element)
        e.copy(part, x)
        x = part
    out = s.take((n, w, h, c), x.element)
    e.transpose(out, x)
    return out


def _inputs(view: Shape4 | None) -> int:
    """Input channels of the product as a convolution, of a left operand with columns in the lanes (``_turned`` from along w)."""
    assert view is not None
    return view[3] if view[1] == 1 else view[1]


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


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.MatMul", MatMulKernel())
