"""Convolution (Conv), dense and grouped.

The lane image of a range of output channels: each channel's filter (input channels of its group x rows x columns, compact)
in the lane of that channel, group of lanes by group of lanes, then one bias a channel. A kernel that the instruction
cannot sweep (strides over 15, taps more than 16 apart) is done tap by tap, adding up in the result; then the filters lie
tap by tap, the bias last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, results_per_step
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels import folded_rows, winograd
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, relu
from tpumlir_bm1684x.kernels.depthwise import DepthwiseConvolution
from tpumlir_bm1684x.kernels.filters import (
    ChannelGroups,
    Convolution,
    Problem,
    activate_apart,
    activates_apart,
    activation_bytes,
    has_bias,
    problem,
    refused,
    rows_image,
    taps_image,
)
from tpumlir_bm1684x.kernels.folded_rows import FoldedRows
from tpumlir_bm1684x.kernels.windows import aligned_span, batch_of, cut, pad_into, padded_shape, sweepable, window_box
from tpumlir_core.ir import Array, ElementType, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor

LOAD_BYTES = 54  # that a cycle loads at best (tpu-mlir 1.30.2's estimate)


class DenseConvolution(Convolution):
    """Convolutions by the CONV instruction, one for each group of channels."""

    def takes(self, op: Any) -> bool:
        """Tap by tap it adds up in the result, which has to be F32 for that."""
        return super().takes(op) and (op.output.type.element is F32 or not problem(op).tapwise)

    def problem(self, op: Any) -> Problem:
        """With as many groups joined to one as make it faster."""
        p = problem(op)
        return replace(p, groups=p.groups // joined_groups(p, op.output.type.element))

    def needed(self, p: Problem, out: Box) -> Box:
        channels = ChannelGroups.of(p.x, p.y, p.groups, out).needed
        return window_box(*p.windows(out), (out.start[0], out.size[0]), channels)

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        p = self.problem(op)
        channels = slice(out.start[1], out.stop[1])
        filters = joined_filters(weights[op.operands[1].name].reshape(p.y[1], -1, p.taps, 1), p.x[1] // p.groups, p.groups)[channels]
        taps = np.split(filters, p.taps, axis=2) if p.tapwise else [filters]
        parts = [taps_image(tap, op.output.type.element) for tap in taps]
        if has_bias(op):
            parts.append(rows_image(weights[op.operands[2].name].reshape(-1, 1)[channels], F32))
        return np.concatenate(parts, axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        p = self.problem(op)
        return ceil_div(out.size[1], arch().lanes) * (self._filter(op, p) + has_bias(op) * F32.bytes)

    def _filter(self, op: Any, p: Problem) -> int:
        """Bytes of one channel's filter."""
        return filter_bytes(p.x[1] // p.groups, p.taps, op.output.type.element)

    def scratch(self, op: Any, tile: Tile) -> int:
        p = self.problem(op)
        return self._room(p, tile) + (activation_bytes(tile.results[0]) if self._apart(op, p) else 0)

    def _apart(self, op: Any, p: Problem) -> bool:
        return not p.tapwise and activates_apart(op, p.x[1] // p.groups * p.taps)

    def _room(self, p: Problem, tile: Tile) -> int:
        """Scratch bytes for an input with its padding written out."""
        windows = p.windows(tile.out)
        if sweepable(windows, 0 if p.tapwise else LIMIT):
            return 0
        x = cut(tile, self.needed(p, tile.out))
        return aligned_span(padded_shape(x, *windows), x.lane, x.element.bytes)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p = self.problem(op)
        rows, columns = p.windows(tile.out)
        x = cut(tile, self.needed(p, tile.out))
        pads = (rows.before, rows.after, columns.before, columns.after)
        if not sweepable((rows, columns), 0 if p.tapwise else LIMIT):
            x, pads = pad_into(e, tile.scratch, x, rows, columns, 0.0), (0, 0, 0, 0)
        slots = ceil_div(tile.out.size[1], arch().lanes)
        bias = tile.constants + slots * self._filter(op, p) if has_bias(op) else None
        groups = ChannelGroups.of(p.x, p.y, p.groups, tile.out)
        if p.tapwise:
            self._tapwise(p, groups, tile, x, bias, e)
            relu(op, tile.results[0], e)
            return
        dilation = (p.rows.dilation if p.kernel[0] > 1 else 1, p.columns.dilation if p.kernel[1] > 1 else 1)
        sweep = Sweep(p.kernel, (p.rows.stride, p.columns.stride), pads, dilation)
        if not self._apart(op, p):
            groups.convolve(e, tile.results[0], x, tile.constants, bias, sweep)
            relu(op, tile.results[0], e)
            return

        def block(target: LocalTensor, batch: int, slot: int) -> None:
            part = groups.block(slot)
            source = part.channels_of(batch_of(x, batch), groups)
            filters = tile.constants + slot * self._filter(op, p)
            part.convolve(e, target, source, filters, None if bias is None else bias + slot * F32.bytes, sweep)

        activate_apart(e, op, tile.results[0], tile.scratch + self._room(p, tile), block)

    def _tapwise(self, p: Problem, groups: ChannelGroups, tile: Tile, x: LocalTensor, bias: int | None, e: Bm1684xEmitter) -> None:
        """Tap by tap over the input (its padding written out), as convolutions of one tap that add up in the result."""
        out = tile.results[0]
        strides = (x.strides[0], x.strides[1], x.strides[2] * p.rows.stride, x.strides[3] * p.columns.stride)
        image = ceil_div(tile.out.size[1], arch().lanes) * groups.inputs * F32.bytes  # of one tap
        for tap in range(p.taps):
            row, column = divmod(tap, p.kernel[1])
            start = (0, 0, row * p.rows.dilation, column * p.columns.dilation)
            seen = replace(x.part(arch(), Box(start, (x.shape[0], x.shape[1], *out.shape[2:]))), strides=strides)
            groups.convolve(e, out, seen, tile.constants + tap * image, None if tap else bias, Sweep((1, 1)), tap > 0)


def joined_groups(p: Problem, element: ElementType) -> int:
    """How many groups of channels at a time are done as one, zeros in its filters for what does not belong together.

    A step of the multipliers takes 32 input channels of 16 bits, and all lanes, whether a group has as many or not.
    """
    if element is F32 or p.groups == 1:
        return 1

    def cycles(joined: int) -> int:
        size = filter_bytes(p.x[1] // p.groups * joined, p.taps, element)
        slots = ceil_div(p.y[1] // p.groups * joined, arch().lanes)
        steps = slots * size // filter_bytes(1, 1, element) * ceil_div(p.y[2] * p.y[3], results_per_step(element))
        return p.y[0] * p.groups // joined * steps + p.y[1] * size // LOAD_BYTES

    return min((m for m in range(1, p.groups + 1) if p.groups % m == 0), key=cycles)


def joined_filters(filters: Array, inputs: int, groups: int) -> Array:
    """Filters (output channels, input channels of their group, taps, 1) over the ``inputs`` of the ``groups`` that theirs are joined to."""
    outputs, own, taps, _ = filters.shape
    if own == inputs:
        return filters
    joined = inputs // own
    blocks = filters.reshape(groups, joined, outputs // (groups * joined), own, taps)
    full = np.zeros((groups, joined, blocks.shape[2], joined, own, taps), filters.dtype)
    for group in range(joined):
        full[:, group, :, group] = blocks[:, group]
    return full.reshape(outputs, inputs, taps, 1)


class WinogradConvolution(DenseConvolution):
    """3 x 3 convolutions by fewer multiplications."""

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        return winograd.image(op, out, weights)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return winograd.image_bytes(op, out)

    def scratch(self, op: Any, tile: Tile) -> int:
        return winograd.scratch_bytes(op, tile.out.size)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        winograd.emit(op, tile, self.needed(problem(op), tile.out), e)


class ConvKernel(ChoiceKernel):
    """Conv: depthwise where every channel is a group of its own; by Winograd's minimal filtering, or with the rows of the kernel folded
    into the channels, where that pays; else dense."""

    def __init__(self) -> None:
        self._dense = DenseConvolution()
        self._depthwise = DepthwiseConvolution()
        self._winograd = WinogradConvolution()
        self._folded = FoldedRows()

    def choose(self, op: Any) -> Kernel:
        depthwise = op.group > 1 and op.group == op.input.shape[1] == op.output.shape[1] and not problem(op).tapwise
        if depthwise:
            return self._depthwise
        if folded_rows.pays(op):
            return self._folded
        return self._winograd if winograd.pays(op) else self._dense

    def supports(self, op: Any) -> str | None:
        if op.inserts is not None and any(op.inserts):
            return "zeros inserted into its input"
        return refused(op)


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.Conv", ConvKernel())
