"""Canonical forms of windows, resampling and selection: explicit padding, Upsample for whole factors, Slice for constant indices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation
from tpumlir_core.passes.rewriting import Rewriter, Rules

# Positions of an image beyond which an Interp is not tried out.
_LARGEST_IMAGE = 1 << 22


def _pads(pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """(begin, end) pairs as all begins, then all ends."""
    return (*(begin for begin, _ in pairs), *(end for _, end in pairs))


def explicit_padding(op: Operation, rewriter: Rewriter) -> bool:
    """``auto_pad`` of a convolution as the numbers that it stands for."""
    assert isinstance(op, top.Conv)
    if op.auto_pad is None:
        return False
    pads = _pads(op.padding(op.spread(op.input.shape[2:])))
    made = rewriter.remake(op, op.operands, op.name, pads=pads, auto_pad=None)
    rewriter.replace(op, made.output)
    return True


def explicit_window(op: Operation, rewriter: Rewriter) -> bool:
    """``auto_pad``, ``ceil_mode`` and the kernel over everything of a pool as numbers.

    An AvgPool that counts its padding keeps ``ceil_mode`` where its last windows hang over: that part does not count.
    """
    assert isinstance(op, top.MaxPool | top.AvgPool)
    if op.auto_pad is None and not op.ceil_mode and op.kernel_shape and op.pads:
        return False
    spatial = op.input.shape[2:]
    kernel, strides = op.kernel(spatial)
    padding, reach = op.padding(spatial), op.reach(spatial)
    hangs = isinstance(op, top.AvgPool) and op.count_include_pad and reach != padding
    pads = _pads(padding if hangs else reach)
    changes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "auto_pad": None, "ceil_mode": True if hangs else None}
    if changes.items() <= op.attributes().items():
        return False
    made = rewriter.remake(op, op.operands, op.name, **changes)
    rewriter.replace(op, made.output)
    return True


def whole_factors(op: Operation, rewriter: Rewriter) -> bool:
    """An Interp that repeats rows and columns is an Upsample, one that changes nothing goes; found by trying it on an image."""
    assert isinstance(op, top.Interp)
    shape, wanted = op.input.shape, op.output.shape
    if len(shape) != 4 or 0 in shape or np.prod(wanted[2:]) > _LARGEST_IMAGE:
        return False
    (h, w), (rows, columns) = shape[2:], wanted[2:]
    if rows % h or columns % w or (op.mode == "linear" and shape != wanted):
        return False
    image = np.random.default_rng(0).standard_normal((1, 1, h, w)).astype(np.float32)
    scale_h, scale_w = rows // h, columns // w
    made = op.evaluate([image, *(None for _ in op.operands[1:])])[0]
    if not np.array_equal(made, image.repeat(scale_h, 2).repeat(scale_w, 3)):
        return False
    if shape == wanted:
        return rewriter.forward(op, op.input)
    replacement = rewriter.insert(top.Upsample, [op.input], op.name, scale_h=scale_h, scale_w=scale_w)
    rewriter.replace(op, replacement.output)
    return True


def constant_indices(op: Operation, rewriter: Rewriter) -> bool:
    """A Gather of evenly spaced constant indices is a Slice, and a Reshape where the indices are no list."""
    assert isinstance(op, top.Gather)
    array = rewriter.constant(op.operands[1])
    if array is None or array.size == 0 or rewriter.constant(op.input) is not None or 0 in op.output.shape:
        return False
    shape = op.input.shape
    axis = op.axis % len(shape)
    indices = [int(i) + shape[axis] * (i < 0) for i in np.rint(array.reshape(-1)).tolist()]
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    evenly = all(b - a == step for a, b in itertools.pairwise(indices))
    if step < 1 or not evenly or min(indices) < 0 or indices[-1] >= shape[axis]:
        return False
    sliced = (*shape[:axis], len(indices), *shape[axis + 1 :])
    name = op.name if sliced == op.output.shape else rewriter.fresh(f"{op.name}_slice")
    part = rewriter.insert(
        top.Slice, [op.input], name,
        offset=tuple(indices[0] if i == axis else 0 for i in range(len(shape))),
        steps=tuple(step if i == axis else 1 for i in range(len(shape))),
        ends=tuple(indices[-1] + 1 if i == axis else n for i, n in enumerate(shape)),
    )
    if sliced != op.output.shape:
        rewriter.replace(op, rewriter.insert(top.Reshape, [part.output], op.name, shape=op.output.shape).output)
        return True
    rewriter.replace(op, part.output)
    return True


def split(op: Operation, rewriter: Rewriter) -> bool:
    """One Slice a used part."""
    assert isinstance(op, top.Split)
    axis, start = op.axis % len(op.input.shape), 0
    parts = []
    for result in op.results:
        end = start + result.shape[axis]
        offset = tuple(start if i == axis else 0 for i in range(len(result.shape)))
        ends = tuple(end if i == axis else n for i, n in enumerate(op.input.shape))
        parts.append(rewriter.insert(top.Slice, [op.input], result.name, offset=offset, steps=(1,) * len(offset), ends=ends).output)
        start = end
    rewriter.replace(op, *parts)
    return True


WINDOW_RULES: Rules = {
    "top.Conv": (explicit_padding,), "top.MaxPool": (explicit_window,), "top.AvgPool": (explicit_window,), "top.Interp": (whole_factors,),
    "top.Gather": (constant_indices,), "top.Split": (split,),
}
