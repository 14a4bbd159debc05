"""Whole programs of the scheduler on the emulator: fusion, tiles, sizes beyond local memory, reuse of memory."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.modules import Builder, conv
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.schedule.graph import Graph
from tpumlir_sophgo.schedule.program import Program
from tpumlir_sophgo.schedule.search import schedule
from tpumlir_sophgo.streams import grouped
from tpumlir_sophgo.testing.cmodel import Machine


def program_of(b: Builder, *outputs: object) -> Program:
    target = Bm1684xTarget()
    return schedule(target.chip(), Graph(b.module(*outputs), target.kernels()))  # type: ignore[arg-type]


def transfers(program: Program) -> int:
    return sum(c.engine is Engine.DMA for c in program.emitter.commands)


def test_a_chain_is_fused(machine: Machine) -> None:
    b = Builder()
    x = b.input(1, 8, 20, 20)
    y = conv(b, conv(b, x, 70, 3), 64, 1)
    z = b.op("Add", y, conv(b, y, 64, 3))
    b.check(machine, z)
    # the input, three filters and the output: nothing between goes through global memory
    assert transfers(program_of(b, z)) == 5


def test_tiles_with_overlapping_rows(machine: Machine) -> None:
    b = Builder()
    x = b.input(1, 3, 200, 330)
    y = conv(b, conv(b, x, 16, 3, stride=2), 16, 3)
    b.check(machine, b.op("Add", y, conv(b, y, 16, 5)), tolerance=2e-5)


@pytest.mark.parametrize(("side", "spread"), [(160, True), (6, False)])
def test_a_long_function_of_few_channels_takes_all_lanes(machine: Machine, side: int, spread: bool) -> None:
    """Where that is worth the way to memory and back."""
    b = Builder()
    y = b.op("Sigmoid", conv(b, b.input(1, 3, side, side), 1, 3, relu=False))
    z = conv(b, y, 2, 3)
    b.check(machine, y, z, tolerance=2e-5)
    functions = [c for c in program_of(b, y, z).emitter.commands if c.format.name == "sSFU"]
    assert {c.values["res0_c"] for c in functions} == ({64} if spread else {1})


def test_what_goes_over_all_lanes_at_last_does_not_cut_the_rest_in_two(machine: Machine) -> None:
    b = Builder()
    x = conv(b, b.input(1, 3, 160, 160), 8, 3)
    y = b.op("AddConst", b.op("Reshape", b.op("Sigmoid", conv(b, x, 1, 3, relu=False)), shape=(160, 160)), const_val=1.0)
    short = b.op("Sigmoid", conv(b, x, 64, 1, stride=8))
    z = conv(b, short, 2, 3)
    names = [node.op.opcode for node in Graph(b.module(y, z), Bm1684xTarget().kernels()).nodes]
    assert names == ["tpu.Conv", "tpu.Conv", "tpu.Conv", "tpu.Sigmoid", "tpu.Conv", "tpu.Sigmoid", "tpu.AddConst"]
    b.check(machine, y, z, tolerance=2e-5)


@pytest.mark.parametrize(("batch", "channels", "inside"), [(1, 1000, False), (3, 67, False), (2, 200, True), (5, 1, False)])
@pytest.mark.parametrize("element", [ElementType.F32, ElementType.F16])
def test_one_element_a_lane_is_stored_in_rows(machine: Machine, batch: int, channels: int, inside: bool, element: ElementType) -> None:
    """An instruction makes rows of them: a transfer pays 256 bytes for each run."""
    b = Builder(element=element)
    x = conv(b, b.input(batch, 8, 6, 6), channels, 1)
    y = b.op("AvgPool", x, kernel_shape=(6, 6), strides=(1, 1), pads=(0, 0, 0, 0))
    outputs = (y, b.op("Mul", y, y)) if inside else (y,)
    b.check(machine, *outputs, tolerance=2e-5 if element is ElementType.F32 else 2e-3)
    program = program_of(b, *outputs)
    turned = [c for c in program.emitter.commands if c.format.name == "sTRANS_sBC"]
    assert len(turned) == (len(outputs) if channels > 1 else 0)


def test_values_with_users_of_different_rows(machine: Machine) -> None:
    b = Builder()
    x = b.input(2, 70, 150, 40)
    y = b.op("MaxPool", x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    b.check(machine, b.op("Add", b.op("Mul", x, y), conv(b, x, 70, 3)), tolerance=2e-5)


def test_several_outputs_and_an_output_that_is_used_inside(machine: Machine) -> None:
    b = Builder()
    x = b.input(1, 5, 9, 9)
    y = conv(b, x, 9, 3)
    b.check(machine, y, b.op("Relu", conv(b, y, 4, 1, relu=False)), b.op("Reshape", y, shape=(9, 81)))


def test_an_element_wise_tensor_beyond_local_memory(machine: Machine) -> None:
    b = Builder()
    x = b.input(1, 3, 1300, 1100)
    b.check(machine, b.op("AddConst", b.op("Relu", x), const_val=0.5))


def test_one_row_beyond_a_lane(machine: Machine) -> None:
    b = Builder()
    b.check(machine, b.op("Relu", b.input(1, 1, 1, 200_000)))


def test_operations_that_need_a_lane_almost_alone_wait_for_what_was_there_before(machine: Machine) -> None:
    b = Builder()
    x = b.input(1, 1, 21_900)
    for _ in range(3):
        x = b.op("Pad", x, paddings=(0, 0, 128, 0, 0, 127), mode="reflect")
    b.check(machine, x, tolerance=0)


def test_memory_of_dead_values_is_used_again() -> None:
    b = Builder()
    x = b.input(1, 64, 400, 400)
    first = x
    for _ in range(6):
        x = b.op("Permute", b.op("Relu", x), order=(0, 1, 3, 2))
    used = program_of(b, x).memory_bytes
    assert used < 5 * first.type.bytes  # input, output, and at most three in between


def test_the_same_network_gives_the_same_commands() -> None:
    streams = []
    for _ in range(2):
        b = Builder()
        program = program_of(b, conv(b, conv(b, b.input(1, 3, 60, 60), 130, 3), 5, 3))
        streams.append([group.encode(Engine.TIU) + group.encode(Engine.DMA) for group in grouped(program.emitter.commands, 1 << 19)])
    assert streams[0] == streams[1]


def test_streams_are_cut_where_ids_run_out(machine: Machine) -> None:
    b = Builder()
    program = program_of(b, conv(b, conv(b, conv(b, b.input(1, 3, 30, 30), 300, 3), 300, 3), 5, 3))
    groups = list(grouped(program.emitter.commands, 4))
    assert len(groups) > 2
    assert all(group.count(engine) <= 4 for group in groups for engine in Engine)
    assert sum(group.count(engine) for group in groups for engine in Engine) == len(program.emitter.commands)
    for group in groups:
        for engine in Engine:
            numbers = [number for _, number, _ in group.commands[engine]]
            assert numbers == list(range(1, len(numbers) + 1))
            assert all(waits <= group.count(Engine(1 - engine)) for _, _, waits in group.commands[engine])


def test_an_operation_without_a_kernel_is_named() -> None:
    b = Builder()
    y = b.op("Gather", b.input(4, 4), b.input(2), axis=0)
    with pytest.raises(UnsupportedError, match=f"{y.name} .*indices that are not constant"):
        program_of(b, y)


def test_bytes_of_a_lane_are_never_exceeded() -> None:
    b = Builder()
    x = b.input(1, 64, 100, 130)
    program = program_of(b, conv(b, conv(b, x, 200, 3), 64, 3))
    ends = [stop for c in program.emitter.commands for _, stop in (*c.reads, *c.writes)]
    assert max(ends) <= arch().lane_bytes
    assert np.all([start >= 0 for c in program.emitter.commands for start, _ in (*c.reads, *c.writes)])
