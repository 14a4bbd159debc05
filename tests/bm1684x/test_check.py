"""The independent check of streams: silent on what the compiler makes, loud on every kind of damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bm1684x.modules import Builder, conv
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.bmodel import CommandStreams
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.schedule.graph import Graph
from tpumlir_sophgo.schedule.program import Program
from tpumlir_sophgo.schedule.search import schedule


@pytest.fixture
def program() -> Program:
    b = Builder()
    x = b.input(1, 3, 40, 40)
    y = conv(b, conv(b, x, 200, 3), 130, 3)
    b.op("Permute", y, order=(0, 2, 3, 1))
    target = Bm1684xTarget()
    return schedule(target.chip(), Graph(b.module(b.operations[-1].output), target.kernels()))


def check(program: Program, groups: list[CommandStreams] | None = None) -> None:
    target = Bm1684xTarget()
    target.check(program, groups or target.streams(program.emitter))


def first(program: Program, engine: Engine, waiting: bool = True) -> Command:
    return next(c for c in program.emitter.commands if c.engine is engine and bool(c.waits) == waiting)


def test_what_the_compiler_makes_passes(program: Program) -> None:
    check(program)


@pytest.mark.parametrize("engine", list(Engine))
def test_a_dependency_left_out_is_a_race(program: Program, engine: Engine) -> None:
    for command in program.emitter.commands:
        if command.engine is engine:
            command.waits = 0
    with pytest.raises(InternalError, match="can run at the same time and both touch local bytes"):
        check(program)


def test_engines_that_wait_for_each_other(program: Program) -> None:
    last = max(c.id for c in program.emitter.commands if c.engine is Engine.TIU)
    first(program, Engine.DMA, waiting=False).waits = last
    with pytest.raises(InternalError, match="wait for each other"):
        check(program)


def test_a_local_address_outside_of_a_lane(program: Program) -> None:
    command = first(program, Engine.TIU)
    command.values["res0_addr"] = (1 << 18) - 64
    with pytest.raises(InternalError, match="are not in a lane"):
        check(program)


def test_a_store_into_the_constants(program: Program) -> None:
    command = next(c for c in program.emitter.commands if c.engine is Engine.DMA and c.values["dst_addr_h8"])
    command.values["dst_addr_l32"] = 0
    with pytest.raises(InternalError, match="which holds no values"):
        check(program)


def test_a_load_from_beyond_the_network(program: Program) -> None:
    command = next(c for c in program.emitter.commands if c.engine is Engine.DMA and c.values["src_addr_h8"])
    command.values["src_addr_l32"] = 0x7FFFFF00
    with pytest.raises(InternalError, match="which is not the network's"):
        check(program)


def test_a_count_that_is_wrong(program: Program) -> None:
    streams = Bm1684xTarget().streams(program.emitter)[0]
    with pytest.raises(InternalError, match="there is more behind"):
        check(program, [replace(streams, tiu_commands=streams.tiu_commands - 1)])
