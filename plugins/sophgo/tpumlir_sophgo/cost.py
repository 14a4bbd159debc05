"""What a chip's cost model must answer; estimates of single kernel calls and transfers for the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tpumlir_core.ir import ElementType, WeightStore
from tpumlir_sophgo.arch import Arch, align, ceil_div
from tpumlir_sophgo.emitter import Command, Emitter
from tpumlir_sophgo.kernel import Tile, Views
from tpumlir_sophgo.schedule.graph import Graph, Node
from tpumlir_sophgo.tensor import Box, GlobalTensor, LocalTensor, Shape4, aligned_bytes

_LONGEST_ROWS = 0.25  # of a lane, that are made of elements of all lanes


class CostModel(Protocol):
    """Cycles of single commands, as the chip's own estimator counts them."""

    def cycles(self, command: Command) -> int:
        """Cycles of one command from start to end, both engines."""
        ...


@dataclass
class Chip:
    """All that scheduling needs of a chip."""

    arch: Arch
    new_emitter: Callable[[], Any]
    cost: CostModel
    turn: Callable[[Any, LocalTensor, LocalTensor], None] | None = None
    """``turn(emitter, out, source)``: elements (n, c, 1, 1), one a lane, become rows (n, 1, 1, c), by an instruction."""


@dataclass(frozen=True)
class CallCost:
    """One kernel call: TIU cycles and scratch bytes a lane."""

    cycles: int
    scratch: int


@dataclass
class Estimator:
    """Costs of kernel calls and transfers, by a dry emission; remembered by shape."""

    chip: Chip
    graph: Graph
    _calls: dict[tuple[Any, ...], CallCost] = field(default_factory=dict)
    _transfers: dict[tuple[Shape4, ElementType], int] = field(default_factory=dict)
    _kinds: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _kind: dict[Node, int] = field(default_factory=dict)

    @property
    def weights(self) -> WeightStore:
        return self.graph.weights

    def call(
        self, node: Node, views: Views, out: Box, boxes: tuple[Box | None, ...], held: tuple[Box | None, ...] | None = None
    ) -> CallCost:
        """Cost of computing ``out``; depends on sizes and on how far the boxes lie from the borders.

        ``held``: what local memory holds of each operand, of which ``boxes`` may be parts (default: no more than that).
        """
        held = held or boxes
        key = (self._alike(node), views, out.size, tuple(map(_relation, boxes, held)))
        found = self._calls.get(key)
        if found is None:
            found = self._calls[key] = self._dry(node, views, out, boxes, held)
        return found

    def _alike(self, node: Node) -> int:
        """A number that a node shares with those whose calls cost the same: of one operation, attributes and types."""
        found = self._kind.get(node)
        if found is None:
            op = node.op
            operands = tuple(None if v is None else (v.type, self.graph.is_weight(v), kept is None)
                             for v, kept in zip(op.operands, node.operands, strict=True))
            key = (op.opcode, repr(op.attributes()), operands, tuple(v.type for v in op.results))
            found = self._kind[node] = self._kinds.setdefault(key, len(self._kinds))
        return found

    def _dry(
        self, node: Node, views: Views, out: Box, boxes: tuple[Box | None, ...], held: tuple[Box | None, ...]
    ) -> CallCost:
        arch = self.chip.arch
        tile, at = dry_tile(arch, node, views, out, boxes, held)
        scratch = node.local.scratch(node.op, tile)
        emitter: Emitter = self.chip.new_emitter()
        emitter.track = False
        node.local.emit(node.op, tile, emitter)
        return CallCost(_sum(self.chip.cost, emitter.commands), align(scratch, arch.eu_bytes))

    def transfer(self, shape: Shape4, element: ElementType) -> int:
        """Cycles of loading (or storing) a dense tensor."""
        found = self._transfers.get((shape, element))
        if found is None:
            emitter = self.chip.new_emitter()
            emitter.track = False
            local = LocalTensor.aligned(self.chip.arch, 0, shape, element)
            emitter.load(local, GlobalTensor.dense(self.chip.arch.global_base, shape, element))
            found = self._transfers[shape, element] = _sum(self.chip.cost, emitter.commands)
        return found

    def turning(self, shape: Shape4, element: ElementType) -> tuple[int, int] | None:
        """TIU and DMA cycles of storing one element a lane, (n, c, 1, 1), as rows that an instruction makes of them; None where that
        is no faster than a transfer of elements, or cannot be."""
        rows, arch = turned(shape), self.chip.arch
        if shape[2:] != (1, 1) or self.chip.turn is None or aligned_bytes(arch, rows, element) > _LONGEST_ROWS * arch.lane_bytes:
            return None
        emitter = self.chip.new_emitter()
        emitter.track = False
        self.chip.turn(emitter, *(LocalTensor.aligned(arch, 0, one, element) for one in (rows, shape)))
        tiu, dma = _sum(self.chip.cost, emitter.commands), self.transfer(rows, element)
        return (tiu, dma) if tiu + dma < self.transfer(shape, element) else None

    def constants(self, lanes: int, image_bytes: int) -> int:
        """Cycles of loading a lane image of so many bytes a lane."""
        key = ((lanes, image_bytes, 0, 0), ElementType.UI8)
        if key not in self._transfers:
            emitter = self.chip.new_emitter()
            emitter.track = False
            emitter.load(*constant_rows(self.chip.arch, lanes, image_bytes, 0, self.chip.arch.global_base))
            self._transfers[key] = _sum(self.chip.cost, emitter.commands)
        return self._transfers[key]


