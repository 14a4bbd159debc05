"""What the kernels of convolutions share: the problem an operation poses, filters in the lanes, and groups of channels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image, rows_by_lane
from tpumlir_bm1684x.instructions.convolution import LIMIT, Sweep
from tpumlir_bm1684x.kernels.common import F32, is_weight, stored
from tpumlir_bm1684x.kernels.windows import Axis, Pair, Window, batches, blocks, effective
from tpumlir_core.ir import Array, ElementType, Operation
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import FLOATS, Kernel, LaneImage, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


@dataclass(frozen=True)
class Problem:
    """A convolution in two spatial axes: views of input and result, groups, and how the window slides."""

    x: Shape4
    y: Shape4
    groups: int
    rows: Axis
    columns: Axis

    @property
    def kernel(self) -> Pair:
        return (self.rows.kernel, self.columns.kernel)

    @property
    def tapwise(self) -> bool:
        """Whether it has to be done tap by tap."""
        return any(a.stride > LIMIT or (a.kernel > 1 and a.dilation > LIMIT + 1) for a in (self.rows, self.columns))

    @property
    def taps(self) -> int:
        return self.rows.kernel * self.columns.kernel

    def windows(self, out: Box) -> tuple[Window, Window]:
        return self.rows.window(out.start[2], out.size[2]), self.columns.window(out.start[3], out.size[3])


def spatial(shape: Sequence[int]) -> Shape4:
    """The view of a tensor of one or two spatial axes."""
    return (shape[0], shape[1], shape[2] if len(shape) == 4 else 1, shape[-1])


def pair(values: Sequence[int], missing: int) -> Pair:
    """Attribute values of one or two spatial axes as (rows, columns)."""
    return (values[0], values[1]) if len(values) == 2 else (missing, values[0])


def problem(op: Any) -> Problem:
    """The convolution that a Conv operation of one or two spatial axes asks for."""
    x, y = spatial(op.input.shape), spatial(op.output.shape)
    kernel = pair(op.kernel_shape, 1)
    strides, dilations = effective(pair(op.strides, 1), y[2:]), effective(pair(op.steps(), 1), kernel)
    begins = pair([begin for begin, _ in op.padding(op.input.shape[2:])], 0)
    rows, columns = (Axis(*each) for each in zip(x[2:], kernel, strides, dilations, begins, strict=True))
    return Problem(x, y, op.group, rows, columns)


def has_bias(op: Operation) -> bool:
    return len(op.operands) > 2 and op.operands[2] is not None


def taps_image(filters: Array, element: ElementType) -> LaneImage:
    """Filters (output channels, input channels, kernel rows, kernel columns) of F32 numbers as CONV reads them in ``element``."""
    return filter_image(stored(filters, element), element).view(np.uint8)


def rows_image(rows: Array, element: ElementType) -> LaneImage:
    """Rows of F32 numbers, one a channel, each in its lane in ``element``; filled up to what F32 is aligned to."""
    image = rows_by_lane(stored(rows, element)).view(np.uint8)
    return np.pad(image, ((0, 0), (0, -image.shape[1] % F32.bytes)))


def rows_bytes(channels: int, length: int, element: ElementType) -> int:
    """Bytes of a lane that ``rows_image`` makes of so many rows."""
    return align(ceil_div(channels, arch().lanes) * length * element.bytes, F32.bytes)


def refused(op: Any) -> str | None:
    """Why a convolution, transposed or not, cannot be done; None if it can."""
    if len(op.kernel_shape) > 2:
        return f"{len(op.kernel_shape)} spatial axes"
    if not is_weight(op.operands[1]) or (has_bias(op) and not is_weight(op.operands[2])):
        return "a filter or bias that is computed"
    return None


@dataclass(frozen=True)
class ChannelGroups:
    """Groups of channels (``inputs`` and ``outputs`` each) over a range of output channels."""

    inputs: int
    outputs: int
    first: int
    last: int

    @classmethod
    def of(cls, x: Shape4, y: Shape4, groups: int, out: Box) -> ChannelGroups:
        """Those of the tile ``out`` of a convolution from ``x`` to ``y``."""
        return cls(x[1] // groups, y[1] // groups, out.start[1], out.stop[1])

    def block(self, slot: int) -> ChannelGroups:
        """The part of it in one group of lanes."""
        return self.between(slot * arch().lanes, min((slot + 1) * arch().lanes, self.last - self.first))

    def between(self, start: int, stop: int) -> ChannelGroups:
        """The part of it from channel ``start`` to ``stop`` of its own."""
        return ChannelGroups(self.inputs, self.outputs, self.first + start, self.first + stop)

    def channels_of(self, x: LocalTensor, whole: ChannelGroups) -> LocalTensor:
        """The input channels it needs, of those that ``whole`` needs."""
        start, count = self.needed
        return x.part(arch(), Box((0, start - whole.needed[0], 0, 0), (x.shape[0], count, *x.shape[2:])))

    @property
    def needed(self) -> Pair:
        """(first, how many) of the input channels needed; the first is a multiple of the lane count, as tiles are cut."""
        start = self.first // self.outputs * self.inputs // arch().lanes * arch().lanes
        return start, ceil_div(self.last, self.outputs) * self.inputs - start

    def convolve(
        self, e: Bm1684xEmitter, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, accumulate: bool = False
    ) -> None:
        """One instruction for each group, and for each batch where the result's batches are apart.

        ``out`` has the output channels, ``x`` those of ``needed``; ``filters`` and ``bias`` are as ``taps_image`` and ``rows_image``
        lay them out.
        """
        row = filter_bytes(self.inputs, sweep.kernel[0] * sweep.kernel[1], x.element)
        for target, image, slot in self.calls(out, x):
            e.convolve(target, image, filters + slot * row, None if bias is None else bias + slot * F32.bytes, sweep, accumulate)

    def calls(self, out: LocalTensor, x: LocalTensor) -> Iterator[tuple[LocalTensor, LocalTensor, int]]:
        """(result, input, group of lanes in which the result begins) of each instruction."""
        for group in range(self.first // self.outputs, ceil_div(self.last, self.outputs)):
            begin, end = max(group * self.outputs, self.first) - self.first, min((group + 1) * self.outputs, self.last) - self.first
            slot = begin // arch().lanes
            y = out.part(arch(), Box((0, begin, 0, 0), (out.shape[0], end - begin, *out.shape[2:])))
            source = x.part(arch(), Box((0, group * self.inputs - self.needed[0], 0, 0), (x.shape[0], self.inputs, *x.shape[2:])))
            apart = not y.is_aligned(arch())
            for target, image in zip(batches(y), batches(source), strict=True) if apart else [(y, source)]:
                yield target, image, slot


class Convolution(Kernel):
    """What convolutions by any instruction share: their views, filters and biases as constants, tiles along every axis."""

    native = FLOATS

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        p = problem(op)
        return Views((p.x, *[None] * (len(op.operands) - 1)), (p.y,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1, 2})

    def input_slices(self, op: Any, views: Views, out: Box) -> list[Box | None]:
        return [self.needed(self.problem(op), out), *[None] * (len(op.operands) - 1)]

    def problem(self, op: Any) -> Problem:
        """The convolution as this kernel does it."""
        return problem(op)

    @abstractmethod
    def needed(self, p: Problem, out: Box) -> Box:
        """The input box for ``out``."""


# --- fused activation ---------------------------------------------------------------------------------------------------

CHEAP = {4: 128, 2: 512}  # multiply-adds a result up to which the cycles of its activation matter, by bytes of an element


def activates_apart(op: Any, work: int) -> bool:
    """Whether results of ``work`` multiply-adds each are better activated on their way out of scratch.

    In place an element-wise instruction costs twice the cycles (tpu-mlir 1.30.2's estimate).
    """
    return bool(op.do_relu) and work <= CHEAP[op.output.type.element.bytes]


def activation_bytes(out: LocalTensor) -> int:
    """Scratch bytes of ``activate_apart``: one block."""
    return aligned_bytes(arch(), (1, 1, out.shape[2], out.shape[3]), out.element)


def activate_apart(e: Bm1684xEmitter, op: Any, out: LocalTensor, scratch: int, compute: Callable[[LocalTensor, int, int], None]) -> None:
    """The operation block by block with its activation: ``compute(target, batch, group of lanes)`` gives a block's results."""
    slots = ceil_div(out.shape[1], arch().lanes)
    for index, block in enumerate(blocks(out)):
        batch, slot = divmod(index, slots)
        buffer = LocalTensor.aligned(arch(), scratch, block.shape, out.element)
        if op.relu_limit > 0:
            compute(block, batch, slot)
            e.binary("max", buffer, block, 0.0)
            e.binary("min", block, buffer, op.relu_limit)
        else:
            compute(buffer, batch, slot)
            e.binary("max", block, buffer, 0.0)
