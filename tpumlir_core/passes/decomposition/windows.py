"""Decompositions of convolutions, pools and matrix products into forms that more targets have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Value
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps


def _image(s: Steps, value: Value) -> Value:
    """[N, C, L] as [N, C, 1, L]."""
    n, c, extent = value.shape
    return s.reshape(value, n, c, 1, extent)


def _two(values: tuple[int, ...] | None, first: int) -> tuple[int, ...] | None:
    return None if values is None else (first, *values)


def convolution(op: top.Conv | top.Deconv, s: Steps) -> bool:
    """One spatial axis: an image of one row."""
    if len(op.kernel_shape) != 1:
        return False
    filters = op.operands[1]
    assert filters is not None
    begin, end = op.padding(op.input.shape[2:])[0]
    changes = {
        "kernel_shape": _two(op.kernel_shape, 1), "strides": _two(op.strides, 1), "dilations": _two(op.dilations, 1),
        "pads": (0, begin, 0, end),
    }
    changes |= {"inserts": _two(op.inserts, 0), "auto_pad": None} if isinstance(op, top.Conv) else {
        "output_padding": _two(op.output_padding, 0)
    }
    image = s(type(op), _image(s, op.input), _image(s, filters), *op.operands[2:], **{**op.attributes(), **changes})
    return _done_activated(op, s, image)


def _done_activated(op: top.Conv | top.Deconv | top.MaxPool | top.AvgPool, s: Steps, value: Value) -> bool:
    """Finish with a Reshape of a value that has the activation of ``op`` already."""
    made = s.rewriter.insert(top.Reshape, [value], op.name, shape=op.output.shape)
    s.rewriter.replace(op, made.output)
    return True


def pool(op: top.MaxPool | top.AvgPool, s: Steps) -> bool:
    """Explicit kernel and padding; without kept dimensions a Reshape; one spatial axis as an image of one row; one window
    over everything as a reduction; then one axis after the other."""
    spatial = op.input.shape[2:]
    kernel, strides = op.kernel(spatial)
    begins, ends = zip(*op.padding(spatial), strict=True)
    if op.auto_pad not in (None, "NOTSET") or not op.kernel_shape:
        changes = {"kernel_shape": kernel, "strides": strides, "pads": (*begins, *ends), "auto_pad": None}
        made = s.rewriter.remake(op, op.operands, op.name, **changes)
        s.rewriter.replace(op, made.output)
        return True
    if not op.keepdims:
        return _done_activated(op, s, s(type(op), op.input, **{**op.attributes(), "keepdims": True}))
    if len(spatial) == 1:
        changes = {"kernel_shape": (1, *kernel), "strides": (1, *strides), "pads": (0, *begins, 0, *ends)}
        return _done_activated(op, s, s(type(op), _image(s, op.input), **{**op.attributes(), **changes}))
    if kernel == spatial and not any((*begins, *ends)):
        mode = "ReduceMax" if isinstance(op, top.MaxPool) else "ReduceMean"
        return s.done(top.Reduce, op.input, axes=tuple(range(2, len(op.input.shape))), keepdims=True, mode=mode)
    return _one_axis_each(op, s)


def _one_axis_each(op: top.MaxPool | top.AvgPool, s: Steps) -> bool:
    """A pool over the first spatial axis after one over the others; of three and more axes each as an image.

    What a window averages is a box, also where borders cut it: the mean of means is its mean.
    """
    n, c, *spatial = op.input.shape
    kernel, strides = op.kernel(spatial)
    begins, ends = zip(*op.padding(spatial), strict=True)
    moves = [k > 1 or stride > 1 or begin or end for k, stride, begin, end in zip(kernel, strides, begins, ends, strict=True)]
    if moves[0] and any(moves[1:]):
        rest, first = (
            {
                "kernel_shape": _only(kernel, axes, 1), "strides": _only(strides, axes, 1),
                "pads": (*_only(begins, axes, 0), *_only(ends, axes, 0)),
            }
            for axes in (range(1, len(spatial)), range(1))
        )
        between = s(type(op), op.input, **{**op.attributes(), **rest, "do_relu": False, "relu_limit": -1.0})
        s.rewriter.replace(op, s.rewriter.insert(type(op), [between], op.name, **{**op.attributes(), **first}).output)
        return True
    if len(spatial) < 3:
        return False
    if moves[0]:  # only the first: the others are one
        image = s.reshape(op.input, n, c, spatial[0], math.prod(spatial[1:]))
        changes = {"kernel_shape": (kernel[0], 1), "strides": (strides[0], 1), "pads": (begins[0], 0, ends[0], 0)}
    else:
        image = s.reshape(op.input, n, c * spatial[0], *spatial[1:])
        changes = {"kernel_shape": kernel[1:], "strides": strides[1:], "pads": (*begins[1:], *ends[1:])}
    return _done_activated(op, s, s(type(op), image, **{**op.attributes(), **changes}))


def _only(values: Sequence[int], axes: range, other: int) -> tuple[int, ...]:
    """The values of some axes, and for the rest ``other``."""
    return tuple(value if axis in axes else other for axis, value in enumerate(values))


def product(op: top.MatMul, s: Steps) -> bool:
    """Kept dimensions by a Reshape; operands of one dimension as matrices; transposed operands by a Permute; long rows in halves."""
    left, right = op.input, op.operands[1]
    assert right is not None
    bias = op.operands[2] if len(op.operands) > 2 else None
    if not op.keep_dims:
        made = s(top.MatMul, *op.operands, **{**op.attributes(), "keep_dims": True})
        last = s.rewriter.insert(top.Reshape, [made], op.name, shape=op.output.shape)
        s.rewriter.replace(op, last.output)
        return True
    if len(left.shape) == 1 or len(right.shape) == 1:
        if bias is not None:
            return s.done(top.Add, s(top.MatMul, left, right, **{**op.attributes(), "do_relu": False}), bias)
        left = s.reshape(left, 1, *left.shape) if len(left.shape) == 1 else left
        right = s.reshape(right, *right.shape, 1) if len(right.shape) == 1 else right
        made = s(top.MatMul, left, right, **op.attributes())
        last = s.rewriter.insert(top.Reshape, [made], op.name, shape=op.output.shape)
        s.rewriter.replace(op, last.output)
        return True
    if not op.left_transpose and not op.right_transpose:
        return left.shape[-1] > _LONG_ROW and _sum_of_products(op, s)
    left, right = (_swapped(s, v, flag) for v, flag in ((left, op.left_transpose), (right, op.right_transpose)))
    plain = s.rewriter.remake(op, [left, right, *op.operands[2:]], op.name, left_transpose=False, right_transpose=False)
    s.rewriter.replace(op, plain.output)
    return True


def _sum_of_products(op: top.MatMul, s: Steps) -> bool:
    """The left columns by the upper rows, plus the right columns by the lower rows."""
    left, right = op.input, op.operands[1]
    assert right is not None
    half = left.shape[-1] // 2
    plain = {**op.attributes(), "do_relu": False, "relu_limit": -1.0}
    products = []
    for start, end, bias in ((0, half, op.operands[2:]), (half, left.shape[-1], ())):
        parts = [_range(s, left, len(left.shape) - 1, start, end), _range(s, right, len(right.shape) - 2, start, end)]
        products.append(s(top.MatMul, *parts, *bias, **plain))
    return s.done(top.Add, *products)


def _range(s: Steps, value: Value, axis: int, start: int, end: int) -> Value:
    """The part of a value between two positions of one axis."""
    offset = tuple(start if i == axis else 0 for i in range(len(value.shape)))
    ends = tuple(end if i == axis else extent for i, extent in enumerate(value.shape))
    return s(top.Slice, value, offset=offset, steps=(1,) * len(offset), ends=ends)


def _swapped(s: Steps, value: Value, flag: bool) -> Value:
    rank = len(value.shape)
    return s.permute(value, *range(rank - 2), rank - 1, rank - 2) if flag else value


# Elements of a row beyond which a product that a target has not is cut: one that has no shorter ones either has none at all.
_LONG_ROW = 1 << 14

WINDOWS: Mapping[str, Decomposition] = {
    "top.Conv": convolution, "top.Deconv": convolution, "top.MaxPool": pool, "top.AvgPool": pool, "top.MatMul": product,
}
