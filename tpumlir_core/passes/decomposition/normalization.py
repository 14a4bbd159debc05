"""Decompositions of normalizations and reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Value
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps


def _optional(op: top.LayerNorm | top.InstanceNorm | top.GroupNorm | top.PixelNorm | top.RMSNorm, position: int) -> Value | None:
    return op.operands[position] if position < len(op.operands) else None


def _mean(s: Steps, value: Value, *axes: int) -> Value:
    return s(top.Reduce, value, axes=axes, keepdims=True, mode="ReduceMean")


def _per_channel(s: Steps, factor: Value, rank: int) -> Value:
    """One number a channel, shaped to broadcast over ``rank`` dimensions."""
    return s.reshape(factor, 1, factor.type.elements, *(1,) * (rank - 2))


def _finish(s: Steps, value: Value, weight: Value | None, bias: Value | None) -> bool:
    """Finish with value * weight + bias."""
    if bias is None:
        return s.done(top.Mul, value, weight) if weight is not None else s.done_value(value)
    return s.done(top.Add, value if weight is None else s(top.Mul, value, weight), bias)


def scale(op: top.Scale, s: Steps) -> bool:
    """Mul, then Add."""
    rank = len(op.output.shape)
    factor, bias = op.operands[1:3]
    assert factor is not None
    assert bias is not None
    return s.done(top.Add, s(top.Mul, op.input, _per_channel(s, factor, rank)), _per_channel(s, bias, rank))


def batch_norm(op: top.BatchNorm, s: Steps) -> bool:
    """(x - mean) / sqrt(variance + eps) gamma + beta, where the statistics are no constants."""
    rank = len(op.output.shape)
    factors = [None if v is None else _per_channel(s, v, rank) for v in [*op.operands[1:], None, None][:4]]
    mean, variance, gamma, beta = factors
    assert variance is not None
    centred = s(top.Mul, s(top.Sub, op.input, mean), s(top.Rsqrt, s.plus(variance, op.epsilon)))
    return _finish(s, centred, gamma, beta)


def layer_norm(op: top.LayerNorm, s: Steps) -> bool:
    """Its weight and bias apart; then (x - mean) / sqrt(variance + eps)."""
    rank = len(op.output.shape)
    axis = op.axis % rank
    weight, bias = _optional(op, 1), _optional(op, 2)
    if weight is not None or bias is not None:
        plain = s(top.LayerNorm, op.input, None, None, **op.attributes())
        inner = op.output.shape[axis:]
        weight, bias = (None if v is None else s.reshape(v, *inner) for v in (weight, bias))
        return _finish(s, plain, weight, bias)
    axes = tuple(range(axis, rank))
    centred = s(top.Sub, op.input, _mean(s, op.input, *axes))
    variance = _mean(s, s(top.Mul, centred, centred), *axes)
    return s.done(top.Mul, centred, s(top.Rsqrt, s.plus(variance, op.eps)))


def instance_norm(op: top.InstanceNorm, s: Steps) -> bool:
    """LayerNorm over the positions, then Scale."""
    shape = op.output.shape
    plain = s(top.LayerNorm, op.input, None, None, normalized_shape=shape[2:], axis=2, eps=op.eps)
    return _by_channel(s, plain, op)


def _by_channel(s: Steps, plain: Value, op: top.InstanceNorm | top.GroupNorm) -> bool:
    weight, bias = _optional(op, 1), _optional(op, 2)
    if weight is None and bias is None:
        return s.done_value(plain)
    channels = op.output.shape[1]
    weight = s.weight(np.ones(channels), "scale") if weight is None else weight
    bias = s.weight(np.zeros(channels), "bias") if bias is None else bias
    return s.done(top.Scale, plain, weight, bias)


def group_norm(op: top.GroupNorm, s: Steps) -> bool:
    """LayerNorm of [N, groups, everything else], then Scale."""
    shape = op.output.shape
    inner = math.prod(shape[1:]) // op.num_groups
    grouped = s.reshape(op.input, shape[0], op.num_groups, inner)
    plain = s(top.LayerNorm, grouped, None, None, normalized_shape=(inner,), axis=2, eps=op.eps)
    return _by_channel(s, s.reshape(plain, *shape), op)


def pixel_norm(op: top.PixelNorm, s: Steps) -> bool:
    """LayerNorm with the channels last."""
    rank = len(op.output.shape)
    last = s.permute(op.input, 0, *range(2, rank), 1)
    channels = op.output.shape[1]
    factors = (None if v is None else s.reshape(v, channels) for v in (_optional(op, 1), _optional(op, 2)))
    plain = s(top.LayerNorm, last, *factors, normalized_shape=(channels,), axis=rank - 1, eps=op.eps)
    return s.done(top.Permute, plain, order=(0, rank - 1, *range(1, rank - 1)))


def rms_norm(op: top.RMSNorm, s: Steps) -> bool:
    """x / sqrt(mean(x^2) + eps), then gamma."""
    square = _mean(s, s(top.Mul, op.input, op.input), len(op.output.shape) - 1)
    return _finish(s, s(top.Mul, op.input, s(top.Rsqrt, s.plus(square, op.eps))), _optional(op, 1), None)


def lrn(op: top.LRN, s: Steps) -> bool:
    """The mean of neighbouring squares is an average pool over [N, 1, C, positions]."""
    shape = op.output.shape
    if len(shape) < 2:
        return False
    squares = s.reshape(s(top.Mul, op.input, op.input), shape[0], 1, shape[1], math.prod(shape[2:]))
    before = (op.size - 1) // 2
    means = s(
        top.AvgPool, squares, kernel_shape=(op.size, 1), strides=(1, 1), pads=(before, 0, op.size - 1 - before, 0), count_include_pad=True
    )
    base = s.plus(s.times(s.reshape(means, *shape), op.alpha), op.bias)
    return s.done(top.Mul, op.input, s(top.Pow, base, exponent=-op.beta))


def normalize(op: top.Normalize, s: Steps) -> bool:
    """x / sqrt(sum(x^2) + eps), then its scale."""
    rank = len(op.output.shape)
    axes = tuple(range(1, rank)) if op.across_spatial else (1,)
    total = s(top.Reduce, s(top.Mul, op.input, op.input), axes=axes, keepdims=True, mode="ReduceSum")
    factor = op.operands[1]
    assert factor is not None
    shaped = s.reshape(factor, *(1,) * rank) if factor.type.elements == 1 else _per_channel(s, factor, rank)
    return s.done(top.Mul, s(top.Mul, op.input, s(top.Rsqrt, s.plus(total, op.EPSILON))), shaped)


def softmax(op: top.Softmax, s: Steps) -> bool:
    """Logarithm and beta apart; then along the last axis; then exp(x - max) over its sum."""
    rank, axis = len(op.output.shape), op.axis % max(1, len(op.output.shape))
    if op.log:
        return s.done(top.Log, s(top.Softmax, op.input, axis=op.axis, beta=op.beta))
    if op.beta != 1:
        return s.done(top.Softmax, s.times(op.input, op.beta), axis=op.axis)
    if axis < rank - 1:
        order = [i for i in range(rank) if i != axis] + [axis]
        back = [order.index(i) for i in range(rank)]
        return s.done(top.Permute, s(top.Softmax, s.permute(op.input, *order), axis=rank - 1), order=tuple(back))
    largest = s(top.Reduce, op.input, axes=(axis,), keepdims=True, mode="ReduceMax")
    powers = s(top.Exp, s(top.Sub, op.input, largest))
    return s.done(top.Div, powers, s(top.Reduce, powers, axes=(axis,), keepdims=True, mode="ReduceSum"))


def variance(op: top.Variance, s: Steps) -> bool:
    """Sum of squared differences from the mean, over the count less the correction."""
    shape = op.input.shape
    axes = tuple(sorted({axis % len(shape) for axis in op.reduce_list})) or tuple(range(len(shape)))
    divisor = math.prod(shape[axis] for axis in axes) - op.correction
    if divisor <= 0:
        return False
    centred = s(top.Sub, op.input, _mean(s, op.input, *axes))
    total = s(top.Reduce, s(top.Mul, centred, centred), axes=axes, keepdims=op.keep_dims, mode="ReduceSum")
    return s.done(top.MulConst, total, const_val=1 / divisor)


def reduce(op: top.Reduce, s: Steps) -> bool:
    """Norms by sums; over the last axis of a matrix; long rows in parts; minima by maxima, products two by two; sums last by a
    matrix product."""
    shape = op.input.shape
    axes = op.over(len(shape))
    same = {"axes": axes, "keepdims": op.keepdims, "is_scalar": op.is_scalar}
    if op.mode == "ReduceL1":
        return s.done(top.Reduce, s(top.Abs, op.input), mode="ReduceSum", **same)
    if op.mode == "ReduceL2":
        return s.done(top.Sqrt, s(top.Reduce, s(top.Mul, op.input, op.input), mode="ReduceSum", **same))
    inner = math.prod(shape[axis] for axis in axes)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    outer = op.output.type.elements
    if inner == 0 or outer == 0:
        return False
    if (len(shape), axes, op.keepdims, op.is_scalar) != (2, (1,), True, False):
        order = (*kept, *axes)
        moved = op.input if order == tuple(range(len(shape))) else s.permute(op.input, *order)
        return s.done_reshape(s(top.Reduce, s.reshape(moved, outer, inner), axes=(1,), keepdims=True, mode=op.mode))
    if inner > _LONG_ROW:
        return _in_parts(op, s)
    if op.mode == "ReduceMin":
        return s.done(top.MulConst, s(top.Reduce, s.times(op.input, -1.0), mode="ReduceMax", **same), const_val=-1.0)
    if op.mode in ("ReduceMean", "ReduceSum"):
        factor = 1 / inner if op.mode == "ReduceMean" else 1.0
        return s.done(top.MatMul, op.input, s.weight(np.full((inner, 1), factor)))
    kind = top.Mul if op.mode == "ReduceProd" else top.Max
    return _halve(op, s, kind)


def _in_parts(op: top.Reduce, s: Steps) -> bool:
    """The rows of a matrix as rows of parts, which are reduced first; then what the parts gave and what is left over."""
    rows, extent = op.input.shape
    mode = "ReduceSum" if op.mode == "ReduceMean" else op.mode
    parts, rest = divmod(extent, _PART)

    def piece(start: int, end: int) -> Value:
        return s(top.Slice, op.input, offset=(0, start), steps=(1, 1), ends=(rows, end)) if end - start < extent else op.input

    def over_last(value: Value) -> Value:
        return s(top.Reduce, value, axes=(len(value.shape) - 1,), keepdims=False, mode=mode)

    total = over_last(over_last(s.reshape(piece(0, extent - rest), rows, parts, _PART)))
    if rest:
        combine = {"ReduceSum": top.Add, "ReduceMax": top.Max, "ReduceMin": top.Min, "ReduceProd": top.Mul}[mode]
        total = s(combine, total, over_last(piece(extent - rest, extent)))
    return s.done_reshape(s.times(total, 1 / extent) if op.mode == "ReduceMean" else total)


def _halve(op: top.Reduce, s: Steps, kind: type[top.Mul | top.Max]) -> bool:
    """Combine the two halves of the rows of a matrix until one column is left."""
    value = op.input
    while value.shape[1] > 1:
        rows, extent = value.shape
        half = extent // 2
        parts = [s(top.Slice, value, offset=(0, i * half), steps=(1, 1), ends=(rows, (i + 1) * half)) for i in range(2)]
        combined = s(kind, *parts)
        if extent % 2:
            rest = s(top.Slice, value, offset=(0, 2 * half), steps=(1, 1), ends=(rows, extent))
            combined = s(top.Concat, combined, rest, axis=1) if half > 1 else s(kind, combined, rest)
        value = combined
    return s.done_value(value)


# Elements from which on rows are reduced in parts, and those of a part.
_LONG_ROW, _PART = 1 << 14, 1 << 12

NORMALIZATION: Mapping[str, Decomposition] = {
    "top.Scale": scale, "top.BatchNorm": batch_norm, "top.LayerNorm": layer_norm, "top.InstanceNorm": instance_norm,
    "top.GroupNorm": group_norm, "top.PixelNorm": pixel_norm, "top.RMSNorm": rms_norm, "top.LRN": lrn, "top.Normalize": normalize,
    "top.Softmax": softmax, "top.Variance": variance, "top.Reduce": reduce,
}
