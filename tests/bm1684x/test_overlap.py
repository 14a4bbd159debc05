"""Operations by themselves are cut so that loads, computation and stores of their tiles go on side by side."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bm1684x.modules import Builder
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.schedule.graph import Graph
from tpumlir_sophgo.schedule.partition import Plan, backlogs
from tpumlir_sophgo.schedule.program import Program
from tpumlir_sophgo.schedule.search import schedule
from tpumlir_sophgo.schedule.slices import Grid, Group
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.timeline import simulate


def product(left: tuple[int, ...], right: tuple[int, ...], **attributes: Any) -> tuple[Builder, Program]:
    b = Builder()
    b.op("MatMul", b.input(*left), b.input(*right), **attributes)
    target = Bm1684xTarget()
    return b, schedule(target.chip(), Graph(b.module(b.operations[-1].output), target.kernels()))


def cycles(program: Program) -> tuple[int, int, int]:
    """Of the whole, of the TIU and of the DMA engine."""
    cost = Bm1684xTarget().chip().cost
    streams = [program.emitter.stream(engine) for engine in (Engine.TIU, Engine.DMA)]
    costs = [[cost.cycles(command) for command in stream] for stream in streams]
    return simulate(costs, [[command.waits for command in stream] for stream in streams]).total, sum(costs[0]), sum(costs[1])


@pytest.mark.parametrize(
    ("left", "right", "attributes"),
    [
        ((1024, 1024), (1024, 1024), {}),
        ((1024, 1024), (1024, 1024), {"right_transpose": True}),
        ((4096, 4096), (4096, 512), {}),
        ((128, 20000), (20000, 512), {}),
        ((12, 384, 64), (12, 64, 384), {}),
    ],
)
def test_a_large_product_keeps_an_engine_busy(left: tuple[int, ...], right: tuple[int, ...], attributes: dict[str, Any]) -> None:
    total, tiu, dma = cycles(product(left, right, **attributes)[1])
    assert total < 1.2 * max(tiu, dma)


def test_an_operand_that_tiles_share_is_loaded_once() -> None:
    _, program = product((1024, 1024), (1024, 1024))
    tiles = sum(command.engine is Engine.DMA for command in program.emitter.commands) - 1
    assert tiles >= 4, "one transfer for the right matrix, two for each tile"
    assert tiles % 2 == 0


@pytest.mark.parametrize(
    ("left", "right", "attributes"),
    [((200, 900), (900, 500), {}), ((2, 130, 3000), (2, 3000, 70), {}), ((300, 500), (400, 500), {"right_transpose": True})],
)
def test_overlapping_tiles_are_right(
    machine: Machine, left: tuple[int, ...], right: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    b, program = product(left, right, **attributes)
    assert sum(command.engine is Engine.DMA for command in program.emitter.commands) > 3
    b.check(machine, b.operations[-1].output, tolerance=2e-5)


def test_tiles_of_an_element_wise_operation_overlap(machine: Machine) -> None:
    b = Builder()
    y = b.op("Softmax", b.input(512, 700), axis=1)
    target = Bm1684xTarget()
    program = schedule(target.chip(), Graph(b.module(y), target.kernels()))
    total, tiu, dma = cycles(program)
    assert total < 0.9 * (tiu + dma)
    b.check(machine, y)


def test_the_backlog_of_transfers_is_what_computation_after_a_part_cannot_hide() -> None:
    def plan(tiu: int, dma: int) -> Plan:
        return Plan(Group(), Grid(), False, tiu, dma)

    parts = [plan(50, 10), plan(100, 30), plan(20, 60), plan(10, 80)]
    # behind the third part 80 - 10 are to be loaded early, behind the second 60 - 20 more, all of which its own work hides but 40
    assert backlogs(parts) == [40.0, 110.0, 70.0, 0.0]
    assert not any(backlogs([plan(100, 30), plan(90, 80)]))
