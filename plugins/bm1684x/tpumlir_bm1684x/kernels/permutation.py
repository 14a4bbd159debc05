"""Permutation and repetition of axes inside local memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.movement import FITTING, place
from tpumlir_bm1684x.kernels.planes import PlanesKernel
from tpumlir_bm1684x.kernels.strided import dense_strides
from tpumlir_core.ir import Operation, top
from tpumlir_sophgo.kernel import EVERY_ELEMENT, Kernel, KernelRegistry, Tile, Views, default_view
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

SHORT_RUN = 64  # elements: DMA pays a shorter run of adjacent elements as 256 bytes all the same
MOST_BATCHES = 8  # that are permuted one by one


def merged_axes(shape: Sequence[int], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """The fewest axes that give the same permutation: sizes, and the order of those axes in the result."""
    order = [i for i in order if shape[i] != 1]
    runs: list[list[int]] = []
    for i in order:
        previous = max((j for j in order if j < i), default=-1)
        if runs and runs[-1][-1] == previous:
            runs[-1].append(i)
        else:
            runs.append([i])
    place_of = {run[0]: number for number, run in enumerate(sorted(runs))}
    return [prod(shape[i] for i in run) for run in sorted(runs)], [place_of[run[0]] for run in runs]


def exchanged_axes(op: Operation) -> tuple[int, int, int] | None:
    """(n, a, b) of a permutation that exchanges the last two (merged) axes; None for any other."""
    assert isinstance(op, top.Permute)
    sizes, order = merged_axes(op.input.shape, op.order)
    if order == [1, 0]:
        return 1, sizes[0], sizes[1]
    return (sizes[0], sizes[1], sizes[2]) if order == [0, 2, 1] else None


class TransposeKernel(Kernel):
    """Exchange of the last two (merged) axes, across the lanes: (n, c, 1, w) becomes (n, w, 1, c)."""

    native = EVERY_ELEMENT

    def supports(self, op: Operation) -> str | None:
        if not op.output.type.elements:
            return "an empty result"
        return None if exchanged_axes(op) else "a permutation that is no exchange of the last axes, in place"

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        sizes = exchanged_axes(op)
        assert sizes is not None
        n, c, w = sizes
        operand = (n, c, 1, w)
        if known[0] is not None and known[0][:2] == (n, c):
            operand = known[0]  # rows of the standard layout are contiguous
        return Views((operand,), ((n, w, 1, c),))

    def splits(self, op: Operation, views: Views) -> str:
        operand = views.operands[0]
        assert operand is not None
        return "ncw" if operand[2] == 1 else "n"

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        operand = views.operands[0]
        assert operand is not None
        if operand[2] != 1:
            return [Box.whole(operand).with_axis(0, out.start[0], out.size[0])]
        start, size = out.start, out.size
        return [Box((start[0], start[3], 0, start[1]), (size[0], size[3], 1, size[1]))]

    def scratch(self, op: Operation, tile: Tile) -> int:
        source = tile.operands[0]
        assert source is not None
        return 0 if self._ready(source) else aligned_bytes(arch(), source.shape, source.element)

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        source = tile.operands[0]
        assert source is not None
        if not self._ready(source):
            packed = LocalTensor.aligned(arch(), tile.scratch, source.shape, source.element)
            place(e, packed, source)
            source = packed
        n, c, h, w = source.shape
        e.transpose(tile.results[0], LocalTensor.aligned(arch(), source.address, (n, c, 1, h * w), source.element))

    @staticmethod
    def _ready(source: LocalTensor) -> bool:
        return source.lane == 0 and source.is_aligned(arch())



class InnerPermuteKernel(Kernel):
    """Permutation of all axes but the outermost: each lane permutes its own elements, one strided copy or a few.

    Where DMA would go element by element. A tensor whose outermost axis moves too is permuted in one lane.
    """

    native = EVERY_ELEMENT

    def suits(self, op: Operation) -> bool:
        """Whether DMA would move short runs, and the elements of a lane fit."""
        assert isinstance(op, top.Permute)
        outer, inner, order = self._axes(op)
        if not op.output.type.elements or not 2 <= len(inner) <= 4:
            return False
        run = inner[-1] if order[-1] == len(inner) - 1 else 1
        bytes_ = 2 * aligned_bytes(arch(), (1, 1, 1, prod(inner)), op.output.type.element)
        return run < SHORT_RUN and bytes_ < FITTING * arch().lane_bytes

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        outer, inner, _ = self._axes(op)
        for view in (known[0], default_view(op.input.shape)):
            if view is not None and view[0] * view[1] == outer and view[0] <= MOST_BATCHES:  # rows of the standard layout are contiguous
                operand = view if view is known[0] else (view[0], view[1], 1, prod(inner))
                return Views((operand,), ((view[0], view[1], 1, prod(inner)),))
        return Views(((1, outer, 1, prod(inner)),), ((1, outer, 1, prod(inner)),))

    def splits(self, op: Operation, views: Views) -> str:
        return "nc"

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        view = views.operands[0]
        assert view is not None
        return [Box((out.start[0], out.start[1], 0, 0), (out.size[0], out.size[1], view[2], view[3]))]

    def scratch(self, op: Operation, tile: Tile) -> int:
        source = tile.operands[0]
        assert source is not None
        return 0 if self._ready(source, tile.results[0]) else aligned_bytes(arch(), source.shape, source.element)

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        source, out = tile.operands[0], tile.results[0]
        assert source is not None
        if not self._ready(source, out):
            packed = LocalTensor.aligned(arch(), tile.scratch, source.shape, source.element, out.lane)
            place(e, packed, source)
            source = packed
        _, inner, order = self._axes(op)
        sizes = [inner[i] for i in order]
        axes = list(zip(sizes, dense_strides(sizes), [dense_strides(inner)[i] for i in order], strict=True))
        while len(axes) < 3:
            axes.insert(0, (1, 0, 0))
        looped = [axes.pop(min(range(4), key=lambda i: axes[i][0]))] if len(axes) == 4 else []
        for batch, index in product(range(out.shape[0]), range(looped[0][0] if looped else 1)):
            _, to, from_ = looped[0] if looped else (1, 0, 0)
            e.copy(
                _lane_part(out, batch, index * to, [(size, a) for size, a, _ in axes]),
                _lane_part(source, batch, index * from_, [(size, b) for size, _, b in axes]),
            )

    @staticmethod
    def _ready(source: LocalTensor, out: LocalTensor) -> bool:
        contiguous = source.strides[3] == 1 and source.strides[2] in (source.shape[3], source.strides[2] * (source.shape[2] == 1))
        return source.lane == out.lane and contiguous

    @staticmethod
    def _axes(op: Operation) -> tuple[int, list[int], list[int]]:
        """Size of the outermost axis where it stays (else 1), sizes of the others, and their order in the result."""
        assert isinstance(op, top.Permute)
        sizes, order = merged_axes(op.input.shape, op.order)
        if order and order[0] == 0:
            return sizes[0], sizes[1:], [i - 1 for i in order[1:]]
        return 1, sizes, order


def _lane_part(tensor: LocalTensor, batch: int, offset: int, axes: Sequence[tuple[int, int]]) -> LocalTensor:
    """Elements of each channel of a batch as three axes (n, h, w), each of (size, stride), from an offset on."""
    (n, a), (h, b), (w, c) = axes
    address = tensor.address + (batch * tensor.strides[0] + offset) * tensor.element.bytes
    return LocalTensor(address, (n, tensor.shape[1], h, w), tensor.element, (a, tensor.strides[1], b, c), tensor.lane)


class PermuteKernel(ChoiceKernel):
    """Permutations inside local memory: within the lanes, or an exchange of the last axes across them."""

    def __init__(self) -> None:
        self._inner, self._across, self._planes = InnerPermuteKernel(), TransposeKernel(), PlanesKernel(exchanged_axes)

    def choose(self, op: Any) -> Kernel:
        if self._planes.suits(op):
            return self._planes
        return self._inner if self._across.supports(op) is not None and self._inner.suits(op) else self._across


class RepeatKernel(Kernel):
    """Tile and Expand along one axis, where DMA would write short runs: the channels' elements are copied over and over."""

    native = EVERY_ELEMENT

    def supports(self, op: Operation) -> str | None:
        if not op.output.type.elements:
            return "an empty result"
        found = repeated_axis(op.input.shape, op.output.shape)
        if found is None or found[2] >= SHORT_RUN:
            return "a repetition of several axes, or of long runs, in place"
        return None

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(range(1, len(op.operands)))

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        outer, times, inner = self._sizes(op)
        rest = [None] * (len(op.operands) - 1)
        return Views(((1, outer, 1, inner), *rest), ((1, outer, times, inner),))

    def splits(self, op: Operation, views: Views) -> str:
        return "chw"

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        source = tile.operands[0]
        assert source is not None
        if source.lane == tile.results[0].lane:
            e.copy(tile.results[0], source)
            return
        whole = Box.whole(tile.results[0].shape)
        for row in range(whole.size[2]):
            place(e, tile.results[0].part(arch(), whole.with_axis(2, row, 1)), source)

    @staticmethod
    def _sizes(op: Operation) -> tuple[int, int, int]:
        found = repeated_axis(op.input.shape, op.output.shape)
        assert found is not None
        return found


def repeated_axis(shape: Sequence[int], result: Sequence[int]) -> tuple[int, int, int] | None:
    """(elements of the axes outside, times, elements inside) where a shape is repeated along one axis, or None."""
    shape = (*[1] * (len(result) - len(shape)), *shape)
    repeated = [i for i, (size, whole) in enumerate(zip(shape, result, strict=True)) if size != whole]
    if len(repeated) != 1:
        return None
    axis = repeated[0]
    return prod(shape[:axis]), result[axis] // shape[axis], prod(shape[axis:])


def register(registry: KernelRegistry) -> None:
    """Add the kernels of this family."""
    registry.add("tpu.Permute", PermuteKernel())
    registry.add("tpu.Tile tpu.Expand", RepeatKernel())
