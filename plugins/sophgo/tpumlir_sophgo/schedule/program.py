"""The schedule of a whole network: groups placed one after the other in local memory over time.

A load is hoisted before the step that needs it as far as the DMA engine needs to be in time, and local memory has room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Value
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.cost import Chip
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.kernel import GlobalKernel
from tpumlir_sophgo.schedule.emission import Emission, GlobalStep
from tpumlir_sophgo.schedule.graph import Graph, Node
from tpumlir_sophgo.schedule.partition import Partitioner, Plan, backlogs
from tpumlir_sophgo.schedule.place import Placement
from tpumlir_sophgo.schedule.steps import ConstantLoad, GroupSteps, StepBuilder, ValueLoad
from tpumlir_sophgo.schedule.storage import ConstantPool, Region, assign
from tpumlir_sophgo.timeline import simulate

HORIZON = 96  # steps that a load may be hoisted before the group that needs it
DMA_SLACK = 1.2  # loads begin this much earlier than their cost asks for


@dataclass
class Program:
    """The finished schedule: the emitter with all commands, the constants, and the layout of global memory."""

    emitter: Emitter
    constants: bytearray
    constants_base: int
    memory_base: int
    memory_bytes: int
    addresses: dict[Value, int]  # of storage roots that lie in global memory
    root: Callable[[Value], Value]  # a value's storage root


@dataclass
class Scheduler:
    """Places the groups of one partition and emits them. ``foresight``: loads make way for what later groups have to load."""

    chip: Chip
    graph: Graph
    partitioner: Partitioner
    weights: tuple[float, float]
    foresight: bool = True
    groups: list[GroupSteps | GlobalStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        arch = self.chip.arch
        self._memory = Placement(arch.lane_bytes, arch.eu_bytes)
        self._start: list[float] = [0.0]  # start of every step if the TIU never waited, cycles
        self._stored: dict[Value, int] = {}  # last step after which a value's store is due
        self._backlog = 0.0  # cycles of loads of later groups that the DMA engine has to have begun with when the group at work ends
        self._pool = ConstantPool()
        self._cycles: int | None = None

    def place(self, parts: Sequence[Plan | Node]) -> None:
        """Place all groups in local memory over time."""
        behind = self._backlog
        for item, backlog in zip(parts, backlogs(parts), strict=True):
            self._backlog = behind + backlog
            if isinstance(item, Plan):
                self._schedule(item)
            else:
                self._add_global(item)
        self._backlog = behind

    def cycles(self) -> int:
        """Cycles of the program by the cost model, constants left out of the file."""
        if self._cycles is None:
            self._cycles = self._simulated()
        return self._cycles

    def _simulated(self) -> int:
        emitter = self._emission({}, self.chip.arch.global_base)[0].emitter
        streams = [emitter.stream(engine) for engine in Engine]
        costs = [[self.chip.cost.cycles(c) for c in stream] for stream in streams]
        return simulate(costs, [[c.waits for c in stream] for stream in streams]).total

    # --- placement ------------------------------------------------------------------------------------------------
    def _schedule(self, plan: Plan) -> None:
        """Place a group; where that fails cut it finer, and then into two groups; an operation by itself after an idle step."""
        if self._place(plan):
            return
        for attempt, finer in enumerate(self.partitioner.finer(plan)):
            if self._place(finer):
                return
            if attempt == 2 and len(plan.group.nodes) > 1:
                break
        nodes = plan.group.nodes
        if len(nodes) == 1:
            self._start.append(self._start[-1])  # the step in which the group before stores what it made
            if self._place(plan):
                return
            raise UnsupportedError(f"{nodes[0].op.name} ({nodes[0].op.opcode}) does not fit local memory however it is cut")
        first, half = nodes[0].index, nodes[len(nodes) // 2].index
        for part in (self.partitioner.run(*self.weights, first, half), self.partitioner.run(*self.weights, half, first + len(nodes))):
            self.place(part)

    def _place(self, plan: Plan) -> bool:
        base = len(self._start) - 1
        built = StepBuilder(self.partitioner.est, plan.resident).build(plan.group, plan.grid, base)
        if built is None:
            return False
        self._memory.forget(base - HORIZON)
        mark = self._memory.mark()
        fixed = [v.buffer for v in built.values] + [s.scratch for s in built.steps if s.scratch.size]
        fixed += [store.rows for store in built.stores if store.rows is not None]
        for buffer in sorted(fixed, key=lambda b: (b.first - b.last, b.first)):
            address = self._memory.find(buffer.size, buffer.first, buffer.last)
            if address is None:
                self._memory.undo(mark)
                return False
            buffer.address = address
            self._memory.take(address, buffer.size, buffer.first, buffer.last)
        start = list(self._start)
        for step in built.steps:
            start.append(start[-1] + step.cycles)
        if not self._place_loads(built, np.array(start)):
            self._memory.undo(mark)
            return False
        self._start = start
        for store in built.stores:
            self._stored[store.local.value] = store.after
        self.groups.append(built)
        return True

    def _place_loads(self, built: GroupSteps, start: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
        wanted: dict[int, int] = {}
        latest = float(start[-1]) - self._backlog if self.foresight else float("inf")
        for index in range(len(built.loads) - 1, -1, -1):
            load = built.loads[index]
            latest = min(latest, float(start[load.need])) - load.cycles * DMA_SLACK
            wanted[index] = int(np.searchsorted(start, latest, side="right")) - 2
        floor = max(0, built.base - HORIZON)
        for index, load in enumerate(built.loads):
            buffer = load.buffer if isinstance(load, ConstantLoad) else load.local.buffer
            low = floor
            if isinstance(load, ValueLoad) and load.local.value in self._stored:
                low = min(self._stored[load.local.value] + 1, load.need)
            if not self._place_load(buffer, max(low, min(wanted[index], load.need)), load.need):
                return False
        return True

    def _place_load(self, buffer: Any, first: int, need: int) -> bool:
        for slot in _candidates(first, need):
            address = self._memory.find(buffer.size, slot, buffer.last, top=True)
            if address is not None:
                buffer.first, buffer.address = slot, address
                self._memory.take(address, buffer.size, slot, buffer.last)
                return True
        return False

    def _add_global(self, node: Node) -> None:
        number = len(self._start) - 1
        self._memory.take(0, self.chip.arch.lane_bytes, number, number)
        self._start.append(self._start[-1])
        for result in node.op.results:
            self._stored[result] = number
        self.groups.append(GlobalStep(node, number))

    # --- global memory --------------------------------------------------------------------------------------------
    def _regions(self) -> dict[Value, Region]:
        """One region for every value that is read from or written to global memory, by group."""
        inputs = [op.output for op in self.graph.module.function.operations if op.opcode == "top.Input"]
        last_group = len(self.groups)
        regions = {v: Region(v.type.bytes, 0, last_group) for v in inputs}
        for number, group in enumerate(self.groups, 1):
            reads, writes = self._traffic(group)
            for value in writes:
                regions.setdefault(value, Region(value.type.bytes, number, number))
            for value in reads:
                if not self.graph.is_weight(value):
                    regions[value].last = max(regions[value].last, number)
        for value in self.graph.outputs:
            regions[value] = Region(value.type.bytes, 0, last_group)
        return regions

    def _traffic(self, group: GroupSteps | GlobalStep) -> tuple[list[Value], list[Value]]:
        if isinstance(group, GlobalStep):
            reads = [self.graph.root(v) for v in group.node.operands if v is not None]
            return reads, list(group.node.op.results)
        return [x.local.value for x in group.loads if isinstance(x, ValueLoad)], [x.local.value for x in group.stores]

    # --- emission -------------------------------------------------------------------------------------------------
    def emit(self) -> Program:
        """Build the constants, assign global memory, emit all commands."""
        offsets = self._constants()
        emission, memory_base, used = self._emission(offsets, self.chip.arch.global_base + len(self._pool.image))
        return Program(
            emission.emitter, self._pool.image, self.chip.arch.global_base, memory_base, used, emission.addresses, self.graph.root
        )

    def _emission(self, offsets: dict[int, int], end: int) -> tuple[Emission, int, int]:
        """The emission, where the memory of values begins (from ``end`` on), and its bytes."""
        arch = self.chip.arch
        regions = self._regions()
        works = [Region(size, i, i) for i, size in self._workspaces()]
        memory_base = align(end, arch.global_alignment)
        used = assign([*regions.values(), *works], memory_base, arch.global_alignment)
        addresses = {value: region.address for value, region in regions.items()}
        emission = Emission(self.chip, self.graph, addresses, offsets, arch.global_base)
        emission.workspaces = {work.first - 1: work.address for work in works}
        emission.run(self.groups)
        return emission, memory_base, used

    def _workspaces(self) -> list[tuple[int, int]]:
        found = []
        for number, group in enumerate(self.groups, 1):
            if isinstance(group, GlobalStep):
                assert isinstance(group.node.kernel, GlobalKernel)
                size = group.node.kernel.workspace(group.node.op)
                if size:
                    found.append((number, size))
        return found

    def _constants(self) -> dict[int, int]:
        """Pool offset of every weight tensor and global kernel's blob by id of its owner; constant loads keep their own.

        The graph's weights are dropped as soon as they are laid out for the last time: networks are mostly weights.
        """
        offsets: dict[int, int] = {}
        self._add_weights(self.graph.outputs, offsets)
        done = self._last_uses()
        for number, group in enumerate(self.groups):
            if isinstance(group, GlobalStep):
                assert isinstance(group.node.kernel, GlobalKernel)
                blob = group.node.kernel.constants(group.node.op, self.graph.weights)
                if blob is not None:
                    offsets[id(group.node)] = self._pool.add(blob)
                values = [self.graph.root(v) for v in group.node.operands if v is not None]
            else:
                for load in group.loads:
                    if isinstance(load, ConstantLoad):
                        image = self._image(load)
                        load.lanes = image.shape[0]
                        load.offset = self._pool.add_rows(image, self.chip.arch.row_stride(*image.shape))
                values = [x.local.value for x in group.loads if isinstance(x, ValueLoad)]
            self._add_weights(values, offsets)
            for name in done.get(number, ()):
                del self.graph.weights[name]
        return offsets

    def _last_uses(self) -> dict[int, list[str]]:
        """Names of the weights that each group is the last to use, by its number."""
        last: dict[str, int] = {}
        for number, group in enumerate(self.groups):
            nodes = [group.node] if isinstance(group, GlobalStep) else group.group.nodes
            operands = (v for node in nodes for v in node.op.operands if v is not None)
            last.update((self.graph.root(v).name, number) for v in operands if self.graph.is_weight(v))
        found: dict[int, list[str]] = {}
        for name, number in last.items():
            found.setdefault(number, []).append(name)
        return found

    def _add_weights(self, values: Iterable[Value], offsets: dict[int, int]) -> None:
        for value in values:
            if self.graph.is_weight(value) and id(value) not in offsets:
                offsets[id(value)] = self._pool.add(self.graph.weights[value.name].astype(value.type.element.numpy, copy=False))

    def _image(self, load: ConstantLoad) -> np.ndarray[Any, np.dtype[np.uint8]]:
        image = load.node.local.constants(load.node.op, load.views, load.box, self.graph.weights)
        assert image is not None
        if image.shape[1] != load.image_bytes:
            image = np.pad(image, ((0, 0), (0, load.image_bytes - image.shape[1])))
        return image


def _candidates(first: int, need: int) -> Sequence[int]:
    """Slots to try for a load: the wanted one, then later and later ones."""
    slots, distance = [], need - first
    while distance > 0:
        slots.append(need - distance)
        distance //= 2
    return [*slots, need]
