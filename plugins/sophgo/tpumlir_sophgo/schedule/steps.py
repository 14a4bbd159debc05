"""A group as a list of steps: kernel calls with what they read, write, load and store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tpumlir_core.ir import Value
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.cost import Estimator, turned
from tpumlir_sophgo.kernel import Views
from tpumlir_sophgo.schedule.graph import Node
from tpumlir_sophgo.schedule.slices import Grid, Group, Key, TileSlices, slice_tile
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

LONGEST = 65535  # the largest extent that the size fields of commands take
PIECE_BYTES = 20 << 10  # constants of a lane above this are fetched piece by piece (one filter of 64 x 512 x 3 x 3)


@dataclass
class Buffer:
    """Bytes of a lane from step ``first`` to step ``last``; placed later. A load's ``first`` may move earlier."""

    size: int
    first: int
    last: int
    address: int = -1


@dataclass
class LocalValue:
    """The part of a value that a tile holds locally."""

    value: Value
    view: Shape4
    box: Box
    buffer: Buffer


@dataclass
class ConstantLoad:
    """A lane image to be fetched before step ``need``; ``lanes`` is a guess and ``offset`` (in the pool) unknown until it is built."""

    node: Node
    views: Views
    box: Box
    image_bytes: int
    buffer: Buffer
    need: int
    cycles: int
    lanes: int
    offset: int = 0


@dataclass
class ValueLoad:
    """A part of a global tensor to be fetched before step ``need``."""

    local: LocalValue
    need: int
    cycles: int


@dataclass
class ValueStore:
    """A part of a value to be written to global memory after step ``after``; by way of rows in ``rows``, if it lies one element a lane."""

    local: LocalValue
    box: Box
    after: int
    cycles: int
    rows: Buffer | None = None


@dataclass
class Step:
    """One kernel call. ``operands`` pair the local value with the box read of it."""

    node: Node
    views: Views
    out: Box
    operands: Sequence[tuple[LocalValue, Box] | None]
    boxes: tuple[Box | None, ...]
    results: Sequence[LocalValue]
    cycles: int
    scratch: Buffer
    constants: ConstantLoad | None = None


@dataclass
class GroupSteps:
    """All of a group, in the order of steps; step numbers are global, beginning at ``base``."""

    group: Group
    grid: Grid
    base: int
    steps: list[Step] = field(default_factory=list)
    values: list[LocalValue] = field(default_factory=list)  # made inside
    loads: list[ValueLoad | ConstantLoad] = field(default_factory=list)
    stores: list[ValueStore] = field(default_factory=list)


