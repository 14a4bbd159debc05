"""Canonical forms of data movement: what moves nothing goes, what only renames axes becomes Reshape, chains become one."""

from __future__ import annotations

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.passes.rewriting import Rewriter, Rules


def _reshape(op: Operation, source: Value, rewriter: Rewriter) -> bool:
    """Replace ``op`` by a Reshape of ``source`` to its shape; not for empty tensors, as 0 means another thing in a Reshape."""
    if 0 in op.output.shape:
        return False
    made = rewriter.insert(top.Reshape, [source], op.name, shape=op.output.shape)
    rewriter.replace(op, made.output)
    return True


def drop_identity(op: Operation, rewriter: Rewriter) -> bool:
    """An operation that only moves data and leaves the shape as it is moves nothing: it goes (see ``_moves_nothing``)."""
    return op.input.type.holds_as(op.output.type) and _moves_nothing(op) and rewriter.forward(op, op.input)


def _moves_nothing(op: Operation) -> bool:
    match op:
        case top.Reshape() | top.Flatten() | top.Squeeze() | top.Unsqueeze() | top.Expand() | top.Tile() | top.Upsample(do_relu=False):
            return True
        case top.Permute():
            rank = len(op.input.shape)
            return op.order_of(rank) == tuple(range(rank))
        case top.Concat():
            return len(op.operands) == 1 and not op.do_relu
        case top.Split():
            return len(op.results) == 1
        case top.Slice():
            return len(op.operands) == 1 and all(step == 1 for step in op.steps)
        case top.Pad():
            return not any(op.paddings)
        case top.Cast():
            return op.to in ("", "F32")
        case top.Depth2Space():
            return op.block_h == op.block_w == 1 and op.in_is_NCHW == op.out_is_NCHW
        case top.AvgPool() | top.MaxPool():
            return not op.do_relu and set(op.kernel_shape) == {1} and set(op.strides) == {1} and not any(op.pads)
        case _:
            return False


def rename_axes(op: Operation, rewriter: Rewriter) -> bool:
    """Squeeze, Unsqueeze, Flatten, an Expand that repeats nothing: a Reshape."""
    return op.input.type.elements == op.output.type.elements and _reshape(op, op.input, rewriter)


def plain_reshape(op: Operation, rewriter: Rewriter) -> bool:
    """A Reshape names its whole shape and needs no shape operand; a Reshape of a Reshape is one."""
    assert isinstance(op, top.Reshape)
    below = op.input.owner
    if isinstance(below, top.Reshape):
        return _reshape(op, below.input, rewriter)
    if len(op.operands) == 1 and op.shape == op.output.shape and op.flatten_start_dim == -1:
        return False
    return _reshape(op, op.input, rewriter)


def transpose(op: Operation, rewriter: Rewriter) -> bool:
    """Transpose is a Permute that swaps two axes."""
    assert isinstance(op, top.Transpose)
    rank = len(op.output.shape)
    if rank < 2:
        return rewriter.forward(op, op.input)
    made = rewriter.insert(top.Permute, [op.input], op.name, order=op.order_of(rank))
    rewriter.replace(op, made.output)
    return True


def plain_permute(op: Operation, rewriter: Rewriter) -> bool:
    """A Permute of a Permute is one; a Permute that keeps the order of all axes longer than 1 is a Reshape."""
    assert isinstance(op, top.Permute)
    order = op.order_of(len(op.input.shape))
    long = [axis for axis in order if op.input.shape[axis] != 1]
    if long == sorted(long):
        return _reshape(op, op.input, rewriter)
    below = op.input.owner
    if not isinstance(below, top.Permute):
        return False
    inner = below.order_of(len(order))
    made = rewriter.insert(top.Permute, [below.input], op.name, order=tuple(inner[axis] for axis in order))
    rewriter.replace(op, made.output)
    return True


def merge_concat(op: Operation, rewriter: Rewriter) -> bool:
    """A Concat into which only another Concat along the same axis runs takes that one's operands."""
    assert isinstance(op, top.Concat)
    rank = len(op.output.shape)
    if len(op.operands) > _MERGED_OPERANDS:
        return False
    for position, value in enumerate(op.operands):
        below = value.owner if value is not None else None
        if not isinstance(below, top.Concat) or below.do_relu or below.axis % rank != op.axis % rank or not rewriter.only_use(below.output):
            continue
        operands = [*op.operands[:position], *below.operands, *op.operands[position + 1 :]]
        made = rewriter.remake(op, operands, op.name)
        rewriter.replace(op, made.output)
        return True
    return False


def drop_empty(op: Operation, rewriter: Rewriter) -> bool:
    """A Concat does without operands that have no elements, as a Slice of nothing has."""
    assert isinstance(op, top.Concat)
    kept = [value for value in op.operands if value is None or value.type.elements]
    if not kept or len(kept) == len(op.operands):
        return False
    made = rewriter.remake(op, kept, op.name)
    rewriter.replace(op, made.output)
    return True


def global_pool(op: Operation, rewriter: Rewriter) -> bool:
    """Mean or maximum over the two spatial axes of a 4-D tensor: a pool whose kernel is the whole image."""
    assert isinstance(op, top.Reduce)
    shape = op.input.shape
    kinds = {"ReduceMean": top.AvgPool, "ReduceMax": top.MaxPool}
    if len(shape) != 4 or op.over(4) != (2, 3) or op.mode not in kinds or op.is_scalar:
        return False
    name = op.name if op.keepdims else rewriter.fresh(f"{op.name}_pool")
    pooled = rewriter.insert(
        kinds[op.mode], [op.input], name, kernel_shape=shape[2:], strides=(1, 1), pads=(0,) * 4, count_include_pad=True
    )
    if op.keepdims:
        rewriter.replace(op, pooled.output)
        return True
    return _reshape(op, pooled.output, rewriter)


def adaptive_pool(op: Operation, rewriter: Rewriter) -> bool:
    """An adaptive average pool to one value, or to a divisor of the extents, is an average pool."""
    assert isinstance(op, top.AdaptiveAvgPool)
    extents, wanted = op.input.shape[2:], op.output.shape[2:]
    if len(op.output_size) != len(wanted) or any(extent % size for extent, size in zip(extents, wanted, strict=True)):
        return False
    window = tuple(extent // size for extent, size in zip(extents, wanted, strict=True))
    made = rewriter.insert(
        top.AvgPool, [op.input], op.name, kernel_shape=window, strides=window, pads=(0,) * (2 * len(window)), count_include_pad=True
    )
    rewriter.replace(op, made.output)
    return True


# Operands above which concatenations are not merged any more: keeps chains of them linear.
_MERGED_OPERANDS = 64
_MOVING = (
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Upsample", "Permute", "Concat", "Split", "Slice", "Pad", "Cast",
    "Depth2Space", "AvgPool", "MaxPool",
)

MOVEMENT_RULES: Rules = {
    **{f"top.{name}": (drop_identity,) for name in _MOVING},
    **{f"top.{name}": (drop_identity, rename_axes) for name in ("Flatten", "Squeeze", "Unsqueeze", "Expand")},
    "top.Reshape": (drop_identity, plain_reshape),
    "top.Transpose": (transpose,),
    "top.Permute": (drop_identity, plain_permute),
    "top.Concat": (drop_empty, drop_identity, merge_concat),
    "top.Reduce": (global_pool,),
    "top.AdaptiveAvgPool": (adaptive_pool,),
}
