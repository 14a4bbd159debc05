"""What the element-wise kernels share: scratch allocation, small weights laid out in the lanes, operands fit for instructions."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.broadcasting import broadcast_views
from tpumlir_core.ir import Array, ElementType, Operation, Value, WeightStore, to_bfloat16
from tpumlir_core.precision import LARGEST_F16
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.kernel import FLOAT32, Kernel, LaneImage, Tile, Views
from tpumlir_sophgo.narrow import constants_of, representable, varies_by_channel
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

F32 = ElementType.F32
MOST_ROWS = 4096  # that a tensor is cut into
TABLE_BYTES = 64  # a lane's bytes for the coefficients of one polynomial (at most 16)


def stored(values: Array, element: ElementType) -> Array:
    """F32 numbers as ``element`` holds them; those beyond the largest F16 become that."""
    if element is ElementType.BF16:
        return to_bfloat16(values)
    if element is ElementType.F16:
        return np.clip(values, -LARGEST_F16, LARGEST_F16).astype(np.float16)
    return values.astype(np.float32, copy=False)


class Scratch:
    """Hands out the scratch bytes of a tile, buffer by buffer, each aligned to the EU width."""

    def __init__(self, address: int) -> None:
        self.top = address

    def take(self, shape: Shape4, element: ElementType = F32) -> LocalTensor:
        """A tensor in the standard layout."""
        return LocalTensor.aligned(arch(), self.take_bytes(aligned_bytes(arch(), shape, element)), shape, element)

    def like(self, tensor: LocalTensor, count: int) -> list[LocalTensor]:
        """``count`` tensors of the shape and element type of another one."""
        return [self.take(tensor.shape, tensor.element) for _ in range(count)]

    def fork(self) -> Scratch:
        """What is left, for temporaries of one step; the next step may take the same bytes."""
        return Scratch(self.top)

    def take_bytes(self, size: int) -> int:
        """The address of ``size`` bytes."""
        address = self.top
        self.top += align(size, arch().eu_bytes)
        return address


def rows_filling_lanes(elements: int, shortest: int) -> list[int]:
    """Into how many rows of the same length to cut ``elements``, so that few lanes stay empty; the best number first.

    Rows have ``shortest`` elements at least.
    """
    known = [rows for rows in range(1, min(elements // shortest, MOST_ROWS) + 1) if elements % rows == 0]
    return sorted(known, key=lambda rows: (ceil_div(rows, arch().lanes) / rows, rows))


def is_weight(value: Value | None) -> bool:
    """Whether a value is a weight of the module."""
    return value is not None and value.owner is not None and value.owner.opcode == "top.Weight"


def lane_image(values: Array, channels: int, element: ElementType = F32) -> LaneImage:
    """Per-channel values (or one value, for every lane) in the compact layout; see ``image_tensor``."""
    lanes = arch().lanes
    full = np.zeros(align(channels, lanes), np.float32)
    full[:channels] = values
    if values.size == 1:
        full = np.full(lanes, values.item(), np.float32)
    return np.ascontiguousarray(stored(full, element).reshape(-1, lanes).T).view(np.uint8)


def image_tensor(address: int, elements: int, channels: int, element: ElementType = F32) -> LocalTensor:
    """What ``lane_image`` of ``elements`` values makes at ``address``, as an operand of ``channels`` channels."""
    tensor = LocalTensor.compact(arch(), address, (1, channels, 1, 1), element)
    return tensor if elements != 1 else every_lane(tensor, channels)


def image_bytes(channels: int, element: ElementType = F32) -> int:
    """Bytes a lane of the image of ``channels`` values."""
    return element.bytes * ceil_div(channels, arch().lanes)


def every_lane(tensor: LocalTensor, channels: int) -> LocalTensor:
    """What lies alike in every lane, as an operand of ``channels`` channels: the same row for each group."""
    n, _, h, w = tensor.shape
    s = tensor.strides
    return replace(tensor, shape=(n, channels, h, w), strides=(s[0], 0, s[2], s[3]))


def spread(tensor: LocalTensor, channels: int, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """An operand that can stand beside ``channels`` channels: a single channel is broadcast to the lanes."""
    if tensor.shape[1] != 1 or channels == 1:
        return tensor
    n, _, h, w = tensor.shape
    if not tensor.is_aligned(arch()):
        packed = s.take(tensor.shape, tensor.element)
        e.copy(packed, tensor)
        tensor = packed
    wide = s.take((n, min(channels, arch().lanes), h, w), tensor.element)
    e.lane_broadcast(wide, tensor)
    return every_lane(wide, channels)


def pack(tensor: LocalTensor, shape: Shape4, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """An operand in the standard layout from lane 0 on and broadcast to ``shape``: itself, or a copy in scratch."""
    if not needs_packing(tensor, shape):
        return tensor
    packed = s.take(shape, tensor.element)
    e.copy(packed, tensor)
    return packed


def needs_packing(tensor: LocalTensor, shape: Shape4) -> bool:
    """Whether ``pack`` makes a copy."""
    return tensor.shape != shape or tensor.lane != 0 or not tensor.is_aligned(arch())


def _spread_bytes(tensor: LocalTensor, channels: int) -> int:
    if tensor.shape[1] != 1 or channels == 1:
        return 0
    return aligned_bytes(arch(), tensor.shape, tensor.element) * (1 if tensor.is_aligned(arch()) else 2)


class ElementwiseKernel(Kernel):
    """Base of element-wise kernels: operands broadcast to one result by numpy's rules.

    Weights that vary only along the result's axis 1 come through the lane image; operands of one channel are broadcast to
    the lanes. Subclasses write ``compute`` and say what scratch it takes: ``buffers`` of the result's shape and ``tables`` of
    polynomial coefficients; operands in ``packed`` reach it in the standard layout and the result's shape. A fused
    activation (``do_relu``, ``relu_limit``) is applied to what ``compute`` gives.
    """

    buffers = 0
    tables = 0
    packed: frozenset[int] = frozenset()

    def takes(self, op: Operation) -> bool:
        return super().takes(op) and representable(self.numbers(op), op.output.type.element)

    def numbers(self, op: Any) -> Iterable[float]:
        """The constants that its instructions get from an operation's attributes."""
        return constants_of(op)

    def supports(self, op: Operation) -> str | None:
        if broadcast_views(_shapes(op), op.output.shape, (), self.constant_operands(op)) is None:
            return f"its broadcasting ({' with '.join(str(list(s)) for s in _shapes(op) if s is not None)}) needs more than four axes"
        return None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        fixed = self.constant_operands(op)
        found = broadcast_views(_shapes(op), op.output.shape, known, fixed)
        if found is None:
            return None
        return Views(tuple(None if i in fixed else v for i, v in enumerate(found[0])), (found[1],))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def writes_parts(self, op: Operation) -> bool:
        """Some functions choose between tensors, which instructions do in the standard layout only."""
        return False

    def constant_operands(self, op: Operation) -> frozenset[int]:
        """Weights that vary at most along the result's axis 1 (its only axis, where it has one)."""
        result = op.output.shape
        return frozenset(i for i, v in enumerate(op.operands) if v is not None and is_weight(v) and varies_by_channel(v.shape, result))

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        images = []
        for i, value in self._constant_values(op):
            data = self.prepare(op, i, weights[value.name].astype(np.float32).reshape(-1))
            part = data if data.size == 1 else data[out.start[1] : out.stop[1]]
            images.append(lane_image(part, out.size[1], self.element(op)))
        return np.concatenate(images, axis=1) if images else None

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return sum(_image_bytes(v, out.size[1], self.element(op)) for _, v in self._constant_values(op))

    def element(self, op: Operation) -> ElementType:
        """The element type that it computes an operation in."""
        element = op.output.type.element
        return element if element in self.native else F32

    def prepare(self, op: Any, position: int, values: Array) -> Array:
        """What the lane image holds for the constant operand at ``position``."""
        return values

    def scratch(self, op: Operation, tile: Tile) -> int:
        out = tile.results[0].shape
        spreads = sum(_spread_bytes(t, out[1]) for t in tile.operands if t is not None)
        packed = [t for i, t in enumerate(tile.operands) if i in self.packed and op.operands[i] is not None]
        packs = sum(t is None or needs_packing(t, out) for t in packed)
        full = packs + self.buffers_for(op) + int(_has_relu(op))
        return spreads + full * aligned_bytes(arch(), out, self.element(op)) + TABLE_BYTES * self.tables

    def buffers_for(self, op: Operation) -> int:
        """Scratch tensors of the result's shape that ``compute`` takes for ``op``."""
        return self.buffers

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        s = Scratch(tile.scratch)
        operands, out = self.operands(op, tile, s, e), tile.results[0]
        if not _has_relu(op):
            self.compute(op, operands, out, s, e)
            return
        other = s.take(out.shape, out.element)
        if op.relu_limit > 0:
            self.compute(op, operands, out, s, e)
            e.binary("max", other, out, 0.0)
            e.binary("min", out, other, op.relu_limit)
            return
        self.compute(op, operands, other, s, e)
        e.binary("max", out, other, 0.0)

    @abstractmethod
    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        """Emit the instructions. ``operands`` are those present, each of which broadcasts to ``out``."""

    def _constant_values(self, op: Operation) -> list[tuple[int, Value]]:
        fixed = self.constant_operands(op)
        return [(i, v) for i, v in enumerate(op.operands) if v is not None and i in fixed]

    def operands(self, op: Operation, tile: Tile, s: Scratch, e: Bm1684xEmitter) -> list[LocalTensor]:
        """The operands that ``compute`` gets: tiles and constant images, broadcast to the lanes, packed."""
        found: list[LocalTensor] = []
        fixed = self.constant_operands(op)
        shape = tile.results[0].shape
        channels, element = shape[1], self.element(op)
        at = tile.constants
        for i, (value, tensor) in enumerate(zip(op.operands, tile.operands, strict=True)):
            if value is not None and i in fixed:
                wide = image_tensor(at, value.type.elements, channels, element)
                at += _image_bytes(value, channels, element)
            elif tensor is not None:
                wide = spread(tensor, channels, s, e)
            else:
                continue
            found.append(pack(wide, shape, s, e) if i in self.packed else wide)
        return found


