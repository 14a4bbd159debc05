"""Decompositions for targets that limit how operands broadcast, how many axes are padded, or what may be an index."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps

# More axes than targets broadcast over at once.
_MANY_AXES = 4
# Elements of a one-hot matrix beyond which a Gather is not a product with it.
_LARGEST_ONE_HOT = 1 << 26


def expand_operands(op: Operation, s: Steps) -> bool:
    """Operands of a broadcast over many axes are expanded first."""
    shape = op.output.shape
    present = [v for v in op.operands if v is not None]
    if len(shape) <= _MANY_AXES or all(v.shape == shape for v in present):
        return False
    wide = [None if v is None else v if v.shape == shape else s(top.Expand, v, shape=shape) for v in op.operands]
    made = s.rewriter.remake(op, wide, op.name)
    s.rewriter.replace(op, made.output)
    return True


def pad(op: top.Pad, s: Steps) -> bool:
    """One axis at a time, seen as [outer, axis, inner]."""
    rank = len(op.input.shape)
    widths = op.widths(rank)
    axes = [axis for axis, width in enumerate(widths) if width != (0, 0)]
    if 0 in op.input.shape or 0 in op.output.shape or (len(axes) == 1 and rank <= 3):
        return False
    value = op.input
    for axis in axes:
        shape = value.shape
        before, after = widths[axis]
        flat = s.reshape(value, math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        padded = s(top.Pad, flat, paddings=(0, before, 0, 0, after, 0), val=op.val, mode=op.mode)
        value = s.reshape(padded, *shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
    return s.done_value(value)


def gather(op: top.Gather, s: Steps) -> bool:
    """Indices that are computed pick rows by a product with their one-hot matrix."""
    table, indices = op.operands[:2]
    assert table is not None
    assert indices is not None
    rank = len(table.shape)
    axis = op.axis % max(rank, 1)
    rows, count = table.shape[axis] if rank else 0, indices.type.elements
    if s.rewriter.constant(indices) is not None or not 0 < rows * count <= _LARGEST_ONE_HOT or not table.type.element.is_float:
        return False
    order = (axis, *(i for i in range(rank) if i != axis))
    first = table if axis == 0 else s.permute(table, *order)
    matrix = s.reshape(first, rows, math.prod(first.shape[1:]))
    picked = s(top.MatMul, _one_hot(s, indices, rows), matrix)
    placed = s.reshape(picked, count, math.prod(table.shape[:axis]), math.prod(table.shape[axis + 1 :]))
    return s.done_reshape(placed if axis == 0 else s.permute(placed, 1, 0, 2))


def _one_hot(s: Steps, indices: Value, rows: int) -> Value:
    """[count, rows]: 1 where the column is the index; negative indices count from the end."""
    column = s.reshape(indices, indices.type.elements, 1)
    column = column if column.type.element.is_float else s(top.Cast, column, to="F32")
    negative = s(top.CompareConst, column, mode="Less", const_val=0.0, inversed=False)
    positive = s(top.Add, column, s.times(negative, float(rows)))
    return s(top.Compare, positive, s.weight(np.arange(rows).reshape(1, rows), "rows"), mode="Equal")


BROADCASTING = frozenset(
    f"top.{name}"
    for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Compare", "LogicalAnd", "PRelu", "Mod", "Remainder", "Pow3", "Where")
)
RANKS: Mapping[str, Decomposition] = {"top.Pad": pad, "top.Gather": gather}
