"""Resizing of images (Interp, Upsample): one pass per axis, each a few strided element-wise instructions.

Along one axis every output position takes a source position and a share of the next one. Positions that lie a period apart
have equal shares and evenly spaced sources, so one instruction with strides serves them all; border positions, where the
pattern breaks, get their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import Scratch, is_weight, relu
from tpumlir_bm1684x.kernels.folding import slice_axis, with_size
from tpumlir_core.ir import Array, ElementType, Operation, top
from tpumlir_sophgo.kernel import FLOATS, Kernel, KernelRegistry, Tile, Views
from tpumlir_sophgo.tensor import Box, H, LocalTensor, Shape4, W, aligned_bytes

_SHARE_STEPS = 1 << 22  # shares are rounded to this fraction, so that equal ones compare equal
_MAX_PERIOD = 32
# Repetitions from which one instruction that reads with stride 0 beats one a phase that writes with a stride (cost model).
_MANY = 4


@dataclass(frozen=True)
class Taps:
    """For each output position of one axis: the source position, and the share of the one after it (0 to 1)."""

    source: Array
    share: Array

    def part(self, start: int, size: int) -> Taps:
        """The taps of some output positions, sources counted from the first one they need."""
        source, share = self.source[start : start + size], self.share[start : start + size]
        return Taps(source - self.extent(start, size)[0], share)

    def extent(self, start: int, size: int) -> tuple[int, int]:
        """First source position that some output positions need, and how many."""
        source, share = self.source[start : start + size], self.share[start : start + size]
        first = int(source.min())
        return first, int((source + (share > 0)).max()) + 1 - first

    def is_identity(self, size: int) -> bool:
        """Whether the output is the source, which has ``size`` positions."""
        return len(self.source) == size and not self.share.any() and bool((self.source == np.arange(size)).all())


def nearest_taps(positions: Array, size: int, asymmetric: bool) -> Taps:
    """Each output takes the element at its position rounded, a half down; towards zero where ``asymmetric``."""
    rounded = np.floor(positions) if asymmetric else np.ceil(positions - 0.5)
    return Taps(rounded.clip(0, size - 1).astype(np.int64), np.zeros(len(positions)))


def linear_taps(positions: Array, size: int) -> Taps:
    """Each output takes shares of the two elements around its position."""
    positions = positions.clip(0, size - 1)
    low = np.floor(positions)
    share = np.round((positions - low) * _SHARE_STEPS) / _SHARE_STEPS
    source = (low + (share == 1)).astype(np.int64)
    return Taps(source, np.where((share == 1) | (source >= size - 1), 0, share))


@dataclass(frozen=True)
class Run:
    """``count`` output positions ``start``, ``start + step``, ... whose sources are ``source``, ``source + stride``, ..."""

    start: int
    step: int
    count: int
    source: int
    stride: int
    share: float


def find_runs(found: Taps) -> list[Run]:
    """The fewest runs that cover all output positions; of two periods that promise the fewest the better one."""
    periods = range(1, min(_MAX_PERIOD, len(found.source)) + 1)
    promising = sorted(periods, key=lambda period: _changes(found, period))[:2]
    return min((list(_runs(found, period)) for period in sorted(promising)), key=len)


def _changes(found: Taps, period: int) -> int:
    """About how many runs there are of a period, without going through them."""
    return period + sum(len(_boundaries(found.source[i::period], found.share[i::period])) for i in range(period))


def _boundaries(source: Array, share: Array) -> Array:
    """Positions that are the last of a run, if it begins before: where the stride or the share of what follows is another."""
    strides, equal = np.diff(source), share[1:] == share[:-1]
    return np.flatnonzero((strides[1:] != strides[:-1]) | ~equal[1:]) + 1


def _runs(found: Taps, period: int) -> Iterator[Run]:
    for first in range(period):
        source, share = found.source[first::period], found.share[first::period]
        last = len(source) - 1
        ends = [*_boundaries(source, share).tolist(), last]
        begin = at = 0
        while begin <= last:
            while ends[at] <= begin < last:
                at += 1
            alone = begin == last or share[begin + 1] != share[begin]
            count = 1 if alone else ends[at] - begin + 1
            stride = int(source[begin + 1] - source[begin]) if count > 1 else 0
            yield Run(first + begin * period, period, count, int(source[begin]), stride, float(share[begin]))
            begin += count


def every(tensor: LocalTensor, axis: int, start: int, step: int, count: int) -> LocalTensor:
    """``count`` positions of an axis from ``start`` on, ``step`` apart, in place (step 0: the same one again and again)."""
    part = slice_axis(tensor, axis, start, 1)
    strides = list(tensor.strides)
    strides[axis] *= step
    return replace(part, shape=with_size(part.shape, axis, count), strides=(strides[0], strides[1], strides[2], strides[3]))


def resize_axis(e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, axis: int, found: Taps, s: Scratch) -> None:
    """``out`` = ``x`` resized along one axis."""
    factor = out.shape[axis] // x.shape[axis]
    if axis == W and factor >= _MANY and _is_repetition(found, factor, x.shape[axis]):
        _repeat_columns(e, out, x, factor)
        return
    size = x.shape[axis] - 1
    slope, term = s.take(with_size(x.shape, axis, max(size, 1)), x.element), s.take(out.shape, x.element)
    if found.share.any():
        e.binary("sub", slope, slice_axis(x, axis, 1, size), slice_axis(x, axis, 0, size))
    for run in find_runs(found):
        target = every(out, axis, run.start, run.step, run.count)
        source = every(x, axis, run.source, run.stride, run.count)
        if run.share == 0:
            e.copy(target, source)
            continue
        product = slice_axis(term, axis, 0, run.count)
        e.binary("mul", product, every(slope, axis, run.source, run.stride, run.count), run.share)
        e.binary("add", target, product, source)


def resize_axis_bytes(source: Shape4, out: Shape4, axis: int, element: ElementType) -> int:
    """Scratch bytes a lane that ``resize_axis`` takes at most."""
    return aligned_bytes(arch(), with_size(source, axis, max(source[axis] - 1, 1)), element) + aligned_bytes(arch(), out, element)


def _is_repetition(found: Taps, factor: int, size: int) -> bool:
    return (
        factor > 1 and len(found.source) == factor * size and not found.share.any()
        and bool((found.source == np.arange(factor * size) // factor).all())
    )


def _repeat_columns(e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, factor: int) -> None:
    """Every column ``factor`` times: one instruction an image, with rows as images and repetitions as columns."""
    _, c, h, w = x.shape
    for n in range(x.shape[0]):
        source, target = slice_axis(x, 0, n, 1), slice_axis(out, 0, n, 1)
        _, group, row, column = source.strides
        repeated = replace(source, shape=(h, c, w, factor), strides=(row, group, column, 0))
        _, group, row, column = target.strides
        e.copy(replace(target, shape=(h, c, w, factor), strides=(row, group, factor * column, column)), repeated)


class ResizeKernel(Kernel):
    """Interp and Upsample over the last two axes."""

    native = FLOATS

    def supports(self, op: Operation) -> str | None:
        if any(v is not None and not is_weight(v) for v in op.operands[1:]):
            return "a computed target shape"
        return None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        return Views((_view(op.input.shape), *(None for _ in op.operands[1:])), (_view(op.output.shape),))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(range(1, len(op.operands)))

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: Any) -> int:
        return 0

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        box = out
        for axis in (H, W):
            box = box.with_axis(axis, *op_taps(op, axis).extent(out.start[axis], out.size[axis]))
        return [box, *(None for _ in op.operands[1:])]

    def scratch(self, op: Operation, tile: Tile) -> int:
        x, out = tile.operands[0], tile.results[0].shape
        assert x is not None
        wide, element = with_size(x.shape, W, out[3]), x.element
        axes = resize_axis_bytes(x.shape, wide, W, element) + resize_axis_bytes(wide, out, H, element)
        return aligned_bytes(arch(), wide, element) + axes

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out = tile.operands[0], tile.results[0]
        assert x is not None
        s = Scratch(tile.scratch)
        rows = op_taps(op, H).part(tile.out.start[H], tile.out.size[H])
        columns = op_taps(op, W).part(tile.out.start[W], tile.out.size[W])
        repeats = out.shape[2] // x.shape[2]
        if rows.is_identity(x.shape[2]):
            resize_axis(e, out, x, W, columns, s)
        elif _is_repetition(rows, repeats, x.shape[2]):
            first, *others = (every(out, H, i, repeats, x.shape[2]) for i in range(repeats))
            resize_axis(e, first, x, W, columns, s)
            for other in others:
                e.copy(other, first)
        elif columns.is_identity(x.shape[3]):
            resize_axis(e, out, x, H, rows, s)
        else:
            wide = s.take(with_size(x.shape, W, out.shape[3]), x.element)
            resize_axis(e, wide, x, W, columns, s)
            resize_axis(e, out, wide, H, rows, s)
        if isinstance(op, top.Upsample):
            relu(op, out, e)


def op_taps(op: Any, axis: int) -> Taps:
    """The taps of an operation along h or w of its view."""
    size, out = _view(op.input.shape)[axis], _view(op.output.shape)[axis]
    if isinstance(op, top.Upsample):
        return nearest_taps(np.arange(out) / (out / size), size, True)
    scales = op.scales(len(op.input.shape))
    if axis - W + len(scales) <= 0:
        return nearest_taps(np.arange(out), size, True)
    scale = scales[axis - W - 1] if min(scales) > 0 else out / size
    positions = op.positions(size, out, scale)
    if op.mode == "nearest":
        return nearest_taps(positions, size, op.coord_mode == "asymmetric")
    return linear_taps(positions, size)


def _view(shape: Sequence[int]) -> Shape4:
    if len(shape) == 3:
        return (shape[0], shape[1], 1, shape[2])
    return (prod(shape[:-3]), shape[-3], shape[-2], shape[-1])


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.Interp tpu.Upsample", ResizeKernel())
