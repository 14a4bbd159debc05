"""Decompositions of picking and scattering at constant places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Operation, Value
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps

MOST_ROWS = 1 << 24  # numbers that float32 indices tell apart


def scatter_nd(op: top.ScatterND, s: Steps) -> bool:
    """Updates of a box of the input: Concat with what is around it. Of any other places: Gather from the input and the updates."""
    data, places, updates = op.operands
    indices = s.rewriter.constant(places)
    assert data is not None
    assert updates is not None
    if indices is None or 0 in (indices.size, updates.type.elements):
        return False
    depth = indices.shape[-1]
    outer, inner = data.shape[:depth], data.shape[depth:]
    numbers = np.rint(indices).astype(np.int64)
    rows = np.ravel_multi_index(tuple(numbers[..., i] % extent for i, extent in enumerate(outer)), outer).reshape(-1)
    box = _box(rows, outer)
    if box is not None:
        part = s.reshape(updates, *(stop - start for start, stop in box), *inner)
        return s.done_value(_overwritten(s, data, part, box))
    return _picked(op, s, indices, math.prod(outer), outer)


def elements(op: top.GatherElements | top.ScatterElements, s: Steps) -> bool:
    """Gather of single elements: from the input, or from it and the updates."""
    indices, shape = s.rewriter.constant(op.operands[1]), op.operands[0].type.shape if op.operands[0] is not None else ()
    return indices is not None and _picked(op, s, indices, math.prod(shape), shape)


def gather_nd(op: top.GatherND, s: Steps) -> bool:
    """Gather of rows, numbered through all axes that the indices name."""
    indices = s.rewriter.constant(op.operands[1])
    if indices is None:
        return False
    outer = op.input.shape[: op.batch_dims + indices.shape[-1]]
    return _picked(op, s, indices, math.prod(outer), outer)


def _picked(op: Operation, s: Steps, indices: Array, rows: int, outer: Sequence[int]) -> bool:
    """Gather of rows of the input, and behind them of the updates, as the operation itself picks among their numbers."""
    data, _, *rest = op.operands
    assert data is not None
    updates = rest[0] if rest else None
    width = data.type.elements // rows if rows else 0
    more = updates.type.elements // width if updates is not None and width else 0
    if 0 in (width, op.output.type.elements) or rows + more > MOST_ROWS:
        return False
    table = s.reshape(data, rows, width)
    numbers: list[Array | None] = [np.arange(rows).reshape(tuple(outer)), indices]
    if updates is not None:
        if not more:
            return s.done_reshape(data)
        table = s(top.Concat, table, s.reshape(updates, more, width), axis=0)
        numbers.append(rows + np.arange(more).reshape(indices.shape if isinstance(op, top.ScatterElements) else indices.shape[:-1]))
    source = op.evaluate(numbers)[0].reshape(-1)
    return s.done_reshape(s(top.Gather, table, s.weight(source, "indices"), axis=0))


def _box(rows: Array, extents: Sequence[int]) -> list[tuple[int, int]] | None:
    """(start, stop) along every axis where the rows, numbered in row-major order, are those of a box in order; else None."""
    places = np.unravel_index(rows, tuple(extents))
    box = [(int(axis.min()), int(axis.max()) + 1) for axis in places]
    grid = np.arange(math.prod(extents)).reshape(tuple(extents))[tuple(slice(*edges) for edges in box)]
    return box if np.array_equal(grid.reshape(-1), rows) else None


def _overwritten(s: Steps, data: Value, part: Value, box: Sequence[tuple[int, int]]) -> Value:
    """``data`` with ``part`` in place of the box of its first axes."""
    axis = next((i for i, (start, stop) in enumerate(box) if stop - start != data.shape[i]), None)
    if axis is None:
        return part
    start, stop = box[axis]
    within = [(0, stop - start) if i == axis else edges for i, edges in enumerate(box)]
    middle = _overwritten(s, _range(s, data, axis, start, stop), part, within) if _partial(data, box, axis + 1) else part
    pieces = [_range(s, data, axis, 0, start)] if start else []
    pieces.append(middle)
    if stop < data.shape[axis]:
        pieces.append(_range(s, data, axis, stop, data.shape[axis]))
    return s(top.Concat, *pieces, axis=axis)


def _partial(data: Value, box: Sequence[tuple[int, int]], first: int) -> bool:
    return any(stop - start != data.shape[i] for i, (start, stop) in enumerate(box) if i >= first)


def _range(s: Steps, value: Value, axis: int, start: int, stop: int) -> Value:
    rank = len(value.shape)
    ends = tuple(stop if i == axis else n for i, n in enumerate(value.shape))
    return s(top.Slice, value, offset=tuple(start if i == axis else 0 for i in range(rank)), steps=(1,) * rank, ends=ends)


SCATTER: Mapping[str, Decomposition] = {
    "top.GatherElements": elements, "top.GatherND": gather_nd, "top.ScatterElements": elements, "top.ScatterND": scatter_nd,
}
