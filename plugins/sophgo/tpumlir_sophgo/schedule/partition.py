"""Which operations are fused into a group, and into how many tiles the group is cut.

Every run of consecutive nodes (of some lengths) is sized and costed once: TIU and DMA cycles under the coarsest cut that
fits local memory. A partition is then a shortest path over the node order, under weights of the two engines; the scheduler
tries several weights and keeps what its timeline says is fastest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.errors import UnsupportedError
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.cost import Estimator
from tpumlir_sophgo.schedule.graph import Node
from tpumlir_sophgo.schedule.slices import Grid, Group, slice_tile
from tpumlir_sophgo.schedule.steps import ConstantLoad, GroupSteps, StepBuilder
from tpumlir_sophgo.tensor import Box, Shape4

FILL = 0.92  # share of a lane that the estimate may fill; the rest is for fragmentation
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)  # nodes of the runs that are costed
OVERLAP = 1.5  # a run is not grown further once its tiles repeat this much of the TIU's work
MOST_TILES = 64  # of a run of several nodes
TRIED = 12  # finer cuts of an operation by itself that are tried for overlap
WORTHWHILE = 0.1  # share of the time that overlap has to be able to save
MANY = 600  # nodes from which on groups are chosen greedily instead of by a shortest path
_PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Plan:
    """A group, how it is cut, and what that is expected to cost in cycles of each engine."""

    group: Group
    grid: Grid
    resident: bool
    tiu: int
    dma: int


@dataclass
class Partitioner:
    """Cuts the node list into planned groups."""

    est: Estimator
    nodes: Sequence[Node]
    _plans: dict[int, dict[int, Plan]] = field(default_factory=dict)  # first node -> length -> plan
    _alone: dict[int, int] = field(default_factory=dict)

    def run(self, tiu_weight: float, dma_weight: float, first: int = 0, stop: int | None = None) -> list[Plan | Node]:
        """The cheapest partition of the nodes from ``first`` to ``stop`` under linear weights of the engines' cycles.

        Plans of fused groups, and single nodes that have a global kernel, in order.
        """
        stop = len(self.nodes) if stop is None else stop
        if stop - first > MANY:
            return self._greedy(tiu_weight, dma_weight, first, stop)
        cost = np.full(stop - first + 1, np.inf)
        cost[-1] = 0.0
        choice = [1] * (stop - first)
        for at in range(stop - 1, first - 1, -1):
            here = at - first
            for length, plan in self.plans(at).items():
                if at + length > stop:
                    break
                total = tiu_weight * plan.tiu + dma_weight * plan.dma + cost[here + length]
                if total < cost[here]:
                    cost[here], choice[here] = total, length
            if not self.nodes[at].is_local:
                cost[here] = cost[here + 1]
        found: list[Plan | Node] = []
        at = first
        while at < stop:
            found.append(self.plans(at)[choice[at - first]] if self.nodes[at].is_local else self.nodes[at])
            at += choice[at - first]
        return found

    def _greedy(self, tiu_weight: float, dma_weight: float, first: int, stop: int) -> list[Plan | Node]:
        """From the first node on, always the run that is cheapest by the node; costs only runs that are reached."""
        found: list[Plan | Node] = []
        at = first
        while at < stop:
            if not self.nodes[at].is_local:
                found.append(self.nodes[at])
                at += 1
                continue
            runs = {length: plan for length, plan in self.plans(at).items() if at + length <= stop}
            length = min(runs, key=lambda n: (tiu_weight * runs[n].tiu + dma_weight * runs[n].dma) / n)
            found.append(runs[length])
            at += length
        return found

    def plans(self, at: int) -> dict[int, Plan]:
        """The plans of the runs that begin at a node, by length. Raises UnsupportedError where not even the node by itself
        can be cut so that it fits local memory."""
        found = self._plans.get(at)
        if found is None:
            found = self._plans[at] = self._measure(at) if self.nodes[at].is_local else {}
        return found

    def _measure(self, at: int) -> dict[int, Plan]:
        plans: dict[int, Plan] = {}
        group: Group | None = Group()
        grid = Grid()
        for length in LENGTHS:
            while group is not None and len(group.nodes) < length:
                following = at + len(group.nodes)
                group = group.extended(self.est.graph, self.nodes[following]) if following < len(self.nodes) else None
            plan = None if group is None else self.plan(group, grid)
            if plan is None:
                break
            plans[length] = plan if length > 1 else self._overlapping(plan)
            grid = plan.grid
            if plan.tiu > OVERLAP * sum(self._least(node) for node in plan.group.nodes):
                break
        if not plans:
            op = self.nodes[at].op
            raise UnsupportedError(f"{op.name} ({op.opcode}) does not fit local memory however it is cut")
        return plans

    def _least(self, node: Node) -> int:
        """TIU cycles of a node computed whole, in one piece."""
        if node.index not in self._alone:
            views = node.views([None] * len(node.operands))
            assert views is not None
            out = Box.whole(views.results[0])
            self._alone[node.index] = self.est.call(node, views, out, tuple(node.slices(views, out))).cycles
        return self._alone[node.index]

    def plan(self, group: Group, least: Grid) -> Plan | None:
        """The coarsest cut from ``least`` on that fits local memory, or None."""
        return next((plan for grid in self._grids(group, least) if (plan := self._try(group, grid)) is not None), None)

    def _overlapping(self, plan: Plan) -> Plan:
        """The plan of an operation by itself, or a finer one whose tiles leave each other room, so that the engines work side by
        side and the whole is done sooner. Constants come in pieces anyway, beside the work of the groups around."""
        best, least = plan, self._elapsed(plan)
        node = plan.group.nodes[0]
        views = plan.group.views[node]
        constants = node.constant_bytes(views, Box.whole(views.results[0]), self.est.weights)
        if constants or min(plan.tiu, plan.dma) < WORTHWHILE * least:
            return plan
        for tried, finer in enumerate(self.finer(plan)):
            if finer.grid.count > MOST_TILES or tried == TRIED:
                break
            elapsed = self._elapsed(finer)
            if elapsed < least:
                best, least = finer, elapsed
            if least * (1 - WORTHWHILE) <= max(finer.tiu, finer.dma):
                break
        return best

    def _elapsed(self, plan: Plan) -> int:
        """Cycles of a plan's two engines: one after the other, or, where two tiles have room, side by side but for the ends."""
        cells = list(plan.grid.cells())
        middle = len(cells) // 2
        if len(cells) > 1:
            built = StepBuilder(self.est, plan.resident).build(plan.group, plan.grid, 0, cells[middle - 1 : middle + 1])
            if built is not None and peak_bytes(built, plan.resident, self.est.chip.arch.eu_bytes) <= FILL * self.est.chip.arch.lane_bytes:
                return max(plan.tiu, plan.dma) + min(plan.tiu, plan.dma) // len(cells)
        return plan.tiu + plan.dma

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
        n_parts = [p for p in _PARTS if p <= limit[0]]
        h_parts = [p for p in _PARTS if p <= limit[2]]
        grids = [(n, 1, h, 1) for n in n_parts for h in h_parts if n == 1 or h == 1 or n == n_parts[-1]]
        if len(group.nodes) == 1:
            groups = -(-limit[1] // self.est.chip.arch.lanes)
            c_parts = sorted({*(p for p in _PARTS if p <= groups), groups})
            w_parts = [p for p in _PARTS if p <= limit[3]]
            n, h = n_parts[-1], h_parts[-1]
            grids += [(n, c, 1, 1) for c in c_parts[1:]] + [(1, c, 1, 1) for c in c_parts[1:]]
            grids += [(n, c, h, 1) for c in c_parts[1:]] + [(n, 1, h, w) for w in w_parts[1:]] + [(1, 1, 1, w) for w in w_parts[1:]]
            grids += [(n, c_parts[-1], h, w) for w in w_parts[1:]] + [(1, c, 1, w) for c in c_parts[1:] for w in w_parts[1:]]
        chosen: dict[Shape4, int] = {g: g[0] * g[1] * g[2] * g[3] for g in grids}
        for parts in sorted(chosen, key=lambda g: (chosen[g], g[3], g[1], g)):
            if chosen[parts] >= least.count and (len(group.nodes) == 1 or chosen[parts] <= MOST_TILES):
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
            stored = sum(s.cycles for s in built.stores) * grid.count
            return Plan(group, grid, resident, tiu, constants + stored + self._loaded(built, cells))
        return None

    def _loaded(self, built: GroupSteps, cells: Sequence[Shape4]) -> int:
        """Cycles of loading the operands of all tiles, from those of one."""
        loads = [x for x in built.loads if not isinstance(x, ConstantLoad)]
        if len(built.group.nodes) > 1 or len(cells) > MOST_TILES:
            return sum(x.cycles for x in loads) * len(cells)
        boxes = [slice_tile(self.est.graph, built.group, built.grid, cell, self.est.chip.arch.lanes) for cell in cells]
        found = 0
        for load in loads:
            key = (load.local.value, load.local.view)
            parts = [None if tile is None else tile.values[key] for tile in boxes]
            found += load.cycles * sum(part != before for part, before in zip(parts, [None, *parts], strict=False))
        return found


def backlogs(parts: Sequence[Plan | Node]) -> list[float]:
    """For each part, the cycles before its end from which on the DMA engine is needed for the parts after it, or it is late."""
    found, behind = [], 0.0
    for item in reversed(parts):
        found.append(behind)
        if isinstance(item, Plan):
            behind = max(0.0, behind + item.dma - item.tiu)
    return found[::-1]


def peak_bytes(built: GroupSteps, resident: bool, unit: int) -> int:
    """The most bytes of a lane alive at once, with every load begun one step early."""
    size = len(built.steps) + 2
    change = np.zeros(size + 1, np.int64)
    for step in built.steps:
        _live(change, step.scratch.size, step.scratch.first, step.scratch.last, unit)
    for value in built.values:
        _live(change, value.buffer.size, value.buffer.first, value.buffer.last, unit)
    for store in built.stores:
        if store.rows is not None:
            _live(change, store.rows.size, store.rows.first, store.rows.last, unit)
    for load in built.loads:
        if isinstance(load, ConstantLoad):
            first, last = (0, size - 1) if resident else (load.need - 1, load.buffer.last)
            _live(change, load.buffer.size, first, last, unit)
        else:
            _live(change, load.local.buffer.size, load.need - 1, load.local.buffer.last, unit)
    return int(np.cumsum(change).max())


def _live(change: np.ndarray[Any, np.dtype[np.int64]], size: int, first: int, last: int, unit: int) -> None:
    change[max(first, 0)] += align(size, unit)
    change[min(last + 1, len(change) - 1)] -= align(size, unit)
