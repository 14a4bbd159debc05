"""Data movement inside local memory: concatenation, slices and pads."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.estimate import MAX_SIZE
from tpumlir_core.ir import Operation, top
from tpumlir_sophgo.kernel import EVERY_ELEMENT, Kernel, KernelRegistry, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

AXES = "nchw"
MOST_COPIES = 16  # from lane to lane instead of one transfer
FITTING = 0.9  # share of a lane that an operand and a result that cannot be cut may fill


def view_axes(shape: Sequence[int], axis: int) -> tuple[tuple[int, ...], int] | None:
    """Which axes of a shape make n, c, h and w so that ``axis`` is the outer one of its group: (cut points, view axis)."""
    rank = len(shape)
    if rank <= 3:
        cuts = {0: (0, 0, 0), 1: (0, 1, 1), 2: (1, 2, 2), 3: (1, 2, 2)}[rank]
    else:
        cuts = (1, 2, 3) if axis <= 3 else (1, 2, axis)
    starts = (0, *cuts)
    if axis in starts:
        return cuts, max(i for i, s in enumerate(starts) if s == axis)
    return None


def cut_view(shape: Sequence[int], cuts: Sequence[int]) -> Shape4:
    """The 4-D view that ``cuts`` make of a shape."""
    a, b, c = cuts
    return (prod(shape[:a]), prod(shape[a:b]), prod(shape[b:c]), prod(shape[c:]))


def place(e: Bm1684xEmitter, out: LocalTensor, source: LocalTensor) -> None:
    """Copy within local memory: by TIU, or from lane to lane by DMA what does not lie as TIU wants it. DMA takes twice as long, and
    what comes next waits for it."""
    if out.lane == source.lane:
        e.copy(out, source)
        return
    parts = [(out.part(arch(), box), source.part(arch(), box)) for box in _within_groups(out, source)]
    if len(parts) <= MOST_COPIES and all(tensor.is_aligned(arch()) for part in parts for tensor in part):
        for there, here in parts:
            e.lane_copy(there, here)
    else:
        e.shift(out, source)


def _within_groups(out: LocalTensor, source: LocalTensor) -> list[Box]:
    """The parts of two tensors of the same shape in which neither goes on in its next group of lanes, one batch each."""
    whole, lanes, found, start = Box.whole(out.shape), arch().lanes, [], 0
    while start < out.shape[1]:
        size = min(out.shape[1] - start, *(lanes - (tensor.lane + start) % lanes for tensor in (out, source)))
        found.append(whole.with_axis(1, start, size))
        start += size
    return [box.with_axis(0, batch, 1) for box in found for batch in range(out.shape[0])]


def keeps_zero(op: Operation) -> bool:
    """Whether the constants that a movement adds (a pad's value, the zero of a fused activation) mean the same as stored."""
    if isinstance(op, top.Pad) and (op.mode != "constant" or op.val == 0):
        return op.mode != "constant" or op.output.type.scaling[1] == 0
    if isinstance(op, top.Concat) and not op.do_relu:
        return True
    return op.output.type.element.is_float


class ConcatKernel(Kernel):
    """Concatenation: what a tile has of each operand is copied to its place.

    Along its axis the result is cut only where local memory does not hold all of it; then a tile brings along an element of every operand
    that it has nothing of.
    """

    native = EVERY_ELEMENT

    def takes(self, op: Operation) -> bool:
        return super().takes(op) and keeps_zero(op)

    def supports(self, op: Operation) -> str | None:
        assert isinstance(op, top.Concat)
        axis = op.axis % len(op.output.shape)
        return None if view_axes(op.output.shape, axis) else f"concatenation along axis {axis} of {len(op.output.shape)}"

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        cuts, _ = self._axes(op)
        return Views(tuple(None if v is None else cut_view(v.shape, cuts) for v in op.operands), (cut_view(op.output.shape, cuts),))

    def splits(self, op: Operation, views: Views) -> str:
        axis = self._axes(op)[1]
        return AXES.replace(AXES[axis], "") if self._holds_all(op, views, axis) else AXES

    def _holds_all(self, op: Operation, views: Views, axis: int) -> bool:
        """Whether all that lies along the axis, of one of each lane, fits local memory, even twice: as stored, and as floats."""
        element, one = op.output.type.element, Box((0, 0, 0, 0), (1, arch().lanes, 1, 1))
        sizes = [one.with_axis(axis, 0, view[axis]).size for view in (*views.operands, *views.results) if view is not None]
        return 2 * sum(aligned_bytes(arch(), size, element) for size in sizes) <= FITTING * arch().lane_bytes and max(sizes[-1]) <= MAX_SIZE

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        axis = self._axes(op)[1]
        found: list[Box | None] = []
        at = 0
        for view in views.operands:
            if view is None:
                found.append(None)
                continue
            start, stop = (min(max(end - at, 0), view[axis]) for end in (out.start[axis], out.stop[axis]))
            start = max(min(start, view[axis] - 1), 0)
            found.append(out.with_axis(axis, start, max(stop - start, min(view[axis], 1))))
            at += view[axis]
        return found

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Concat)
        cuts, axis = self._axes(op)
        at = 0
        for value, operand, box in zip(op.operands, tile.operands, tile.boxes, strict=True):
            assert value is not None
            assert operand is not None
            assert box is not None
            there = at + box.start[axis] - tile.out.start[axis]
            if 0 <= there < tile.out.size[axis]:
                place(e, tile.results[0].part(arch(), Box.whole(tile.results[0].shape).with_axis(axis, there, box.size[axis])), operand)
            at += cut_view(value.shape, cuts)[axis]
        if op.do_relu:
            relu(e, tile.results[0], op.relu_limit)

    @staticmethod
    def _axes(op: Operation) -> tuple[tuple[int, ...], int]:
        assert isinstance(op, top.Concat)
        found = view_axes(op.output.shape, op.axis % len(op.output.shape))
        assert found is not None
        return found