def turned(shape: Shape4) -> Shape4:
    """The rows of elements that lie one a lane."""
    return (shape[0], 1, 1, shape[1])


def constant_rows(arch: Arch, lanes: int, image_bytes: int, there: int, here: int) -> tuple[LocalTensor, GlobalTensor]:
    """Both ends of the transfer that brings a lane image from global memory (``here``) to the lanes (``there``)."""
    words, stride = ceil_div(image_bytes, 4), arch.row_stride(lanes, image_bytes) // 4
    shape = (1, lanes, 1, words)
    local = LocalTensor(there, shape, ElementType.F32, (words, words, words, 1))
    return local, GlobalTensor(here, shape, ElementType.F32, (lanes * stride, stride, words, 1))


def _relation(box: Box | None, held: Box | None) -> tuple[Shape4, Shape4, Shape4] | None:
    """Sizes of a box and of the one that holds it, and where it begins there."""
    return None if box is None or held is None else (box.size, held.size, _inside(box, held).start)


def _inside(box: Box, held: Box) -> Box:
    """``box`` relative to the one that holds it."""
    n, c, h, w = (a - b for a, b in zip(box.start, held.start, strict=True))
    return Box((n, c, h, w), box.size)


def dry_tile(
    arch: Arch, node: Node, views: Views, out: Box, boxes: tuple[Box | None, ...], held: tuple[Box | None, ...]
) -> tuple[Tile, int]:
    """A tile with made-up addresses for sizing and costing; also the first free lane byte after it (may exceed the lane)."""
    at = 0
    operands: list[LocalTensor | None] = []
    for value, box, whole in zip(node.operands, boxes, held, strict=True):
        if value is None or box is None or whole is None:
            operands.append(None)
            continue
        operands.append(LocalTensor.aligned(arch, at, whole.size, value.type.element).part(arch, _inside(box, whole)))
        at = align(at + aligned_bytes(arch, whole.size, value.type.element), arch.bank_bytes)
    results: list[LocalTensor] = []
    for result, view in zip(node.op.results, views.results, strict=True):
        size = out.size if view == views.results[0] else view
        results.append(LocalTensor.aligned(arch, at, size, result.type.element))
        at = align(at + aligned_bytes(arch, size, result.type.element), arch.bank_bytes)
    return Tile(tuple(operands), tuple(results), boxes, out, at, at), at


def _sum(cost: CostModel, commands: Sequence[Command]) -> int:
    return sum(cost.cycles(c) for c in commands)
