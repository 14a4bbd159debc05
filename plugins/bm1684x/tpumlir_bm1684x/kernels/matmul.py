"""Matrix products (MatMul), by the CONV instruction: F32 has no other that uses all lanes and execution units.

Rows in the lanes: the left matrix, a row a lane, is the filters; the right one, K in the lanes and columns along w, is the
image; so the result has its rows in the lanes. Few rows and a weight on the right: the left matrix, K in the lanes, is
one image a row, the transposed weight is the filters; so the result has its columns in the lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, Scratch, is_weight, relu
from tpumlir_bm1684x.kernels.filters import by_lane, has_bias
from tpumlir_bm1684x.kernels.movement import FITTING
from tpumlir_core.ir import Array, Operation, WeightStore
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

ONE = Sweep((1, 1))
FEW_BYTES = 128 << 10  # of a filter: two of them fit a lane


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


class RowsInLanes(Kernel):
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
        columns = out.size[3]
        rows = np.zeros((product(op).inner, align(columns, 16)), np.float32)
        rows[:, :columns] = weight_matrix(op, weights)[:, out.start[3] : out.stop[3]]
        return by_lane(rows).view(np.uint8)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return aligned_bytes(arch(), (1, product(op).inner, 1, out.size[3]), F32) if shares_weight(op) else 0

    def scratch(self, op: Any, tile: Tile) -> int:
        """Room for one batch of each operand, transposed and, where it is a part of a larger tile, copied before; for the ones."""
        left, right = _tensor(tile, 0), tile.operands[1]
        size = aligned_bytes(arch(), (1, arch().lanes, 1, 1), F32) if has_bias(op) else 0
        if _left_transposed(op):
            size += _turned_bytes(left)
        if right is not None and _right_transposed(op):
            size += _turned_bytes(right)
        return size

    def least_bytes(self, op: Any) -> int:
        """Bytes a lane of the smallest tile: a row in each lane, or fewer."""
        views = self.views(op, [None] * len(op.operands))
        _, rows, _, columns = views.results[0]
        out = Box((0, 0, 0, 0), (1, min(rows, arch().lanes), 1, columns if "w" not in self.splits(op, views) else 1))
        boxes = self.input_slices(op, views, out)
        tensors = [None if box is None else LocalTensor.aligned(arch(), 0, box.size, F32) for box in boxes]
        y = LocalTensor.aligned(arch(), 0, out.size, F32)
        constants = aligned_bytes(arch(), (1, product(op).inner, 1, 1), F32) if shares_weight(op) else 0
        held = sum(aligned_bytes(arch(), t.shape, F32) for t in (*tensors, y) if t is not None)
        return constants + held + self.scratch(op, Tile(tuple(tensors), (y,), tuple(boxes), out))

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        out, s = tile.results[0], Scratch(tile.scratch)
        ones = None
        if has_bias(op):
            ones = s.take((1, arch().lanes, 1, 1))
            e.copy(ones, 1.0)
        begin = s.top
        for batch in range(out.shape[0]):
            s.top = begin
            left, right = self._batch(op, tile, batch, s, e)
            for row in range(0, out.shape[1], arch().lanes):
                count = min(arch().lanes, out.shape[1] - row)
                target = out.part(arch(), Box((batch, row, 0, 0), (1, count, 1, out.shape[3])))
                filters = left.part(arch(), Box((0, row, 0, 0), (1, count, 1, left.shape[3]))).address
                if ones is not None:
                    e.convolve(target, _tensor(tile, 2), ones.address, None, ONE)
                e.convolve(target, right, filters, None, ONE, accumulate=ones is not None)
        relu(op, out, e)

    def _batch(self, op: Any, tile: Tile, batch: int, s: Scratch, e: Bm1684xEmitter) -> tuple[LocalTensor, LocalTensor]:
        """Left (rows in the lanes) and right matrix (inner in the lanes) of one batch of the tile."""
        p, n = product(op), tile.out.start[0] + batch
        shared = tile.operands[1] is None
        left = _one(tile, 0, n if shared else int(p.source_batches(p.left_batches)[n]))
        if _left_transposed(op):
            left = _turned(left, s, e)
        if shared:
            return left, LocalTensor.aligned(arch(), tile.constants, (1, p.inner, 1, tile.out.size[3]), F32)
        right = _one(tile, 1, int(p.source_batches(p.right_batches)[n]))
        return left, _turned(right, s, e) if _right_transposed(op) else right


class ColumnsInLanes(Kernel):
    """Few rows times a weight. The left operand comes with K in the lanes, as a convolution leaves it, or along w; from
    global memory it comes spread over lanes and w, which makes the product a convolution with a kernel as wide as w."""

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        p = product(op)
        rows = p.total_rows
        seen = known[0] if known else None
        lanes = next(c for c in range(arch().lanes, 0, -1) if p.inner % c == 0)
        left = seen if seen is not None and seen[0] == rows else (rows, lanes, 1, p.inner // lanes)
        return Views((left, *[None] * (len(op.operands) - 1)), ((rows, 1, 1, p.columns),))

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
        parts = [by_lane(weight_matrix(op, weights)[:, columns].T)]
        if has_bias(op):
            parts.append(by_lane(weights[op.operands[2].name].reshape(-1, 1)[columns]))
        return np.concatenate(parts, axis=1).view(np.uint8)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return ceil_div(out.size[3], arch().lanes) * (product(op).inner + has_bias(op)) * F32.bytes

    def scratch(self, op: Any, tile: Tile) -> int:
        left = _tensor(tile, 0)
        n, _, _, columns = tile.out.size
        size = aligned_bytes(arch(), (n, columns, 1, 1), F32)
        return size + (_turned_bytes(left) if left.shape[1] == 1 and left.shape[3] > 1 else 0)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = _tensor(tile, 0), tile.results[0], Scratch(tile.scratch)
        n, _, _, columns = out.shape
        sums = s.take((n, columns, 1, 1))
        if x.shape[1] == 1 and x.shape[3] > 1:
            x = _turned(x, s, e)
        bias = tile.constants + ceil_div(columns, arch().lanes) * product(op).inner * F32.bytes
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
        rows, lanes = p.total_rows, arch().lanes
        if not shares_weight(op) or _left_transposed(op) or p.inner * F32.bytes > FEW_BYTES:
            return self._rows
        if has_bias(op) and not is_weight(op.operands[2]):
            return self._rows
        by_row, by_column = ceil_div(rows, lanes) * ceil_div(p.columns, 16), rows * ceil_div(p.columns, lanes)
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
    return aligned_bytes(arch(), (1, w, h, c), F32) + aligned_bytes(arch(), (1, c, h, w), F32)


def _turned(x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """c and w exchanged."""
    n, c, h, w = x.shape
    if not x.is_aligned(arch()):
        part = s.take(x.shape)
        e.copy(part, x)
        x = part
    out = s.take((n, w, h, c))
    e.transpose(out, x)
    return out


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.MatMul", MatMulKernel())
