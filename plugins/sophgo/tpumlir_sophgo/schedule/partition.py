"""Which operations are fused into a group, and into how many tiles the group is cut.

Groups are prefixes of what is left, grown by doubling and then narrowed; each candidate is judged by the larger of its
TIU and DMA cycles, with what its nodes would cost alone as the yardstick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tpumlir_core.errors import UnsupportedError
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.cost import Estimator
from tpumlir_sophgo.schedule.graph import Node
from tpumlir_sophgo.schedule.slices import Grid, Group
from tpumlir_sophgo.schedule.steps import ConstantLoad, GroupSteps, StepBuilder
from tpumlir_sophgo.tensor import Shape4

FILL = 0.92  # share of a lane that the estimate may fill; the rest is for fragmentation
LONGEST = 64  # nodes in one group
_PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Plan:
    """A group, how it is cut, and what that is expected to cost."""

    group: Group
    grid: Grid
    resident: bool
    tiu: int
    dma: int

    @property
    def cost(self) -> float:
        """Expected cycles: the busier engine, and a tenth of the other one for imperfect overlap."""
        return max(self.tiu, self.dma) + 0.1 * min(self.tiu, self.dma)


@dataclass
class Partitioner:
    """Cuts the node list into planned groups."""

    est: Estimator
    _alone: dict[int, Plan] = field(default_factory=dict)

    def run(self, nodes: Sequence[Node]) -> Iterator[Plan | Node]:
        """Plans of fused groups, and single nodes that have a global kernel, in order."""
        at = 0
        while at < len(nodes):
            if not nodes[at].is_local:
                yield nodes[at]
                at += 1
                continue
            plan = self._grow(nodes, at)
            yield plan
            at += len(plan.group.nodes)

    def alone(self, node: Node) -> Plan:
        """The plan of one node by itself. Raises UnsupportedError where no cut fits local memory."""
        found = self._alone.get(node.index)
        if found is None:
            group = Group().extended(self.est.graph, node)
            found = self.plan(group, Grid()) if group is not None else None
            if found is None:
                raise UnsupportedError(f"{node.op.name} ({node.op.opcode}) does not fit local memory however it is cut")
            self._alone[node.index] = found
        return found

    def _grow(self, nodes: Sequence[Node], at: int) -> Plan:
        prefixes = [self.alone(nodes[at]).group]
        best = tried = self.alone(nodes[at])
        good, length = 1, 2
        bad: int | None = None
        while length <= min(LONGEST, len(nodes) - at):
            group = self._prefix(prefixes, nodes, at, length)
            plan = None if group is None else self.plan(group, tried.grid)
            if plan is not None and plan.cost <= best.cost + sum(self.alone(nodes[at + i]).cost for i in range(good, length)):
                best = tried = plan
                good = length
            else:
                bad = length
            length = min(2 * good, LONGEST, len(nodes) - at) if bad is None else (good + bad) // 2
            if length <= good or (bad is not None and length >= bad):
                break
        return best

    def _prefix(self, prefixes: list[Group], nodes: Sequence[Node], at: int, length: int) -> Group | None:
        while len(prefixes) < length:
            group = prefixes[-1].extended(self.est.graph, nodes[at + len(prefixes)])
            if group is None:
                return None
            prefixes.append(group)
        return prefixes[length - 1]

    def plan(self, group: Group, least: Grid) -> Plan | None:
        """The coarsest cut from ``least`` on that fits local memory, or None."""
        for grid in self._grids(group, least):
            plan = self._try(group, grid)
            if plan is not None:
                return plan
        return None

    def finer(self, plan: Plan) -> Iterator[Plan]:
        """The same group cut into more and more tiles (for when placement fails)."""
        for grid in self._grids(plan.group, plan.grid):
            if grid.count > plan.grid.count:
                found = self._try(plan.group, grid)
                if found is not None:
                    yield found

    def _grids(self, group: Group, least: Grid) -> Iterator[Grid]:
        outputs = [group.made[v] for v in group.outputs(self.est.graph)]
        if not outputs:
            return
        limit = tuple(min(v[axis] for v in outputs) for axis in range(4))
        lanes = self.est.chip.arch.lanes
        n_parts = [p for p in _PARTS if p <= limit[0]]
        h_parts = [p for p in _PARTS if p <= limit[2]]
        grids = [(n, 1, h, 1) for n in n_parts for h in h_parts if n == 1 or h == 1 or n == n_parts[-1]]
        if len(group.nodes) == 1:
            c_parts = [p for p in _PARTS if p <= -(-limit[1] // lanes)]
            w_parts = [p for p in _PARTS if p <= limit[3]]
            n, h = n_parts[-1], h_parts[-1]
            grids += [(n, c, 1, 1) for c in c_parts[1:]] + [(1, c, 1, 1) for c in c_parts[1:]]
            grids += [(n, c, h, 1) for c in c_parts[1:]] + [(n, 1, h, w) for w in w_parts[1:]] + [(1, 1, 1, w) for w in w_parts[1:]]
            grids += [(n, c_parts[-1], h, w) for w in w_parts[1:]] + [(1, c, 1, w) for c in c_parts[1:] for w in w_parts[1:]]
        chosen: dict[Shape4, int] = {g: g[0] * g[1] * g[2] * g[3] for g in grids}
        for parts in sorted(chosen, key=lambda g: (chosen[g], g[3], g[1], g)):
            if chosen[parts] >= least.count:
                yield Grid(parts)

    def _try(self, group: Group, grid: Grid) -> Plan | None:
        cells = list(grid.cells())
        middle = cells[len(cells) // 2]
        for resident in (True, False) if grid.count > 1 else (False,):
            built = StepBuilder(self.est, resident).build(group, grid, 0, [middle])
            if built is None:
                return None
            if peak_bytes(built, resident, self.est.chip.arch.eu_bytes) > FILL * self.est.chip.arch.lane_bytes:
                continue
            tiu = sum(s.cycles for s in built.steps) * grid.count
            constants = sum(x.cycles for x in built.loads if isinstance(x, ConstantLoad)) * (1 if resident else grid.count)
            moved = sum(x.cycles for x in built.loads if not isinstance(x, ConstantLoad)) + sum(s.cycles for s in built.stores)
            return Plan(group, grid, resident, tiu, constants + moved * grid.count)
        return None


def peak_bytes(built: GroupSteps, resident: bool, unit: int) -> int:
    """The most bytes of a lane alive at once, with every load begun one step early."""
    size = len(built.steps) + 2
    change = np.zeros(size + 1, np.int64)
    for step in built.steps:
        _live(change, step.scratch.size, step.scratch.first, step.scratch.last, unit)
    for value in built.values:
        _live(change, value.buffer.size, value.buffer.first, value.buffer.last, unit)
    for load in built.loads:
        if isinstance(load, ConstantLoad):
            first, last = (0, size - 1) if resident else (load.need - 1, load.buffer.last)
            _live(change, load.buffer.size, first, last, unit)
        else:
            _live(change, load.local.buffer.size, load.need - 1, load.local.buffer.last, unit)
    return int(np.cumsum(change).max())


def _live(change: np.ndarray[tuple[int], np.dtype[np.int64]], size: int, first: int, last: int, unit: int) -> None:
    change[max(first, 0)] += align(size, unit)
    change[min(last + 1, len(change) - 1)] -= align(size, unit)
