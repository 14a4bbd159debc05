"""Compiled files read back: streams made by hand, times computed by hand."""

from __future__ import annotations

import pytest

from tpumlir_bm1684x.chip import instruction_sets
from tpumlir_core.bmodel import BmodelNet, BmodelTensor, CommandStreams, write_bmodel
from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.inspection import disassemble, profile

SETS = instruction_sets()
CYCLES = {Engine.TIU: 10, Engine.DMA: 7}
NEURONS = 0x100000000


class FixedCost:
    """Every command of an engine takes as long."""

    def cycles(self, command: Command) -> int:
        return CYCLES[command.engine]


def compiled(*groups: CommandStreams) -> bytes:
    tensor = BmodelTensor("x", ElementType.F32, (4,), NEURONS, 16)
    return write_bmodel([BmodelNet("net", "BM1684X", (tensor,), (tensor,), b"", NEURONS, NEURONS, 16, groups)])


def group(tiu_waits: list[int], dma_waits: list[int], padding: bytes = bytes(48)) -> CommandStreams:
    """TIU additions and DMA copies; command i of an engine has the id i + 1 and waits for the other engine's id given."""
    add, copy = SETS[Engine.TIU]["sAR"], SETS[Engine.DMA]["DMA_tensor"]
    tiu = b"".join(
        add.encode({add.variant_field: add.variants["add"], "cmd_id": i + 1, "cmd_id_dep": w}) for i, w in enumerate(tiu_waits)
    )
    dma = b"".join(
        copy.encode({copy.variant_field: copy.variants["copy"], "cmd_id": i + 1, "cmd_id_dep": w}) for i, w in enumerate(dma_waits)
    )
    return CommandStreams(tiu + padding, len(tiu_waits), dma + padding, len(dma_waits))


def test_every_command_is_listed_once_and_padding_is_not() -> None:
    listed = list(disassemble(compiled(group([1, 2], [0, 0, 1]), group([0], [0])), SETS))
    assert [(one.stream, one.engine, one.index, one.name) for one in listed] == [
        ("net/0/0", "tiu", 0, "sAR.add"),
        ("net/0/0", "tiu", 1, "sAR.add"),
        *(("net/0/0", "dma", index, "DMA_tensor.copy") for index in range(3)),
        ("net/0/1", "tiu", 0, "sAR.add"),
        ("net/0/1", "dma", 0, "DMA_tensor.copy"),
    ]
    assert [one.fields["cmd_id_dep"] for one in listed] == [1, 2, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("tiu", "dma", "cycles"),
    [
        ([0], [0], 10),  # side by side
        ([1], [0], 7 + 10),  # load, then compute
        ([1], [0, 1], 7 + 10 + 7),  # load, compute, store
        ([1, 2], [0, 0], 7 + 10 + 10),  # the second load is hidden
        ([0, 0, 0], [3], 3 * 10 + 7),
    ],
)
def test_cycles_by_hand(tiu: list[int], dma: list[int], cycles: int) -> None:
    found = profile(compiled(group(tiu, dma)), SETS, FixedCost())
    assert found.cycles == cycles
    assert dict(found.engines) == {"tiu": 10 * len(tiu), "dma": 7 * len(dma)}


def test_groups_run_one_after_the_other() -> None:
    assert profile(compiled(group([1], [0]), group([0], [0])), SETS, FixedCost()).cycles == 17 + 10


def test_streams_that_wait_for_each_other_are_an_error() -> None:
    with pytest.raises(InputError, match=r"net/0/0.*wait for each other"):
        profile(compiled(group([1], [1])), SETS, FixedCost())


@pytest.mark.parametrize("rest", [b"", b"\x55" * 64])
def test_a_command_that_makes_no_sense_is_named(rest: bytes) -> None:
    streams = group([0, 0], [0])
    broken = CommandStreams(streams.tiu[: SETS[Engine.TIU]["sAR"].size] + rest, 2, streams.dma, 1)
    with pytest.raises(InputError, match=r"net/0/0, tiu command 1: no"):
        list(disassemble(compiled(broken), SETS))