def relu(op: Any, out: LocalTensor, e: Bm1684xEmitter) -> None:
    """The fused activation of an operation (``do_relu``, ``relu_limit``), in place."""
    if op.do_relu:
        e.binary("max", out, out, 0.0)
        if op.relu_limit > 0:
            e.binary("min", out, out, op.relu_limit)


_TABLE_CYCLES = 25  # that a function with a table of coefficients takes for a row of the execution units
_MOVED_BYTES = 50  # by DMA, a cycle
_WORTH = 2  # times what moving takes has to be gained: other operations do not go on in local memory there
_SHORTEST_ROW = 64  # elements


def spread_view(view: Shape4) -> Shape4:
    """The elements of a view in rows of the same length that fill the lanes best."""
    elements = math.prod(view)
    rows = rows_filling_lanes(elements, _SHORTEST_ROW)
    return (1, rows[0], 1, elements // rows[0]) if rows else view


Function = Callable[[Any, LocalTensor, LocalTensor, Scratch, Bm1684xEmitter], None]


class FunctionKernel(ElementwiseKernel):
    """A function of one operand, given as ``function(op, out, x, s, e)`` with the scratch that it takes.

    ``packed``: x has to be in the standard layout.
    """

    def __init__(
        self, function: Function, buffers: int = 0, tables: int = 0, packed: bool = False, native: frozenset[ElementType] = FLOAT32
    ) -> None:
        self.function = function
        self.native = native
        self.buffers = buffers
        self.tables = tables
        self.packed = frozenset({0}) if packed else frozenset()

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        """Over all lanes where a long function of few channels takes longer than bringing the tensor there and back."""
        found, source = super().views(op, known), op.operands[0]
        if found is None or source is None or not self.tables:
            return found
        view = found.results[0]
        spread = spread_view(view)
        here, there = (ceil_div(aligned_bytes(arch(), shape, F32), arch().eu_bytes) * _TABLE_CYCLES for shape in (view, spread))
        moved = 2 * math.prod(view) * (source.type.element.bytes + op.output.type.element.bytes) / _MOVED_BYTES
        return Views((spread,), (spread,)) if here - there > _WORTH * moved else found

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        self.function(op, out, operands[0], s, e)


def _has_relu(op: Any) -> bool:
    return bool(getattr(op, "do_relu", False))


def _shapes(op: Operation) -> list[tuple[int, ...] | None]:
    return [None if v is None else v.shape for v in op.operands]


def _image_bytes(value: Value, channels: int, element: ElementType) -> int:
    return element.bytes if value.type.elements == 1 else image_bytes(channels, element)
