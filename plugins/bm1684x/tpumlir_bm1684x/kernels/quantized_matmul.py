"""Matrix product of 8-bit numbers by a weight (QuantizedMatMul), as a convolution whose output channels are the columns.

The left operand comes a row a lane and is transposed in scratch, so that K lies in the lanes; or, of few rows, as a convolution leaves
it, and the kernel is as large as the image. Sums are requantized with the columns in the lanes, each with its own scale, and
transposed back. The lane image of a range of columns is that of ``quantized_convolution``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.common import Scratch, is_weight
from tpumlir_bm1684x.kernels.matrices import product, weight_matrix
from tpumlir_bm1684x.kernels.quantized_convolution import SI8, SI32
from tpumlir_bm1684x.kernels.requantization import Requantization, results_fit, scale_bytes, scale_image, table_bytes
from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

FEW_ROWS = 4  # that are taken as images; an image of one position keeps a quarter of the multipliers busy
LONGEST_KERNEL = 4095  # rows or columns


class QuantizedProduct(Kernel):
    """See the module."""

    def takes(self, op: Operation) -> bool:
        return op.input.type.element.bytes == 1 and results_fit(op)

    def supports(self, op: Any) -> str | None:
        right = op.operands[1]
        if not all(map(is_weight, op.operands[1:])) or len(right.shape) != 2 or op.left_transpose or len(op.input.shape) < 2:
            return "anything but a matrix times a weight of two dimensions"
        fits = self._least_bytes(op) <= arch().lane_bytes
        return None if fits else f"rows of {product(op).inner} elements are too long for local memory"

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views:
        p = product(op)
        seen = known[0] if known else None
        rows = (1, p.total_rows, 1, p.inner)
        left = seen if seen is not None and seen[0] == p.total_rows <= FEW_ROWS and _is_small(seen, p.inner) else rows
        return Views((left, None, None, None), ((1, p.total_rows, 1, p.columns),))

    def splits(self, op: Operation, views: Views) -> str:
        return "w" if self._by_image(views) else "cw"

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        left = views.operands[0]
        assert left is not None
        box = Box.whole(left)
        return [box if self._by_image(views) else box.with_axis(1, out.start[1], out.size[1]), None, None, None]

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2, 3})

    def piece_axis(self, op: Operation, views: Views) -> int:
        return 3

    def piece_unit(self, op: Operation, views: Views) -> int:
        return arch().lanes

    def writes_parts(self, op: Operation) -> bool:
        """What turns results about writes the standard layout only."""
        return False

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        columns = slice(out.start[3], out.stop[3])
        scale, offset = (weights[v.name] for v in op.operands[2:])
        channels, taps = self._filter(views)
        filters = np.ascontiguousarray(weight_matrix(op, weights)[:, columns].T).reshape(-1, channels, taps, 1)
        return np.concatenate([scale_image(op, scale, offset, columns), filter_image(filters, SI8).view(np.uint8)], axis=1)

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return self._image_bytes(views, out.size[3])

    def scratch(self, op: Any, tile: Tile) -> int:
        x = tile.operands[0]
        assert x is not None
        rows, columns = tile.out.size[1], tile.out.size[3]
        image = (rows, columns, 1, 1) if self._is_image(op, x) else (1, columns, 1, rows)
        turned = 0 if self._is_image(op, x) else aligned_bytes(arch(), (1, x.shape[3], 1, rows), SI8)
        packed = 0 if x.is_aligned(arch()) else aligned_bytes(arch(), x.shape, SI8)
        made = sum(aligned_bytes(arch(), image, element) for element in (SI32, op.output.type.element))
        return packed + turned + table_bytes(columns) + made

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = tile.operands[0], tile.results[0], Scratch(tile.scratch)
        assert x is not None
        rows, columns = out.shape[1], out.shape[3]
        if not x.is_aligned(arch()):
            packed = s.take(x.shape, x.element)
            e.copy(packed, x)
            x = packed
        by_image = self._is_image(op, x)
        if not by_image:
            turned = s.take((1, x.shape[3], 1, rows), x.element)
            e.transpose(turned, x)
            x = turned
        sweep = Sweep((x.shape[2], x.shape[3]) if by_image else (1, 1))
        shape = (rows, columns, 1, 1) if by_image else (1, columns, 1, rows)
        sums, results = s.take(shape, SI32), s.take(shape, out.element)
        requantization = Requantization(op, tile.constants, columns, s, e)
        e.convolve(sums, x, tile.constants + scale_bytes(columns), None, sweep, outside=op.input.type.scaling[1])
        requantization.finish(results, sums)
        if not by_image:
            e.transpose(out, results)
            return
        for row in range(rows):
            source = results.part(arch(), Box((row, 0, 0, 0), (1, columns, 1, 1)))
            e.transpose(out.part(arch(), Box((0, row, 0, 0), (1, 1, 1, columns))), source)

    def _least_bytes(self, op: Any) -> int:
        """Bytes a lane of the smallest tile: a row and a column in each lane."""
        p, lanes = product(op), arch().lanes
        out = Box((0, 0, 0, 0), (1, min(p.total_rows, lanes), 1, min(p.columns, lanes)))
        sides = ((p.inner, SI8), (out.size[3], op.output.type.element))
        x, y = (LocalTensor.aligned(arch(), 0, (1, out.size[1], 1, width), element) for width, element in sides)
        held = sum(aligned_bytes(arch(), t.shape, t.element) for t in (x, y)) + self._image_bytes(self.views(op, [None]), out.size[3])
        return held + self.scratch(op, Tile((x, None, None, None), (y,), (None,) * 4, out))

    def _image_bytes(self, views: Views, columns: int) -> int:
        return scale_bytes(columns) + ceil_div(columns, arch().lanes) * filter_bytes(*self._filter(views), SI8)

    def _filter(self, views: Views) -> tuple[int, int]:
        """Input channels and taps of the convolution."""
        left = views.operands[0]
        assert left is not None
        return (left[1], left[2] * left[3]) if self._by_image(views) else (left[3], 1)

    @staticmethod
    def _by_image(views: Views) -> bool:
        """Whether each row of the left operand is an image, with K along c, h and w."""
        left = views.operands[0]
        assert left is not None
        return left[:3] != (1, views.results[0][1], 1)

    @staticmethod
    def _is_image(op: Any, x: LocalTensor) -> bool:
        return x.shape[3] != product(op).inner


def _is_small(image: Shape4, inner: int) -> bool:
    """Whether the instruction can sweep over it with a kernel of its size, and it is not simply a row of K elements."""
    return max(image[2:]) <= LONGEST_KERNEL and image[3] != inner


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.QuantizedMatMul", QuantizedProduct())
