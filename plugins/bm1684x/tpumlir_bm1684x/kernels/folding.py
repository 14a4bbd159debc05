"""Folding: combining the elements of an axis by an associative operation (sum, maximum, product), inside local memory.

An axis inside the lanes is folded by halving, so that every step is one element-wise instruction over what is left; this
needs no alignment, serves every operation and adds in pairs, which is also what keeps sums accurate. The channel axis lies
across lanes: its groups are folded inside the lanes, the rest is transposed into one lane's row.
"""

from __future__ import annotations

from dataclasses import replace

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import F32, Scratch
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.tensor import Box, C, H, LocalTensor, N, Shape4, W, aligned_bytes

_IDEMPOTENT = ("max", "min")  # halves of an odd number may overlap


def slice_axis(tensor: LocalTensor, axis: int, start: int, size: int) -> LocalTensor:
    """The part of a local tensor between two positions of one axis, in place."""
    return tensor.part(arch(), Box.whole(tensor.shape).with_axis(axis, start, size))


def with_size(shape: Shape4, axis: int, size: int) -> Shape4:
    """The same shape with another size along one axis."""
    sizes = list(shape)
    sizes[axis] = size
    return (sizes[0], sizes[1], sizes[2], sizes[3])


def rows_of(tensor: LocalTensor) -> LocalTensor:
    """The same tensor with h and w as one row, where their elements are contiguous."""
    n, c, h, w = tensor.shape
    s = tensor.strides
    return replace(tensor, shape=(n, c, 1, h * w), strides=(s[0], s[1], h * w, 1))


def is_contiguous(tensor: LocalTensor) -> bool:
    """Whether each channel's h*w block has no gaps."""
    _, _, h, w = tensor.shape
    return (w == 1 or tensor.strides[3] == 1) and (h == 1 or tensor.strides[2] == w)


def fold_bytes(shape: Shape4, result: Shape4) -> int:
    """Scratch bytes a lane that ``fold`` of a tensor of ``shape`` to ``result`` takes at most."""
    total = 0
    for axis in _fold_order(shape, result):
        kept = result[N] if axis == N else 1
        if axis == C:
            total += _channel_bytes(shape)
        else:
            total += _halving_bytes(shape, axis, shape[N] // kept if axis == N else shape[axis])
        shape = with_size(shape, axis, kept)
        total += aligned_bytes(arch(), shape, F32)
    return total


def fold(e: Bm1684xEmitter, operation: str, out: LocalTensor, x: LocalTensor, scratch: Scratch) -> None:
    """``out`` = ``x`` folded by ``operation`` (add, max, min, mul) along the axes in which ``out`` is smaller.

    Axes h, w and c fold to size 1. Axis n folds in runs: n of ``x`` is a multiple of n of ``out``, and each image of
    ``out`` comes from that many consecutive images.
    """
    axes = _fold_order(x.shape, out.shape)
    if not axes:
        e.copy(out, x)
        return
    if axes[:2] == [W, H] and is_contiguous(x):
        x, axes = rows_of(x), [a for a in axes if a != H]
    for axis in axes:
        kept = out.shape[N] if axis == N else 1
        target = out if axis == axes[-1] else scratch.take(with_size(x.shape, axis, kept))
        if axis == N:
            _fold_images(e, operation, target, x, scratch)
        elif axis == C:
            _fold_channels(e, operation, target, x, scratch)
        else:
            _fold_axis(e, operation, target, x, axis, scratch)
        x = target


def _halving_bytes(shape: Shape4, axis: int, size: int) -> int:
    return sum(aligned_bytes(arch(), with_size(shape, axis, ceil_div(size, parts)), F32) for parts in (2, 4))


def _fold_order(shape: Shape4, result: Shape4) -> list[int]:
    return [axis for axis in (W, H, N, C) if shape[axis] != result[axis]]


def _fold_axis(e: Bm1684xEmitter, operation: str, out: LocalTensor, x: LocalTensor, axis: int, scratch: Scratch) -> None:
    """Fold one axis inside the lanes to size 1, by halving, between two buffers in turn: in place takes twice as long."""
    size = x.shape[axis]
    if size == 1:
        e.copy(out, x)
        return
    buffers = [scratch.take(with_size(x.shape, axis, ceil_div(size, parts))) for parts in (2, 4)]
    while size > 1:
        half = ceil_div(size, 2)
        target = out if half == 1 else buffers[0]
        pairs = half if operation in _IDEMPOTENT else size - half
        e.binary(operation, slice_axis(target, axis, 0, pairs), slice_axis(x, axis, 0, pairs), slice_axis(x, axis, size - pairs, pairs))
        if pairs != half:
            e.copy(slice_axis(target, axis, pairs, 1), slice_axis(x, axis, pairs, 1))
        x, size = target, half
        buffers.reverse()


def _fold_images(e: Bm1684xEmitter, operation: str, out: LocalTensor, x: LocalTensor, scratch: Scratch) -> None:
    """Fold runs of consecutive images: by halving run by run, or all runs at once where runs are shorter than many."""
    runs = out.shape[N]
    length = x.shape[N] // runs
    if runs <= length:
        for run in range(runs):
            work = scratch.fork()  # the runs come one after the other and share it
            _fold_axis(e, operation, slice_axis(out, N, run, 1), slice_axis(x, N, run * length, length), N, work)
        return
    strides = (x.strides[0] * length, *x.strides[1:])
    images = [
        replace(x, address=x.address + i * x.strides[0] * x.element.bytes, shape=out.shape, strides=strides) for i in range(length)
    ]
    e.binary(operation, out, images[0], images[1])
    for image in images[2:]:
        e.binary(operation, out, out, image)


def _fold_channels(e: Bm1684xEmitter, operation: str, out: LocalTensor, x: LocalTensor, scratch: Scratch) -> None:
    """Fold the channels: groups inside the lanes, then the lanes as a row of one lane."""
    n, c, h, w = x.shape
    lanes = arch().lanes
    if c > lanes:
        x = _fold_groups(e, operation, x, scratch)
        c = lanes
    if not x.is_aligned(arch()) or x.lane:
        e.copy(source := scratch.take(x.shape), x)
        x = source
    row = scratch.take((n, w, h, c))
    e.transpose(row, x)
    column = scratch.take((n, w, h, 1))
    _fold_axis(e, operation, column, row, W, scratch)
    e.transpose(out, column)


def _fold_groups(e: Bm1684xEmitter, operation: str, x: LocalTensor, scratch: Scratch) -> LocalTensor:
    """More channels than lanes: fold the groups, one channel a lane is left."""
    n, c, h, w = x.shape
    lanes = arch().lanes
    work = scratch.take((n, lanes, h, w))
    first = slice_axis(x, C, 0, lanes)
    for start in range(lanes, c, lanes):
        size = min(lanes, c - start)
        e.binary(operation, slice_axis(work, C, 0, size), slice_axis(first, C, 0, size), slice_axis(x, C, start, size))
        if start == lanes and size < lanes:
            e.copy(slice_axis(work, C, size, lanes - size), slice_axis(first, C, size, lanes - size))
        first = work
    return work


def _channel_bytes(shape: Shape4) -> int:
    n, c, h, w = shape
    lanes = arch().lanes
    few = min(c, lanes)
    buffers = [(n, few, h, w), (n, w, h, few), (n, w, h, 1)]
    return sum(aligned_bytes(arch(), b, F32) for b in buffers) + _halving_bytes((n, w, h, few), W, few)
