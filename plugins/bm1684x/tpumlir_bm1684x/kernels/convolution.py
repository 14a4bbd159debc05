"""Convolution (Conv), dense and grouped.

The lane image of a range of output channels: each channel's filter (input channels of its group x rows x columns, compact)
in the lane of that channel, group of lanes by group of lanes, then one bias a channel. A kernel that the instruction
cannot sweep (strides over 15, taps more than 16 apart) is done tap by tap, adding up in the result; then the filters lie
tap by tap, the bias last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, is_weight, relu
from tpumlir_bm1684x.kernels.depthwise import DepthwiseConvolution
from tpumlir_bm1684x.kernels.filters import Problem, by_lane, has_bias, problem
from tpumlir_bm1684x.kernels.windows import Window, aligned_span, batches, cut, pad_into, padded_shape, window_box
from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4


class DenseConvolution(Kernel):
    """Convolutions by the CONV instruction, one for each group of channels."""

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        p = problem(op)
        return Views((p.x, *[None] * (len(op.operands) - 1)), (p.y,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2})

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        return [_needed(problem(op), out), *[None] * (len(op.operands) - 1)]

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        p = problem(op)
        channels = slice(out.start[1], out.stop[1])
        filters = weights[op.operands[1].name].reshape(p.y[1], p.per_group[0], -1)[channels]
        taps = filters.transpose(2, 0, 1) if p.tapwise else filters.reshape(1, filters.shape[0], -1)
        parts = [by_lane(tap) for tap in taps]
        if has_bias(op):
            parts.append(by_lane(weights[op.operands[2].name].reshape(-1, 1)[channels]))
        return np.concatenate(parts, axis=1).view(np.uint8)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        p = problem(op)
        elements = p.per_group[0] * p.kernel[0] * p.kernel[1] + has_bias(op)
        return ceil_div(out.size[1], arch().lanes) * elements * F32.bytes

    def scratch(self, op: Any, tile: Tile) -> int:
        p = problem(op)
        windows = p.windows(tile.out)
        if not _needs_padding(p, windows):
            return 0
        x = cut(tile, _needed(p, tile.out))
        return aligned_span(padded_shape(x, *windows), x.lane, F32.bytes)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p = problem(op)
        windows = p.windows(tile.out)
        x = cut(tile, _needed(p, tile.out))
        if _needs_padding(p, windows):
            x = pad_into(e, tile.scratch, x, *windows, 0.0)
            windows = tuple(Window(0, w.extent, 0, 0) for w in windows)  # type: ignore[assignment]
        self._groups(op, p, tile, x, windows, e)
        relu(op, tile.results[0], e)

    def _groups(self, op: Any, p: Problem, tile: Tile, x: LocalTensor, windows: tuple[Window, Window], e: Bm1684xEmitter) -> None:
        """One convolution for each group of channels that the tile touches."""
        out = tile.results[0]
        ins, outs = p.per_group
        first, last = tile.out.start[1], tile.out.stop[1]
        origin = _needed(p, tile.out).start[1]
        for group in range(first // outs, ceil_div(last, outs)):
            begin, end = max(group * outs, first), min((group + 1) * outs, last)
            target = out.part(arch(), Box((0, begin - first, 0, 0), (out.shape[0], end - begin, *out.shape[2:])))
            whole = x.part(arch(), Box((0, group * ins - origin, 0, 0), (x.shape[0], ins, *x.shape[2:])))
            slot = (begin - first) // arch().lanes
            for y, source in _by_batch(target, whole):
                if p.tapwise:
                    self._tapwise(op, p, tile, y, source, slot, e)
                else:
                    self._at_once(op, p, tile, y, source, slot, windows, e)

    def _at_once(
        self, op: Any, p: Problem, tile: Tile, out: LocalTensor, x: LocalTensor, slot: int, windows: tuple[Window, Window],
        e: Bm1684xEmitter,
    ) -> None:
        rows, columns = windows
        sweep = Sweep(
            p.kernel, (p.rows.stride, p.columns.stride), (rows.before, rows.after, columns.before, columns.after),
            (p.rows.dilation if p.kernel[0] > 1 else 1, p.columns.dilation if p.kernel[1] > 1 else 1),
        )
        filters, bias = self._addresses(op, p, tile, slot, 0)
        e.convolve(out, x, filters, bias, sweep)

    def _tapwise(self, op: Any, p: Problem, tile: Tile, out: LocalTensor, x: LocalTensor, slot: int, e: Bm1684xEmitter) -> None:
        """Tap by tap over the input (its padding written out), as convolutions of one tap that add up in the result."""
        strides = (x.strides[0], x.strides[1], x.strides[2] * p.rows.stride, x.strides[3] * p.columns.stride)
        for tap in range(p.kernel[0] * p.kernel[1]):
            row, column = divmod(tap, p.kernel[1])
            start = (0, 0, row * p.rows.dilation, column * p.columns.dilation)
            seen = x.part(arch(), Box(start, (x.shape[0], x.shape[1], out.shape[2], out.shape[3])))
            filters, bias = self._addresses(op, p, tile, slot, tap)
            e.convolve(out, replace(seen, strides=strides), filters, None if tap else bias, Sweep((1, 1)), accumulate=tap > 0)

    def _addresses(self, op: Any, p: Problem, tile: Tile, slot: int, tap: int) -> tuple[int, int | None]:
        """Where the filters and the biases of a group of lanes lie in the image."""
        slots = ceil_div(tile.out.size[1], arch().lanes)
        taps = p.kernel[0] * p.kernel[1]
        row = p.per_group[0] * (1 if p.tapwise else taps)
        filters = tile.constants + (tap * slots + slot) * row * F32.bytes
        bias = tile.constants + (slots * p.per_group[0] * taps + slot) * F32.bytes
        return filters, bias if has_bias(op) else None


class ConvKernel(ChoiceKernel):
    """Conv: depthwise where every channel is a group of its own, else dense."""

    def __init__(self) -> None:
        self._dense = DenseConvolution()
        self._depthwise = DepthwiseConvolution()

    def choose(self, op: Any) -> Kernel:
        depthwise = op.group > 1 and op.group == op.input.shape[1] == op.output.shape[1] and not problem(op).tapwise
        return self._depthwise if depthwise else self._dense

    def supports(self, op: Any) -> str | None:
        if any(v is not None and v.type.element is not F32 for v in (*op.operands, *op.results)):
            return "only F32"
        if len(op.kernel_shape) > 2:
            return f"{len(op.kernel_shape)} spatial axes"
        if not is_weight(op.operands[1]) or (has_bias(op) and not is_weight(op.operands[2])):
            return "a filter or bias that is computed"
        if op.inserts is not None and any(op.inserts):
            return "zeros inserted into its input"
        return None


def _needed(p: Problem, out: Box) -> Box:
    """The input box for ``out``. Its first channel is a multiple of the lane count, as the scheduler cuts."""
    ins, outs = p.per_group
    lanes = arch().lanes
    start = out.start[1] // outs * ins // lanes * lanes
    stop = ceil_div(out.stop[1], outs) * ins
    return window_box(*p.windows(out), (out.start[0], out.size[0]), (start, stop - start))


def _needs_padding(p: Problem, windows: tuple[Window, Window]) -> bool:
    """Whether padding has to be written out, because the instruction cannot express it."""
    sides = [side for w in windows for side in (w.before, w.after)]
    return min(sides) < 0 or max(sides) > (0 if p.tapwise else LIMIT)


def _by_batch(out: LocalTensor, x: LocalTensor) -> list[tuple[LocalTensor, LocalTensor]]:
    """Result and input, cut into batches where the result's are apart (a part of a larger tensor)."""
    return [(out, x)] if out.is_aligned(arch()) else list(zip(batches(out), batches(x), strict=True))


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.Conv", ConvKernel())
