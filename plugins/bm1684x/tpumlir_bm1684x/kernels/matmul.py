"""Matrix products (MatMul), by the CONV instruction: F32 has no other that uses all lanes and execution units, and in 16 bits
none is faster.

Rows in the lanes (``matmul_rows``) in general. Few rows and a weight on the right: the left matrix, K in the lanes, is one image
a row, the transposed weight is the filters; so the result has its columns in the lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, inputs_per_step, results_per_step
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, Scratch, is_weight, relu
from tpumlir_bm1684x.kernels.filters import has_bias, rows_image, taps_image
from tpumlir_bm1684x.kernels.matmul_rows import RowsInLanes
from tpumlir_bm1684x.kernels.matrices import (
    MatrixKernel,
    left_transposed,
    one_image,
    product,
    shares_weight,
    tile_operand,
    turned,
    turned_bytes,
    weight_matrix,
)
from tpumlir_bm1684x.kernels.movement import FITTING
from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, Shape4, aligned_bytes

FEW_BYTES = 128 << 10  # of a filter: two of them fit a lane
FULL = 0.9  # share of the multipliers' inputs from which a view of the left operand is good enough


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
        left = tile_operand(tile, 0)
        n, _, _, columns = tile.out.size
        size = aligned_bytes(arch(), (n, columns, 1, 1), left.element)
        return size + (turned_bytes(left, left.shape[0]) if left.shape[1] == 1 and left.shape[3] > 1 else 0)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = tile_operand(tile, 0), tile.results[0], Scratch(tile.scratch)
        n, _, _, columns = out.shape
        sums = s.take((n, columns, 1, 1), out.element)
        if x.shape[1] == 1 and x.shape[3] > 1:
            x = turned(x, s, e)
        size = filter_bytes(x.shape[1], x.shape[2] * x.shape[3], x.element)
        bias = tile.constants + ceil_div(columns, arch().lanes) * size
        e.convolve(sums, x, tile.constants, bias if has_bias(op) else None, Sweep((x.shape[2], x.shape[3])))
        relu(op, sums, e)
        for row in range(n):
            e.transpose(one_image(out, row), one_image(sums, row))


class MatMulKernel(ChoiceKernel):
    """MatMul: columns in the lanes where the rows are few, else rows."""

    def __init__(self) -> None:
        self._rows, self._columns = RowsInLanes(), ColumnsInLanes()

    def choose(self, op: Any) -> Kernel:
        p = product(op)
        rows, lanes, element = p.total_rows, arch().lanes, op.output.type.element
        if not shares_weight(op) or left_transposed(op) or p.inner * element.bytes > FEW_BYTES:
            return self._rows
        if has_bias(op) and not is_weight(op.operands[2]):
            return self._rows
        results = results_per_step(element)
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


def _inputs(view: Shape4 | None) -> int:
    """Input channels of the product as a convolution, of a left operand with columns in the lanes (``turned`` from along w)."""
    assert view is not None
    return view[3] if view[1] == 1 else view[1]


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.MatMul", MatMulKernel())
