"""The search for a schedule: programs under several weights of the two engines, and with and without foresight."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_sophgo.cost import Chip, Estimator
from tpumlir_sophgo.schedule.graph import Graph
from tpumlir_sophgo.schedule.partition import Partitioner, Plan, backlogs
from tpumlir_sophgo.schedule.program import Program, Scheduler

# Weights of TIU and DMA cycles under which partitions are tried.
WEIGHTS = ((1.0, 0.1), (1.0, 0.5), (0.5, 1.0))


def schedule(chip: Chip, graph: Graph) -> Program:
    """The program whose timeline is shortest, of those that partitions under several weights give.

    The best of them is also tried with loads that come no earlier than their own group asks for.
    """
    partitioner = Partitioner(Estimator(chip, graph), graph.nodes)
    tried: dict[tuple[int, ...], Scheduler] = {}
    for weights in WEIGHTS:
        parts = partitioner.run(*weights)
        key = tuple(len(p.group.nodes) if isinstance(p, Plan) else 0 for p in parts)
        if key not in tried:
            tried[key] = Scheduler(chip, graph, partitioner, weights)
            tried[key].place(parts)
    best = _fastest(list(tried.values()))
    parts = partitioner.run(*best.weights)
    if not any(backlogs(parts)):
        return best.emit()
    late = Scheduler(chip, graph, partitioner, best.weights, foresight=False)
    late.place(parts)
    return _fastest([best, late]).emit()


def _fastest(tried: Sequence[Scheduler]) -> Scheduler:
    return tried[0] if len(tried) == 1 else min(tried, key=Scheduler.cycles)