def relu(e: Bm1684xEmitter, out: LocalTensor, limit: float) -> None:
    """In place: negative to zero, and at most ``limit`` where that is not negative."""
    e.binary("max", out, out, 0.0)
    if limit >= 0:
        e.binary("min", out, out, limit)


def slice_ranges(op: Operation) -> list[tuple[int, int]]:
    """(first, step) of a Slice along every axis of its operand."""
    assert isinstance(op, top.Slice)
    rank = len(op.input.shape)
    axes = op.axes or tuple(range(rank))
    ranges = [(0, 1)] * rank
    for axis, first, step in zip(axes, op.offset, op.steps, strict=True):
        size = op.input.shape[axis]
        first = first + size if first < 0 else first
        ranges[axis] = (min(max(first, 0), size - 1 if step < 0 else size), step)
    return ranges


class SliceKernel(Kernel):
    """A slice with positive steps, up to four axes."""

    native = EVERY_ELEMENT

    def supports(self, op: Operation) -> str | None:
        ranges = slice_ranges(op)
        if len(ranges) > 4:
            return "a slice of more than four axes in place"
        channel = self._ranges(op)[1]
        if any(step < 0 for _, step in ranges) or channel[1] != 1:
            return "a slice with negative steps, or with a step along channels, in place"
        channels = cut_view(op.output.shape, _plain_cuts(len(op.output.shape)))[1]
        least = 2 * aligned_bytes(arch(), (1, channels, 1, 1), op.output.type.element)
        if channel != (0, 1) and (channels > MAX_SIZE or least > FITTING * arch().lane_bytes):
            return "a slice of channels that do not fit local memory whole"
        return None if op.output.type.elements else "an empty result"

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        cuts = _plain_cuts(len(op.input.shape))
        rest = [None] * (len(op.operands) - 1)
        return Views((cut_view(op.input.shape, cuts), *rest), (cut_view(op.output.shape, cuts),))

    def splits(self, op: Operation, views: Views) -> str:
        return "nhw" if self._ranges(op)[1] != (0, 1) else AXES

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        box = out
        for axis, (first, step) in enumerate(self._ranges(op)):
            box = box.with_axis(axis, first + out.start[axis] * step, (out.size[axis] - 1) * step + 1)
        return [box, *[None] * (len(op.operands) - 1)]

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        source = tile.operands[0]
        assert source is not None
        s, steps = source.strides, [step for _, step in self._ranges(op)]
        strides = (s[0] * steps[0], s[1], s[2] * steps[2], s[3] * steps[3])
        place(e, tile.results[0], LocalTensor(source.address, tile.results[0].shape, source.element, strides, source.lane))

    @staticmethod
    def _ranges(op: Operation) -> list[tuple[int, int]]:
        ranges = slice_ranges(op)
        rank = len(ranges)
        padded = {0: [0, 0, 0, 0], 1: [-1, 0, -1, -1], 2: [0, 1, -1, -1], 3: [0, 1, -1, 2], 4: [0, 1, 2, 3]}[rank]
        return [(0, 1) if i < 0 or not rank else ranges[i] for i in padded]


