"""Pixels to planes: an exchange of a long axis with a short one that lies inside, as from packed images to planar ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import rows_filling_lanes
from tpumlir_bm1684x.kernels.movement import FITTING, place
from tpumlir_core.ir import Operation
from tpumlir_sophgo.kernel import EVERY_ELEMENT, Kernel, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

MOST_CHANNELS = 4  # of a pixel; each is a copy
MOST_BATCHES = 8
SHORTEST_RUN = 16  # pixels in a row of a lane


class PlanesKernel(Kernel):
    """(n, pixels, channels) becomes (n, channels, pixels): every lane has rows of pixels, of which it copies a channel at a time.

    By DMA, as ``TransposeKernel`` loads them, the few bytes of a pixel would be a row of their own.
    """

    native = EVERY_ELEMENT

    def __init__(self, sizes: Callable[[Operation], tuple[int, int, int] | None]) -> None:
        """``sizes``: (n, pixels, channels) of such a permutation, None for any other."""
        self._sizes = sizes

    def suits(self, op: Operation) -> bool:
        """Whether pixels are small, and rows of them fit the lanes."""
        found = self._sizes(op)
        if found is None or not op.output.type.elements:
            return False
        return 1 < found[2] <= MOST_CHANNELS and found[0] <= MOST_BATCHES and self._rows(op, *found) is not None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        sizes = self._sizes(op)
        assert sizes is not None
        n, pixels, channels = sizes
        rows = self._rows(op, n, pixels, channels)
        assert rows is not None
        return Views(((n, rows, 1, pixels // rows * channels),), ((n * channels, rows, 1, pixels // rows),))

    def splits(self, op: Operation, views: Views) -> str:
        return "c"

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        view = views.operands[0]
        assert view is not None
        return [Box.whole(view).with_axis(1, out.start[1], out.size[1])]

    def scratch(self, op: Operation, tile: Tile) -> int:
        source = tile.operands[0]
        assert source is not None
        return 0 if source.lane == tile.results[0].lane else aligned_bytes(arch(), source.shape, source.element)

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        source, out = tile.operands[0], tile.results[0]
        assert source is not None
        if source.lane != out.lane:
            moved = LocalTensor.aligned(arch(), tile.scratch, source.shape, source.element, out.lane)
            place(e, moved, source)
            source = moved
        channels = out.shape[0] // source.shape[0]
        for plane in range(out.shape[0]):
            batch, channel = divmod(plane, channels)
            address = source.address + (batch * source.strides[0] + channel) * source.element.bytes
            strides = (source.strides[0], source.strides[1], source.strides[2], channels)
            pixels = LocalTensor(address, (1, *out.shape[1:]), source.element, strides, source.lane)
            e.copy(out.part(arch(), Box.whole(out.shape).with_axis(0, plane, 1)), pixels)

    @staticmethod
    def _rows(op: Operation, n: int, pixels: int, channels: int) -> int | None:
        """How many rows of pixels to make, so that they fill the lanes best and fit."""
        element = op.output.type.element
        for rows in rows_filling_lanes(pixels, SHORTEST_RUN):
            run = pixels // rows
            sizes: tuple[Shape4, Shape4] = ((n, 1, 1, run * channels), (n * channels, 1, 1, run))
            if sum(aligned_bytes(arch(), size, element) for size in sizes) < FITTING * arch().lane_bytes:
                return rows
        return None
