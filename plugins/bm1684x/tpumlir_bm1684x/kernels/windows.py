"""Sliding windows over tiles: which input rows a tile of outputs reads, what of them is padding, and making room for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import LIMIT
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import Tile
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4

Pair = tuple[int, int]  # rows, columns


@dataclass(frozen=True)
class Window:
    """What a range of outputs reads along one axis: ``size`` inputs from ``start``, ``before`` and ``after`` them padding.

    Before and after may be negative where windows lie wholly in the padding; then one unused input stands in. Up to
    ``slack`` more inputs behind them do no harm: they do not make one more window.
    """

    start: int
    size: int
    before: int
    after: int
    slack: int

    @property
    def extent(self) -> int:
        """All positions that the windows sweep over, padding included."""
        return self.before + self.size + self.after


def effective(steps: Iterable[int], counts: Iterable[int]) -> Pair:
    """Strides along axes of so many outputs, or dilations of so many taps: from one to the next, so 1 where there is one."""
    rows, columns = (step if count > 1 else 1 for step, count in zip(steps, counts, strict=True))
    return rows, columns


@dataclass(frozen=True)
class Axis:
    """A sliding window along one axis of an operation: tap k of output o reads input ``o * stride - pad + k * dilation``."""

    size: int  # of the input
    kernel: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0  # before the first input

    def window(self, start: int, count: int) -> Window:
        """What outputs ``start`` to ``start + count`` read."""
        first = start * self.stride - self.pad
        last = first + (count - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        begin = min(max(first, 0), self.size - 1)
        end = max(min(last, self.size), begin + 1)
        return Window(begin, end - begin, begin - first, last - end, self.stride - 1)


def window_box(rows: Window, columns: Window, n: Pair, c: Pair) -> Box:
    """The input box of two windows; ``n`` and ``c`` are (start, size)."""
    return Box((n[0], c[0], rows.start, columns.start), (n[1], c[1], rows.size, columns.size))


def held(tile: Tile) -> tuple[LocalTensor, Box]:
    """The first operand of a tile, and the box that it is of its view."""
    x, box = tile.operands[0], tile.boxes[0]
    assert x is not None
    assert box is not None
    return x, box


def cut(tile: Tile, wanted: Box) -> LocalTensor:
    """The box ``wanted`` of the first operand."""
    x, box = held(tile)
    start = tuple(a - b for a, b in zip(wanted.start, box.start, strict=True))
    return x.part(arch(), Box((start[0], start[1], start[2], start[3]), wanted.size))


def aligned_span(shape: Shape4, lane: int, size: int) -> int:
    """Bytes of a lane for a tensor in the standard layout that begins in ``lane``; ``size`` bytes an element."""
    n, c, h, w = shape
    return n * ceil_div(c + lane, arch().lanes) * align(h * w * size, arch().eu_bytes)


def sweepable(windows: Iterable[Window], limit: int) -> bool:
    """Whether an instruction that takes up to ``limit`` rows and columns of padding can sweep over these windows."""
    sides = [side for w in windows for side in (w.before, w.after)]
    return min(sides) >= 0 and max(sides) <= limit


def padded_shape(x: LocalTensor, rows: Window, columns: Window) -> Shape4:
    return (x.shape[0], x.shape[1], rows.extent, columns.extent)


def pad_into(
    e: Bm1684xEmitter, address: int, x: LocalTensor, rows: Window, columns: Window, fill: float, lane: int | None = None
) -> LocalTensor:
    """A copy of ``x`` (the inputs of the two windows) at ``address`` in the standard layout, with its padding written out; from its own
    lane on unless told."""
    shape = padded_shape(x, rows, columns)
    out = LocalTensor.aligned(arch(), address, shape, x.element, x.lane if lane is None else lane)
    inner = [_overlap(w) for w in (rows, columns)]
    if any(w.before or w.after for w in (rows, columns)):
        e.copy(out, fill)
    if all(size > 0 for _, _, size in inner):
        (row, from_row, height), (column, from_column, width) = inner
        size = (x.shape[0], x.shape[1], height, width)
        e.copy(out.part(arch(), Box((0, 0, row, column), size)), x.part(arch(), Box((0, 0, from_row, from_column), size)))
    return out


def _overlap(window: Window) -> tuple[int, int, int]:
    """Where the inputs of a window lie in its extent: (position there, position in the inputs, count)."""
    start, stop = max(window.before, 0), min(window.before + window.size, window.extent)
    return start, start - window.before, stop - start


def every(x: LocalTensor, start: Pair, step: Pair, shape: Shape4) -> LocalTensor:
    """Every ``step``-th row and column of ``x`` from ``start``, as many as ``shape`` has."""
    seen = x.part(arch(), Box((0, 0, *start), shape))
    strides = (x.strides[0], x.strides[1], x.strides[2] * step[0], x.strides[3] * step[1])
    return LocalTensor(seen.address, shape, x.element, strides, x.lane)


def batches(x: LocalTensor) -> list[LocalTensor]:
    """One tensor a batch: what is left of a tensor whose n stride is not the standard one may be in the standard layout."""
    return [batch_of(x, n) for n in range(x.shape[0])]


def batch_of(x: LocalTensor, n: int) -> LocalTensor:
    """One batch of a tensor."""
    return x.part(arch(), Box((n, 0, 0, 0), (1, *x.shape[1:])))


# --- inputs of PorD, which takes the standard layout only -------------------------------------------------------------


def pairs(out: LocalTensor, x: LocalTensor) -> list[tuple[LocalTensor, LocalTensor, int]]:
    """(result, input, group of lanes) of each instruction for a result and its input, in the standard layout each.

    One instruction where both are in the standard layout as they are, else one for each batch and each group of lanes.
    """
    if out.is_aligned(arch()) and x.is_aligned(arch()):
        return [(out, x, 0)]
    groups = ceil_div(x.shape[1], arch().lanes)
    slots = list(range(groups)) * x.shape[0]
    return list(zip(blocks(out), blocks(x), slots, strict=True))


def blocks(x: LocalTensor) -> list[LocalTensor]:
    """One tensor for each batch and, within it, each group of lanes; ``x`` begins in lane 0."""
    lanes = arch().lanes
    n, c, h, w = x.shape
    boxes = [Box((i, a, 0, 0), (1, min(lanes, c - a), h, w)) for i in range(n) for a in range(0, c, lanes)]
    return [x.part(arch(), box) for box in boxes]


def _direct(tile: Tile, wanted: Box, rows: Window, columns: Window) -> LocalTensor | None:
    """The input as it lies in the tile, if PorD can take it (``pairs``): from the result's lane on."""
    if not sweepable((rows, columns), LIMIT):
        return None
    x, box = held(tile)
    more = (box.stop[2] - wanted.stop[2], box.stop[3] - wanted.stop[3])
    fits = box.start == wanted.start and more[0] <= rows.slack and more[1] <= columns.slack
    for candidate in ([x] if fits else []) + [cut(tile, wanted)]:
        aligned = candidate.is_aligned(arch()) or all(block.is_aligned(arch()) for block in blocks(candidate))
        if aligned and candidate.lane == tile.results[0].lane:
            return candidate
    return None


def swept_bytes(tile: Tile, wanted: Box, rows: Window, columns: Window) -> int:
    """Scratch bytes that ``swept_input`` needs."""
    if _direct(tile, wanted, rows, columns) is not None:
        return 0
    shape = (wanted.size[0], wanted.size[1], rows.extent, columns.extent)
    return aligned_span(shape, tile.results[0].lane, held(tile)[0].element.bytes)


def swept_input(
    tile: Tile, wanted: Box, rows: Window, columns: Window, fill: float, e: Bm1684xEmitter
) -> tuple[LocalTensor, tuple[int, int, int, int]]:
    """The operand of a PorD instruction and its pads; where PorD cannot take it, a copy with its padding written out."""
    direct = _direct(tile, wanted, rows, columns)
    if direct is not None:
        return direct, (rows.before, rows.after, columns.before, columns.after)
    return pad_into(e, tile.scratch, cut(tile, wanted), rows, columns, fill, tile.results[0].lane), (0, 0, 0, 0)