@dataclass
class StepBuilder:
    """Builds a group's steps tile by tile."""

    est: Estimator
    resident: bool = False  # constants stay for all tiles

    def build(self, group: Group, grid: Grid, base: int, cells: Sequence[Shape4] | None = None) -> GroupSteps | None:
        """All steps (``cells``: only those tiles), or None where the group cannot be cut by this grid."""
        result = GroupSteps(group, grid, base)
        kept: dict[tuple[int, Box], ConstantLoad] = {}
        local: dict[Key, LocalValue] = {}
        for cell in grid.cells() if cells is None else cells:
            slices = slice_tile(self.est.graph, group, grid, cell, self.est.chip.arch.lanes)
            if slices is None or not self._fits(slices):
                return None
            local = self._tile(result, slices, kept, self._still_there(result, slices, local))
            if not self.resident:
                kept = {}
        return result

    def _fits(self, slices: TileSlices) -> bool:
        """Whether each value by itself fits a lane and commands: kernels need not be asked about tiles that are far too large."""
        arch = self.est.chip.arch
        return all(
            max(box.size) <= LONGEST and aligned_bytes(arch, box.size, key[0].type.element) <= arch.lane_bytes
            for key, box in slices.values.items()
        )

    def _still_there(self, result: GroupSteps, slices: TileSlices, before: dict[Key, LocalValue]) -> dict[Key, LocalValue]:
        """What the tile before has loaded and this one needs again; of single operations, whose tiles need all they load at once."""
        if len(result.group.nodes) > 1:
            return {}
        return {key: held for key, held in before.items() if key[0] not in result.group.made and slices.values.get(key) == held.box}

    def _tile(
        self, result: GroupSteps, slices: TileSlices, kept: dict[tuple[int, Box], ConstantLoad], local: dict[Key, LocalValue]
    ) -> dict[Key, LocalValue]:
        """The steps of one tile; ``local``: what is there already. Gives all that is there at last."""
        made_at: dict[Key, int] = {}
        for node in result.group.nodes:
            views = result.group.views[node]
            for piece in self._pieces(node, views, slices.out[node]):
                self._step(result, node, views, piece, slices, local, made_at, kept)
        self._stores(result, slices, local, made_at)
        return local

    def _step(
        self, result: GroupSteps, node: Node, views: Views, piece: Box, slices: TileSlices, local: dict[Key, LocalValue],
        made_at: dict[Key, int], kept: dict[tuple[int, Box], ConstantLoad],
    ) -> None:
        graph, number = self.est.graph, result.base + len(result.steps)
        boxes = tuple(node.slices(views, piece))
        operands: list[tuple[LocalValue, Box] | None] = []
        for value, view, box in zip(node.operands, views.operands, boxes, strict=True):
            if value is None or view is None or box is None:
                operands.append(None)
                continue
            found = self._operand(result, (graph.root(value), view), value, slices, local, number)
            found.buffer.last = max(found.buffer.last, number)
            operands.append((found, box))
        results: list[LocalValue] = []
        for value, view in zip(node.op.results, views.results, strict=True):
            key = (value, view)
            if key not in local:
                box = slices.values[key]
                buffer = Buffer(aligned_bytes(self.est.chip.arch, box.size, value.type.element), number, number)
                local[key] = LocalValue(value, view, box, buffer)
                result.values.append(local[key])
            local[key].buffer.last = max(local[key].buffer.last, number)
            made_at[key] = number
            results.append(local[key])
        held = tuple(None if found is None else found[0].box for found in operands)
        cost = self.est.call(node, views, piece, boxes, held)
        step = Step(node, views, piece, operands, boxes, results, cost.cycles, Buffer(cost.scratch, number, number))
        step.constants = self._constants(result, node, views, piece, number, kept)
        result.steps.append(step)

    def _operand(
        self, result: GroupSteps, key: Key, value: Value, slices: TileSlices, local: dict[Key, LocalValue], number: int
    ) -> LocalValue:
        if key in local:
            return local[key]
        box = slices.values[key]
        buffer = Buffer(aligned_bytes(self.est.chip.arch, box.size, value.type.element), number, number)
        local[key] = LocalValue(key[0], key[1], box, buffer)
        result.loads.append(ValueLoad(local[key], number, self.est.transfer(box.size, key[0].type.element)))
        return local[key]

    def _constants(
        self, result: GroupSteps, node: Node, views: Views, piece: Box, number: int, kept: dict[tuple[int, Box], ConstantLoad]
    ) -> ConstantLoad | None:
        axis = node.piece_axis(views)
        whole = Box.whole(views.results[0])
        span = whole.with_axis(axis, piece.start[axis], piece.size[axis])
        found = kept.get((node.index, span))
        if found is None:
            size = node.constant_bytes(views, span, self.est.weights)
            if not size:
                return None
            buffer = Buffer(size, number, number)
            lanes = min(self.est.chip.arch.lanes, views.results[0][1]) if axis == 1 else self.est.chip.arch.lanes
            cycles = self.est.constants(lanes, size)
            found = kept[node.index, span] = ConstantLoad(node, views, span, size, buffer, number, cycles, lanes)
            result.loads.append(found)
        found.buffer.last = number
        return found

    def _pieces(self, node: Node, views: Views, out: Box) -> list[Box]:
        """The result of one tile, cut along the kernel's piece axis where its constants are large."""
        axis = node.piece_axis(views)
        size = node.constant_bytes(views, out, self.est.weights)
        if size <= PIECE_BYTES or "nchw"[axis] not in node.splits(views):
            return [out]
        unit = node.local.piece_unit(node.op, views)
        count = min(ceil_div(size, PIECE_BYTES), ceil_div(out.size[axis], unit))
        length = align(ceil_div(out.size[axis], count), unit)
        starts = range(out.start[axis], out.stop[axis], length)
        pieces = [out.with_axis(axis, a, min(length, out.stop[axis] - a)) for a in starts]
        return pieces if node.local.writes_parts(node.op) or self._in_standard_layout(node, out, pieces, axis) else [out]

    def _in_standard_layout(self, node: Node, out: Box, pieces: Sequence[Box], axis: int) -> bool:
        """Whether pieces of a tile of the first result are tiles in the standard layout themselves, as where it has one batch and one
        group of lanes."""
        arch, whole = self.est.chip.arch, Box.whole(out.size)
        tile = LocalTensor.aligned(arch, 0, out.size, node.op.results[0].type.element)
        parts = [whole.with_axis(axis, piece.start[axis] - out.start[axis], piece.size[axis]) for piece in pieces]
        return all(tile.part(arch, part).is_aligned(arch) for part in parts)

    def _stores(self, result: GroupSteps, slices: TileSlices, local: dict[Key, LocalValue], made_at: dict[Key, int]) -> None:
        for key, box in slices.stored.items():
            cell = local[key]
            cell.buffer.last = max(cell.buffer.last, made_at[key] + 1)
            result.stores.append(self._store(result, cell, box, made_at[key]))

    def _store(self, result: GroupSteps, cell: LocalValue, box: Box, after: int) -> ValueStore:
        element = cell.value.type.element
        turning = self.est.turning(box.size, element) if box == cell.box and cell.view[2:] == (1, 1) else None
        if turning is None:
            return ValueStore(cell, box, after, self.est.transfer(box.size, element))
        tiu, dma = turning
        result.steps[after - result.base].cycles += tiu
        rows = Buffer(aligned_bytes(self.est.chip.arch, turned(box.size), element), after, after + 1)
        return ValueStore(cell, box, after, dma, rows)