def _plain_cuts(rank: int) -> tuple[int, int, int]:
    return {0: (0, 0, 0), 1: (0, 1, 1), 2: (1, 2, 2), 3: (1, 2, 2), 4: (1, 2, 3)}[rank]


class PadKernel(Kernel):
    """Pads of any mode, up to four axes; the padded axes stay whole."""

    native = EVERY_ELEMENT

    def takes(self, op: Operation) -> bool:
        return super().takes(op) and keeps_zero(op)

    def supports(self, op: Operation) -> str | None:
        before, after = self._pads(op)
        if len(op.input.shape) > 4:
            return "a pad of more than four axes"
        if min(*before, *after, 0) < 0:
            return "a negative pad"
        return "padded axes that do not fit local memory whole" if self._least_bytes(op) > FITTING * arch().lane_bytes else None

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(range(1, len(op.operands)))

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        cuts = _plain_cuts(len(op.input.shape))
        rest = [None] * (len(op.operands) - 1)
        return Views((cut_view(op.input.shape, cuts), *rest), (cut_view(op.output.shape, cuts),))

    def splits(self, op: Operation, views: Views) -> str:
        source = views.operands[0]
        assert source is not None
        return "".join(AXES[i] for i in range(4) if source[i] == views.results[0][i])

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        source = views.operands[0]
        assert source is not None
        box = out
        for axis in range(4):
            if source[axis] != views.results[0][axis]:
                box = box.with_axis(axis, 0, source[axis])
        return [box, *[None] * (len(op.operands) - 1)]

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Pad)
        source, out = tile.operands[0], tile.results[0]
        assert source is not None
        before = self._starts(op)
        if op.mode == "constant":
            e.copy(out, op.val)
        place(e, out.part(arch(), Box(before, source.shape)), source)
        if op.mode == "constant":
            return
        filled = Box(before, source.shape)
        for axis in range(4):
            filled = self._mirror(e, op.mode, out, filled, axis)

    def _mirror(self, e: Bm1684xEmitter, mode: str, out: LocalTensor, filled: Box, axis: int) -> Box:
        """Fill the margins along one axis from what is filled already; gives the box then filled."""
        start, size, whole = filled.start[axis], filled.size[axis], out.shape[axis]
        skip = {"edge": 0, "reflect": 1, "symmetric": 0}[mode]
        for at in [*range(start - 1, -1, -1), *range(start + size, whole)]:
            inner = start if at < start else start + size - 1
            distance = abs(at - inner) - 1 + skip
            from_ = inner if mode == "edge" else (inner + distance if at < start else inner - distance)
            row = out.part(arch(), filled.with_axis(axis, from_, 1))
            place(e, out.part(arch(), filled.with_axis(axis, at, 1)), row)
        return filled.with_axis(axis, 0, whole)

    def _least_bytes(self, op: Operation) -> int:
        """Bytes a lane of the operand and the result when all but the padded axes are cut into pieces of 1."""
        views = self.views(op, [])
        assert views is not None
        source, out = views.operands[0], views.results[0]
        assert source is not None
        kept = [axis for axis in range(4) if source[axis] != out[axis]]
        whole = Box.whole((1, 1, 1, 1))
        least = 0
        for shape in (source, out):
            box = whole
            for axis in kept:
                box = box.with_axis(axis, 0, shape[axis])
            least += aligned_bytes(arch(), box.size, op.output.type.element)
        return least

    @staticmethod
    def _pads(op: Operation) -> tuple[tuple[int, ...], tuple[int, ...]]:
        assert isinstance(op, top.Pad)
        rank = len(op.input.shape)
        return op.paddings[:rank], op.paddings[rank:]

    def _starts(self, op: Operation) -> Shape4:
        before = self._pads(op)[0]
        padded = {0: (0, 0, 0, 0), 1: (-1, 0, -1, -1), 2: (0, 1, -1, -1), 3: (0, 1, -1, 2), 4: (0, 1, 2, 3)}[len(before)]
        n, c, h, w = (before[i] if 0 <= i < len(before) else 0 for i in padded)
        return (n, c, h, w)


def register(registry: KernelRegistry) -> None:
    """Add the kernels of this family."""
    registry.add("tpu.Concat", ConcatKernel())
    registry.add("tpu.Slice", SliceKernel())
    registry.add("tpu.Pad", PadKernel())
