"""Emission: placed groups become commands, in the order of their positions.

Everything has a position on one axis. Step s computes at s + 0.5. What it loads lies at or before s; what it stores lies
just before the compute of step s + 2, so that the DMA engine never waits for the step that is running while loads are due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tpumlir_core.ir import Value
from tpumlir_sophgo.cost import Chip, constant_rows, turned
from tpumlir_sophgo.kernel import GlobalCall, GlobalKernel, Tile, default_view
from tpumlir_sophgo.schedule.graph import Graph, Node
from tpumlir_sophgo.schedule.steps import Buffer, ConstantLoad, GroupSteps, LocalValue, Step, ValueLoad, ValueStore
from tpumlir_sophgo.tensor import Box, GlobalTensor, LocalTensor

DMA_LONGEST = 65535  # elements of a row that one transfer moves


@dataclass(frozen=True)
class GlobalStep:
    """One call of a global kernel."""

    node: Node
    number: int


@dataclass
class Emission:
    """Turns placed groups into commands, in the order of positions."""

    chip: Chip
    graph: Graph
    addresses: dict[Value, int]
    constants: dict[int, int]  # offsets; empty where only cycles matter
    constants_base: int
    workspaces: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.emitter = self.chip.new_emitter()

    def run(self, groups: Sequence[GroupSteps | GlobalStep]) -> None:
        items: list[tuple[float, int, Callable[[], None]]] = []

        def at(position: float, action: Callable[[], None]) -> None:
            items.append((position, len(items), action))

        for value in self.graph.outputs:
            if self.graph.is_weight(value):
                at(-1.0, partial(self._copy_constant, value))
        stored: dict[Value, float] = {}
        for number, group in enumerate(groups):
            if isinstance(group, GlobalStep):
                at(group.number + 0.5, partial(self._global, group, number))
                for result in group.node.op.results:
                    stored[result] = group.number + 0.5
                continue
            for load in group.loads:
                if isinstance(load, ConstantLoad):
                    at(load.buffer.first, partial(self._load_constants, load))
                else:
                    position = max(float(load.local.buffer.first), stored.get(load.local.value, -1.0) + 0.01)
                    at(position, partial(self._load, load))
            for offset, step in enumerate(group.steps):
                at(group.base + offset + 0.5, partial(self._step, step))
            for store in group.stores:
                if store.rows is not None:
                    at(store.after + 0.5, partial(self._turn, store, store.rows))
                position = store.after + 1.4
                stored[store.local.value] = max(position, stored.get(store.local.value, -1.0))
                at(position, partial(self._store, store))
        for _, _, action in sorted(items, key=lambda item: item[:2]):
            action()

    def _tensor(self, local: LocalValue, box: Box | None = None) -> LocalTensor:
        arch = self.chip.arch
        whole = LocalTensor.aligned(arch, local.buffer.address, local.box.size, local.value.type.element)
        if box is None or box == local.box:
            return whole
        start = tuple(a - b for a, b in zip(box.start, local.box.start, strict=True))
        return whole.part(arch, Box(start, box.size))  # type: ignore[arg-type]

    def _memory(self, local: LocalValue, box: Box) -> GlobalTensor:
        value = local.value
        return GlobalTensor.dense(self._address(value), local.view, value.type.element).part(box)

    def _load(self, load: ValueLoad) -> None:
        self.emitter.layer = load.local.value.name
        local, memory = _merged(self._tensor(load.local), self._memory(load.local, load.local.box))
        self.emitter.load(local, memory)

    def _store(self, store: ValueStore) -> None:
        self.emitter.layer = store.local.value.name
        local, memory = self._tensor(store.local, store.box), self._memory(store.local, store.box)
        if store.rows is not None:
            local = self._rows(store, store.rows)
            c = store.box.size[1]
            memory = GlobalTensor(memory.address, local.shape, memory.element, (memory.strides[0], c, c, 1))
        local, memory = _merged(local, memory)
        self.emitter.store(memory, local)

    def _turn(self, store: ValueStore, rows: Buffer) -> None:
        """Make rows of what lies one element a lane."""
        assert self.chip.turn is not None
        self.emitter.layer = store.local.value.name
        self.chip.turn(self.emitter, self._rows(store, rows), self._tensor(store.local))

    def _rows(self, store: ValueStore, rows: Buffer) -> LocalTensor:
        return LocalTensor.aligned(self.chip.arch, rows.address, turned(store.box.size), store.local.value.type.element)

    def _load_constants(self, load: ConstantLoad) -> None:
        self.emitter.layer = load.node.op.name
        address = self.constants_base + load.offset
        self.emitter.load(*constant_rows(self.chip.arch, load.lanes, load.image_bytes, load.buffer.address, address))

    def _copy_constant(self, value: Value) -> None:
        """A weight that is an output of the network to where outputs lie."""
        self.emitter.layer = value.name
        source, target, element = self._address(value), self.addresses[value], value.type.element
        for start in range(0, value.type.elements, DMA_LONGEST):
            shape = (1, 1, 1, min(DMA_LONGEST, value.type.elements - start))
            there, here = (GlobalTensor.dense(base + start * element.bytes, shape, element) for base in (target, source))
            self.emitter.move(there, here)

    def _step(self, step: Step) -> None:
        self.emitter.layer = step.node.op.name
        operands = tuple(None if x is None else self._tensor(x[0], x[1]) for x in step.operands)
        operands = tuple(
            t if t is None or v is None else LocalTensor(t.address, t.shape, v.type.element, t.strides, t.lane)
            for t, v in zip(operands, step.node.op.operands, strict=True)
        )
        boxes = [step.out if view == step.views.results[0] else Box.whole(view) for view in step.views.results]
        results = tuple(self._tensor(x, box) for x, box in zip(step.results, boxes, strict=True))
        constants = -1 if step.constants is None else step.constants.buffer.address
        tile = Tile(operands, results, step.boxes, step.out, constants, step.scratch.address)
        step.node.local.emit(step.node.op, tile, self.emitter)

    def _global(self, group: GlobalStep, number: int) -> None:
        node = group.node
        assert isinstance(node.kernel, GlobalKernel)
        self.emitter.layer = node.op.name
        operands = tuple(None if v is None else self._dense(v) for v in node.operands)
        results = tuple(self._dense(v) for v in node.op.results)
        constants = self.constants_base + self.constants.get(id(node), 0)
        call = GlobalCall(operands, results, constants, self.workspaces.get(number, -1))
        node.kernel.emit(node.op, call, self.emitter)

    def _dense(self, value: Value) -> GlobalTensor:
        return GlobalTensor.dense(self._address(self.graph.root(value)), default_view(value.shape), value.type.element)

    def _address(self, root: Value) -> int:
        if self.graph.is_weight(root):
            return self.constants_base + self.constants.get(id(root), 0)
        return self.addresses[root]


def _merged(local: LocalTensor, memory: GlobalTensor) -> tuple[LocalTensor, GlobalTensor]:
    """The same transfer with rows joined to longer ones where both sides are contiguous over h and w."""
    n, c, h, w = local.shape
    joined = local.strides[2:] == (w, 1) and memory.strides[2:] == (w, 1) and h > 1 and h * w < 1 << 16
    if not joined:
        return local, memory
    shape = (n, c, 1, h * w)
    strides = (*local.strides[:2], h * w, 1)
    outer = (*memory.strides[:2], h * w, 1)
    return LocalTensor(local.address, shape, local.element, strides, local.lane), GlobalTensor(memory.address, shape, memory.element, outer)
