"""Depthwise convolution: every channel is a group of its own, with as many results as inputs.

In 16 bits PorD rounds every product and every sum of two, so that taps which cancel leave mostly noise: convolutions of more
than one tap are computed in F32 whatever is stored.

The lane image: each channel's kernel (rows x columns, compact) in the lane of that channel, then one bias a channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.common import F32, relu
from tpumlir_bm1684x.kernels.filters import (
    Convolution,
    Problem,
    activate_apart,
    activates_apart,
    activation_bytes,
    has_bias,
    problem,
    rows_bytes,
    rows_image,
)
from tpumlir_bm1684x.kernels.windows import blocks, pairs, swept_bytes, swept_input, window_box
from tpumlir_core.ir import WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor


class DepthwiseConvolution(Convolution):
    """Convolutions by the PorD instruction."""

    def takes(self, op: Any) -> bool:
        return super().takes(op) and (op.output.type.element is F32 or problem(op).taps == 1)

    def needed(self, p: Problem, out: Box) -> Box:
        return window_box(*p.windows(out), (out.start[0], out.size[0]), (out.start[1], out.size[1]))

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        channels = slice(out.start[1], out.stop[1])
        parts = [weights[v.name].reshape(op.group, -1)[channels] for v in op.operands[1:] if v is not None]
        return np.concatenate([rows_image(part, op.output.type.element) for part in parts], axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        p = problem(op)
        return sum(rows_bytes(out.size[1], length, op.output.type.element) for length in (p.taps, has_bias(op)))

    def scratch(self, op: Any, tile: Tile) -> int:
        p = problem(op)
        room = swept_bytes(tile, self.needed(p, tile.out), *p.windows(tile.out))
        return room + (activation_bytes(tile.results[0]) if activates_apart(op, p.taps) else 0)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        p = problem(op)
        x, pads = swept_input(tile, self.needed(p, tile.out), *p.windows(tile.out), 0.0, e)
        dilation = (p.rows.dilation if p.kernel[0] > 1 else 1, p.columns.dilation if p.kernel[1] > 1 else 1)
        sweep = Sweep(p.kernel, (p.rows.stride, p.columns.stride), pads, dilation)
        groups = ceil_div(tile.out.size[1], arch().lanes)
        taps = p.kernel[0] * p.kernel[1]
        size = tile.results[0].element.bytes
        biases = tile.constants + rows_bytes(tile.out.size[1], taps, tile.results[0].element)

        def block(target: LocalTensor, source: LocalTensor, slot: int) -> None:
            bias = biases + slot * size if has_bias(op) else None
            e.depthwise(target, source, tile.constants + slot * taps * size, bias, sweep)

        out = tile.results[0]
        if activates_apart(op, taps):
            sources = blocks(x)
            room = swept_bytes(tile, self.needed(p, tile.out), *p.windows(tile.out))
            activate_apart(e, op, out, tile.scratch + room, lambda target, n, slot: block(target, sources[n * groups + slot], slot))
            return
        for target, source, slot in pairs(out, x):
            block(target, source, slot)
        relu(op, out, e)
