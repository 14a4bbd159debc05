"""What becomes of the sums of 8-bit products: 8 bits again, or floats; a scale and an offset for each output channel.

8 bits take one instruction, which reads them in pairs. Floats take a conversion of the sums and one more instruction, which reads all
scales in one row of a lane and all offsets in another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import rows_by_lane
from tpumlir_bm1684x.kernels.common import F32, Scratch, image_bytes, relu
from tpumlir_core.ir import Array, Operation
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import LaneImage
from tpumlir_sophgo.tensor import Box, LocalTensor, aligned_bytes

PAIR = 2 * F32.bytes  # a channel's scale and offset


def results_fit(op: Operation) -> bool:
    """Whether results are of a type that sums can become."""
    element = op.output.type.element
    return element.bytes == 1 or element.is_float


def scale_image(op: Operation, scale: Array, offset: Array, channels: slice) -> LaneImage:
    """Scales and offsets of some channels as ``finish`` wants them, filled up to whole words of the execution units."""
    parts = [np.asarray(part, np.float32).reshape(-1)[channels] for part in (scale, offset)]
    apart = op.output.type.element.is_float
    rows = np.concatenate([rows_by_lane(part[:, None]) for part in parts], axis=1) if apart else rows_by_lane(np.stack(parts, axis=1))
    full = np.zeros((len(rows), scale_bytes(len(parts[0])) // F32.bytes), np.float32)
    full[:, : rows.shape[1]] = rows
    return full.view(np.uint8)


def scale_bytes(channels: int) -> int:
    """Bytes a lane of ``scale_image``."""
    return align(ceil_div(channels, arch().lanes) * PAIR, arch().eu_bytes)


def table_bytes(channels: int) -> int:
    """Scratch bytes of a ``Requantization`` of so many channels."""
    return 0 if channels <= arch().lanes else aligned_bytes(arch(), (1, channels, 1, 2), F32)


class Requantization:
    """Of a tile's sums. ``address``: of the lane image of its channels; ``s``: has room for ``table_bytes``."""

    def __init__(self, op: Any, address: int, channels: int, s: Scratch, e: Bm1684xEmitter) -> None:
        self._op, self._address, self._channels, self._e = op, address, channels, e
        if not op.output.type.element.is_float:
            self._pairs = _spread_pairs(address, channels, s, e)

    def finish(self, out: LocalTensor, sums: LocalTensor, first: int = 0) -> None:
        """Channels of the tile from ``first`` on, a multiple of the lanes. Both are in the standard layout; sums are lost."""
        e = self._e
        if not out.element.is_float:
            e.requantize_scaled(out, sums, self._pairs.part(arch(), Box((0, first, 0, 0), (1, out.shape[1], 1, 2))))
            return
        real = out if out.element is F32 else LocalTensor.aligned(arch(), sums.address, sums.shape, F32)
        e.unary("cast", real, sums)
        rows = (self._address + row * image_bytes(self._channels) + image_bytes(first) for row in range(2))
        scale, offset = (LocalTensor.compact(arch(), at, (1, out.shape[1], 1, 1), F32) for at in rows)
        e.linear(real, real, scale, offset)
        if out.element is not F32:
            e.unary("cast", out, real)
        relu(self._op, out, e)


def _spread_pairs(address: int, channels: int, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """The pairs as the instruction reads them, each group of lanes in a word of its own: copied where there are several."""
    shape = (1, channels, 1, 2)
    compact = LocalTensor.compact(arch(), address, shape, F32)
    if channels <= arch().lanes:
        return compact
    table = s.take(shape)
    e.copy(table, compact)
    return table
