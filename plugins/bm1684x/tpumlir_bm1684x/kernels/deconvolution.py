"""Transposed convolution (Deconv), phase by phase.

With strides (s, t), the results at rows r, r + s, ... and columns q, q + t, ... use the same taps of the kernel: they
are a convolution of stride 1 with those taps, in reverse order. No zero is inserted and none is multiplied. Phases are
computed in scratch and copied to their rows and columns. The lane image is as that of a convolution, phase by phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import F32, relu
from tpumlir_bm1684x.kernels.filters import ChannelGroups, has_bias, pair, refused, rows_bytes, rows_image, spatial, taps_image
from tpumlir_bm1684x.kernels.windows import (
    Axis,
    Pair,
    Window,
    aligned_span,
    cut,
    pad_into,
    padded_shape,
    pairs,
    sweepable,
    swept_bytes,
    swept_input,
    window_box,
)
from tpumlir_core.ir import Array, ElementType, Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import FLOATS, Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


@dataclass(frozen=True)
class Residue:
    """The results ``step * i + residue`` along one axis: a convolution of stride 1 over the input with ``taps`` of the kernel."""

    step: int
    residue: int
    taps: tuple[int, ...]
    axis: Axis

    def within(self, start: int, count: int) -> Pair:
        """Those among ``start`` to ``start + count``: (first i, how many)."""
        first = ceil_div(start - self.residue, self.step)
        return first, ceil_div(start + count - self.residue, self.step) - first

    def window(self, start: int, count: int) -> Window:
        return self.axis.window(*self.within(start, count))


@dataclass(frozen=True)
class Phase:
    """One residue of each spatial axis."""

    rows: Residue
    columns: Residue

    @property
    def kernel(self) -> Pair:
        return (self.rows.axis.kernel, self.columns.axis.kernel)

    @property
    def dilation(self) -> Pair:
        """As the instruction wants it: 1 for a single tap."""
        rows, columns = self.rows.axis, self.columns.axis
        return (rows.dilation if rows.kernel > 1 else 1, columns.dilation if columns.kernel > 1 else 1)

    def windows(self, out: Box) -> tuple[Window, Window]:
        return self.rows.window(out.start[2], out.size[2]), self.columns.window(out.start[3], out.size[3])

    def shape(self, out: Box) -> Shape4:
        """Shape of this phase's part of ``out``."""
        rows, columns = self.rows.within(out.start[2], out.size[2]), self.columns.within(out.start[3], out.size[3])
        return (out.size[0], out.size[1], rows[1], columns[1])

    def select(self, out: LocalTensor, box: Box) -> LocalTensor:
        """This phase's rows and columns of ``out``, which is ``box`` of the result."""
        rows, columns = self.rows, self.columns
        row = rows.within(box.start[2], box.size[2])[0] * rows.step + rows.residue - box.start[2]
        column = columns.within(box.start[3], box.size[3])[0] * columns.step + columns.residue - box.start[3]
        shape = self.shape(box)
        seen = out.part(arch(), Box((0, 0, row, column), shape))
        strides = (out.strides[0], out.strides[1], out.strides[2] * rows.step, out.strides[3] * columns.step)
        return LocalTensor(seen.address, shape, out.element, strides, seen.lane)


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution in two spatial axes."""

    x: Shape4
    y: Shape4
    groups: int
    kernel: Pair
    phases: tuple[Phase, ...]  # those that have taps

    @property
    def steps(self) -> bool:
        """Whether there are strides, so that phases have to be told apart."""
        return max(self.phases[0].rows.step, self.phases[0].columns.step) > 1

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.x[1] == self.y[1]

    def present(self, out: Box) -> list[Phase]:
        """The phases that ``out`` has results of."""
        return [phase for phase in self.phases if min(phase.shape(out)) > 0]

    def whole(self) -> bool:
        """Whether every result has a tap."""
        return len(self.phases) == self.phases[0].rows.step * self.phases[0].columns.step


def _residues(size: int, kernel: int, stride: int, dilation: int, pad: int) -> list[Residue]:
    """The residues of one axis that have taps."""
    if stride == 1:
        reverse = tuple(reversed(range(kernel)))
        return [Residue(1, 0, reverse, Axis(size, kernel, 1, dilation, (kernel - 1) * dilation - pad))]
    found = []
    for residue in range(stride):
        # Tap k meets result stride * i + residue at input i + (residue + pad - k * dilation) / stride.
        shifts = {(residue + pad - k * dilation) // stride: k for k in range(kernel) if (residue + pad - k * dilation) % stride == 0}
        if not shifts:
            continue
        first, order = min(shifts), sorted(shifts)
        gap = order[1] - order[0] if len(order) > 1 else 1
        found.append(Residue(stride, residue, tuple(shifts[s] for s in order), Axis(size, len(order), 1, gap, -first)))
    return found


def transposed(op: Any) -> Transposed:
    """The transposed convolution that an operation of one or two spatial axes asks for."""
    x, y = spatial(op.input.shape), spatial(op.output.shape)
    begins = pair([begin for begin, _ in op.padding(op.input.shape[2:])], 0)
    kernel = pair(op.kernel_shape, 1)
    axes = zip(x[2:], kernel, pair(op.strides, 1), pair(op.steps(), 1), begins, strict=True)
    rows, columns = (_residues(*axis) for axis in axes)
    return Transposed(x, y, op.group, kernel, tuple(Phase(row, column) for row in rows for column in columns))


class DeconvKernel(Kernel):
    """Deconv: dense, grouped and depthwise."""

    native = FLOATS

    def takes(self, op: Any) -> bool:
        """In 16 bits: what no tap reaches is the bias, which those instructions do not read in F32; and PorD rounds every product."""
        if not super().takes(op) or op.output.type.element is F32:
            return super().takes(op)
        t = transposed(op)
        return t.whole() and not t.depthwise

    def supports(self, op: Any) -> str | None:
        reason = refused(op)
        if reason is None and any(a.dilation > LIMIT + 1 for phase in transposed(op).phases for a in (phase.rows.axis, phase.columns.axis)):
            reason = f"taps more than {LIMIT + 1} apart"
        return reason

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        t = transposed(op)
        return Views((t.x, *[None] * (len(op.operands) - 1)), (t.y,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2})

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        t = transposed(op)
        boxes = [_needed(t, phase, out) for phase in t.present(out)] or [Box((0, 0, 0, 0), (1, 1, 1, 1))]
        needed = boxes[0]
        for box in boxes[1:]:
            needed = needed.union(box)
        return [needed, *[None] * (len(op.operands) - 1)]

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        t = transposed(op)
        channels = slice(out.start[1], out.stop[1])
        filters = weights[op.operands[1].name].reshape(t.y[1], t.x[1] // t.groups, *t.kernel)[channels]
        element = op.output.type.element
        parts = [_image(_taps(filters, phase), t.depthwise, element) for phase in t.phases]
        if has_bias(op):
            biases = weights[op.operands[2].name].reshape(-1, 1)[channels]
            parts.append(rows_image(biases, F32))
        return np.concatenate(parts, axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        t, element = transposed(op), op.output.type.element
        return self._filters(t, t.phases, out, element) + rows_bytes(out.size[1], has_bias(op), F32)

    def _filters(self, t: Transposed, phases: Sequence[Phase], out: Box, element: ElementType) -> int:
        """Bytes of a lane for the filters of some phases."""
        if t.depthwise:
            return sum(rows_bytes(out.size[1], prod(phase.kernel), element) for phase in phases)
        slots = ceil_div(out.size[1], arch().lanes)
        return slots * sum(filter_bytes(t.x[1] // t.groups, prod(phase.kernel), element) for phase in phases)

    def scratch(self, op: Any, tile: Tile) -> int:
        t = transposed(op)
        return max((sum(self._room(t, phase, tile)) for phase in t.present(tile.out)), default=0)

    def _room(self, t: Transposed, phase: Phase, tile: Tile) -> Pair:
        """Scratch bytes of a phase: for its padded input, for its results."""
        windows = phase.windows(tile.out)
        needed = _needed(t, phase, tile.out)
        element = tile.results[0].element
        results = aligned_bytes(arch(), phase.shape(tile.out), element) if t.steps else 0
        if t.depthwise:
            return swept_bytes(tile, needed, *windows), results
        if sweepable(windows, LIMIT):
            return 0, results
        x = cut(tile, needed)
        return aligned_span(padded_shape(x, *windows), x.lane, element.bytes), results

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        t = transposed(op)
        out = tile.results[0]
        bias = tile.constants + self._filters(t, t.phases, tile.out, out.element) if has_bias(op) else None
        if not t.whole():
            self._untouched(tile, bias, e)
        for phase in t.present(tile.out):
            target = out
            if t.steps:
                at = tile.scratch + self._room(t, phase, tile)[0]
                target = LocalTensor.aligned(arch(), at, phase.shape(tile.out), out.element)
            before = t.phases[: t.phases.index(phase)]
            filters = tile.constants + self._filters(t, before, tile.out, out.element)
            self._phase(t, phase, tile, target, filters, bias, e)
            if t.steps and op.do_relu:
                e.binary("max", phase.select(out, tile.out), target, 0.0)
            elif t.steps:
                e.copy(phase.select(out, tile.out), target)
        self._activate(op, t, out, e)

    def _activate(self, op: Any, t: Transposed, out: LocalTensor, e: Bm1684xEmitter) -> None:
        """What of the activation copying the phases has not done."""
        if not (t.steps and t.whole()):
            relu(op, out, e)
        elif op.do_relu and op.relu_limit > 0:
            e.binary("min", out, out, op.relu_limit)

    def _untouched(self, tile: Tile, bias: int | None, e: Bm1684xEmitter) -> None:
        """What no tap reaches is the bias alone."""
        out = tile.results[0]
        if bias is None:
            e.copy(out, 0.0)
            return
        e.binary("add", out, LocalTensor.compact(arch(), bias, (1, out.shape[1], 1, 1), F32), 0.0)

    def _phase(
        self, t: Transposed, phase: Phase, tile: Tile, out: LocalTensor, filters: int, bias: int | None, e: Bm1684xEmitter
    ) -> None:
        rows, columns = phase.windows(tile.out)
        needed = _needed(t, phase, tile.out)
        if t.depthwise:
            x, pads = swept_input(tile, needed, rows, columns, 0.0, e)
            sweep = Sweep(phase.kernel, (1, 1), pads, phase.dilation)
            row, size = prod(phase.kernel) * x.element.bytes, x.element.bytes
            for target, source, slot in pairs(out, x):
                e.depthwise(target, source, filters + slot * row, None if bias is None else bias + slot * size, sweep)
            return
        x, pads = cut(tile, needed), (rows.before, rows.after, columns.before, columns.after)
        if not sweepable((rows, columns), LIMIT):
            x, pads = pad_into(e, tile.scratch, x, rows, columns, 0.0), (0, 0, 0, 0)
        groups = ChannelGroups.of(t.x, t.y, t.groups, tile.out)
        groups.convolve(e, out, x, filters, bias, Sweep(phase.kernel, (1, 1), pads, phase.dilation))


def _image(taps: Array, depthwise: bool, element: ElementType) -> LaneImage:
    """The filters of one phase in the lanes."""
    return rows_image(taps.reshape(len(taps), -1), element) if depthwise else taps_image(taps, element)


def _taps(filters: Array, phase: Phase) -> Array:
    """The taps of a phase, in the order of the inputs they meet."""
    return filters[:, :, list(phase.rows.taps)][:, :, :, list(phase.columns.taps)]


def _needed(t: Transposed, phase: Phase, out: Box) -> Box:
    """The input box for the results of ``phase`` in ``out``."""
    channels = (out.start[1], out.size[1]) if t.depthwise else ChannelGroups.of(t.x, t.y, t.groups, out).needed
    return window_box(*phase.windows(out), (out.start[0], out.size[0]), channels)


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.Deconv", DeconvKernel())
