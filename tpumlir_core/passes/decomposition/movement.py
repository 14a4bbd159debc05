"""Decompositions of data movement and of windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Operation, Value
from tpumlir_core.passes import window_rules
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps

_LONGEST_SUM = 8192
"""Elements of the longest axis that is summed cumulatively by a matrix product: the matrix has 256 MiB then."""


def _slice(s: Steps, value: Value, axis: int, start: int, end: int) -> Value:
    shape = value.shape
    offset = tuple(start if i == axis else 0 for i in range(len(shape)))
    ends = tuple(end if i == axis else n for i, n in enumerate(shape))
    return s(top.Slice, value, offset=offset, steps=(1,) * len(shape), ends=ends)


def split(op: top.Split, s: Steps) -> bool:
    """One Slice a part."""
    return window_rules.split(op, s.rewriter)


def pack(op: top.Pack, s: Steps) -> bool:
    """Concat along a new axis."""
    rank = len(op.output.shape)
    axis = op.axis % rank
    parts = [s.reshape(v, *v.shape[:axis], 1, *v.shape[axis:]) for v in op.operands if v is not None]
    return s.done(top.Concat, *parts, axis=axis)


def unpack(op: top.Unpack, s: Steps) -> bool:
    """One Slice and Reshape a part."""
    axis = op.axis % len(op.input.shape)
    parts = []
    for index, result in enumerate(op.results):
        part = _slice(s, op.input, axis, index, index + 1)
        parts.append(s.rewriter.insert(top.Reshape, [part], result.name, shape=result.shape).output)
    s.rewriter.replace(op, *parts)
    return True


def shuffle_channel(op: top.ShuffleChannel, s: Steps) -> bool:
    """The channels as a matrix [groups, rest], transposed."""
    shape = op.output.shape
    matrix = s.reshape(op.input, shape[0], op.group, shape[1] // op.group, *shape[2:])
    return s.done_reshape(s.permute(matrix, 0, 2, 1, *range(3, len(shape) + 1)))


def swap_channel(op: top.SwapChannel, s: Steps) -> bool:
    """Concat of the channels, one Slice each."""
    return s.done(top.Concat, *(_slice(s, op.input, 1, c, c + 1) for c in op.channel_order), axis=1)


def swap_dim_inner(op: top.SwapDimInner, s: Steps) -> bool:
    """Every axis with an offset begins there and goes round."""
    value = op.input
    places = [(axis, offset) for axis, offset in enumerate(op.offset) if offset % value.shape[axis]]
    if not places:
        return s.done_reshape(value)
    for axis, offset in places[:-1]:
        value = s(top.Concat, *_turned(s, value, axis, offset), axis=axis)
    axis, offset = places[-1]
    return s.done(top.Concat, *_turned(s, value, axis, offset), axis=axis)


def _turned(s: Steps, value: Value, axis: int, offset: int) -> Sequence[Value]:
    return _slice(s, value, axis, offset, value.shape[axis]), _slice(s, value, axis, 0, offset)


def reverse(op: top.Reverse, s: Steps) -> bool:
    """A Slice that runs backwards; where that is not supported either, it stays one and is reported."""
    shape = op.output.shape
    axis = op.axis % len(shape)
    backwards = [i == axis for i in range(len(shape))]
    offset = tuple(n - 1 if back else 0 for n, back in zip(shape, backwards, strict=True))
    ends = tuple(-n - 1 if back else n for n, back in zip(shape, backwards, strict=True))
    return s.done(top.Slice, op.input, offset=offset, steps=tuple(-1 if back else 1 for back in backwards), ends=ends)


def depth_to_space(op: top.Depth2Space, s: Steps) -> bool:
    """Reshape, Permute, Reshape of NCHW tensors."""
    if len(op.input.shape) != 4 or not op.in_is_NCHW or not op.out_is_NCHW or op.swap_cr:
        return False
    n, c, h, w = op.output.shape if op.is_inversed else op.input.shape
    bh, bw = op.block_h, op.block_w
    depth = c // (bh * bw)
    split_shape = (n, depth, bh, bw, h, w) if op.is_CRD else (n, bh, bw, depth, h, w)
    to_space = (0, 1, 4, 2, 5, 3) if op.is_CRD else (0, 3, 4, 1, 5, 2)
    if not op.is_inversed:
        return s.done_reshape(s.permute(s.reshape(op.input, *split_shape), *to_space))
    spread = s.reshape(op.input, *(split_shape[i] for i in to_space))
    return s.done_reshape(s.permute(spread, *(to_space.index(i) for i in range(6))))


def upsample(op: top.Upsample, s: Steps) -> bool:
    """New inner axes, expanded."""
    n, c, h, w = op.input.shape
    wide = s(top.Expand, s.reshape(op.input, n * c, h, 1, w, 1), shape=(n * c, h, op.scale_h, w, op.scale_w))
    return s.done_reshape(wide)


def expand(op: top.Expand, s: Steps) -> bool:
    """Tile."""
    shape = (1,) * (len(op.output.shape) - len(op.input.shape)) + op.input.shape
    tile = tuple(out // n if n else 1 for out, n in zip(op.output.shape, shape, strict=True))
    return s.done(top.Tile, s.reshape(op.input, *shape), tile=tile)


def tile(op: top.Tile, s: Steps) -> bool:
    """One axis at a time: [outer, 1, inner] plus zeros of [1, times, 1]."""
    if op.tile is None or 0 in op.output.shape:
        return False
    shape = (1,) * (len(op.tile) - len(op.input.shape)) + op.input.shape
    value = op.input
    for axis, times in enumerate(op.tile):
        if times > 1:
            flat = s.reshape(value, math.prod(shape[:axis]), 1, math.prod(shape[axis:]))
            value = s(top.Add, flat, s.weight(np.zeros((1, times, 1)), "zeros"))
            shape = (*shape[:axis], shape[axis] * times, *shape[axis + 1 :])
    return s.done_reshape(value)


def trilu(op: top.Trilu, s: Steps) -> bool:
    """Where with a constant mask."""
    rows, columns = op.output.shape[-2:]
    kept = np.triu(np.ones((rows, columns)), op.diagonal) if op.upper else np.tril(np.ones((rows, columns)), op.diagonal)
    shape = (1,) * (len(op.output.shape) - 2) + kept.shape
    return s.done(top.Where, s.weight(kept.reshape(shape)), op.input, None, y_is_const=True)


def transpose(op: top.Transpose, s: Steps) -> bool:
    """Permute."""
    return s.done(top.Permute, op.input, order=op.order_of(len(op.input.shape)))


def rename(op: Operation, s: Steps) -> bool:
    """Reshape."""
    return 0 not in op.output.shape and s.done_reshape(op.input)


def cumulative_sum(op: top.CumSum, s: Steps) -> bool:
    """A product with a triangle of ones along the last axis, unless that would be too large."""
    rank = len(op.output.shape)
    axis = op.axis % rank
    order = [i for i in range(rank) if i != axis] + [axis]
    extent = op.output.shape[axis]
    if extent > _LONGEST_SUM:
        return False
    triangle = s.weight(np.triu(np.ones((extent, extent))))
    last = op.input if axis == rank - 1 else s.permute(op.input, *order)
    if axis == rank - 1:
        return s.done(top.MatMul, last, triangle)
    return s.done(top.Permute, s(top.MatMul, last, triangle), order=tuple(order.index(i) for i in range(rank)))


def interpolate(op: top.Interp, s: Steps) -> bool:
    """Interpolation of an image is a product with one matrix a spatial axis, whose rows are what it makes of unit images."""
    if len(op.input.shape) != 4:
        return False
    n, c, h, w = op.input.shape
    rows, columns = op.output.shape[2:]
    if h * w == 0 or rows * columns == 0:
        return False
    down = _response(op, np.broadcast_to(np.eye(h, dtype=np.float32)[:, None, :, None], (h, 1, h, w)))[:, 0, :, 0]
    across = _response(op, np.broadcast_to(np.eye(w, dtype=np.float32)[:, None, None, :], (w, 1, h, w)))[:, 0, 0, :]
    wide = s(top.MatMul, op.input, s.weight(across, "columns"))
    tall = s(top.MatMul, s.permute(wide, 0, 1, 3, 2), s.weight(down, "rows"))
    return s.done(top.Permute, tall, order=(0, 1, 3, 2))


def _response(op: top.Interp, images: Array) -> Array:
    return op.evaluate([images, *(None for _ in op.operands[1:])])[0]


def adaptive_pool(op: top.AdaptiveAvgPool, s: Steps) -> bool:
    """A product with a matrix of window weights along each of the two last axes."""
    if len(op.output_size) != 2:
        return False
    rank = len(op.input.shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    down, across = (_windows(n, m) for n, m in zip(op.input.shape[-2:], op.output_size, strict=True))
    wide = s(top.MatMul, op.input, s.weight(across, "columns"))
    tall = s(top.MatMul, s.permute(wide, *swapped), s.weight(down, "rows"))
    return s.done(top.Permute, tall, order=swapped)


def _windows(extent: int, parts: int) -> Array:
    matrix = np.zeros((extent, parts))
    for i in range(parts):
        first, last = i * extent // parts, -(-(i + 1) * extent // parts)
        matrix[first:last, i] = 1 / (last - first)
    return matrix


MOVEMENT: Mapping[str, Decomposition] = {
    "top.Split": split, "top.Pack": pack, "top.Unpack": unpack, "top.ShuffleChannel": shuffle_channel, "top.SwapChannel": swap_channel,
    "top.SwapDimInner": swap_dim_inner, "top.Reverse": reverse, "top.Depth2Space": depth_to_space, "top.Upsample": upsample,
    "top.Expand": expand, "top.Tile": tile, "top.Trilu": trilu, "top.Transpose": transpose, "top.CumSum": cumulative_sum,
    "top.Interp": interpolate, "top.AdaptiveAvgPool": adaptive_pool,
    **{f"top.{name}": rename for name in ("Flatten", "Squeeze", "Unsqueeze")},
}
