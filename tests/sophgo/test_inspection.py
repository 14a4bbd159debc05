"""Compiled files read back: streams made by hand, times computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tpumlir_bm1684x.chip import instruction_sets
from tpumlir_core.bmodel import BmodelNet, BmodelTensor, CommandStreams, combine, read_model, write_bmodel, write_model
from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.inspection import Figures, disassemble, profile

SETS = instruction_sets()
CYCLES = {Engine.TIU: 10, Engine.DMA: 7}
NEURONS = 0x100000000


FIGURES = Figures(lambda command: CYCLES[command.engine], lambda command: 64 if command.engine is Engine.DMA else 0)


def compiled(*groups: CommandStreams, layers: object = None) -> bytes:
    tensor = BmodelTensor("x", ElementType.F32, (4,), NEURONS, 16)
    notes = {} if layers is None else {"layers": layers}
    return write_bmodel([BmodelNet("net", "BM1684X", (tensor,), (tensor,), b"", NEURONS, NEURONS, 16, groups, notes=notes)])


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


def test_bits_of_no_field_are_listed() -> None:
    streams = group([0], [0])
    dirty = (int.from_bytes(streams.dma, "little") | 5 << 552).to_bytes(len(streams.dma), "little")  # behind the source's address
    clean, found = (disassemble(compiled(replace(streams, dma=dma)), SETS) for dma in (streams.dma, dirty))
    expected = [{**one.fields, "_": 5 << 552} if one.engine == "dma" else one.fields for one in clean]
    assert [one.fields for one in found] == expected


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
    found = profile(compiled(group(tiu, dma)), SETS, FIGURES)
    assert found.cycles == cycles
    assert dict(found.engines) == {"tiu": 10 * len(tiu), "dma": 7 * len(dma)}
    assert found.bytes == 64 * len(dma)
    assert found.layers == []


def test_groups_run_one_after_the_other() -> None:
    assert profile(compiled(group([1], [0]), group([0], [0])), SETS, FIGURES).cycles == 17 + 10


def test_streams_that_wait_for_each_other_are_an_error() -> None:
    with pytest.raises(InputError, match=r"net/0/0.*wait for each other"):
        profile(compiled(group([1], [1])), SETS, FIGURES)


@pytest.mark.parametrize("rest", [b"", b"\x55" * 64])
def test_a_command_that_makes_no_sense_is_named(rest: bytes) -> None:
    streams = group([0, 0], [0])
    broken = CommandStreams(streams.tiu[: SETS[Engine.TIU]["sAR"].size] + rest, 2, streams.dma, 1)
    with pytest.raises(InputError, match=r"net/0/0, tiu command 1: no"):
        list(disassemble(compiled(broken), SETS))


# Two groups: load, add, add / load, add, store, each with its end commands last.
TWO_GROUPS = (group([1, 0, 0], [0, 0]), group([1, 0], [0, 1, 0]))
TABLE = {"names": ["a", "b"], "operations": ["Add", "Mul"], "tiu": [0, 1, 1, 2], "dma": [0, 1, 1, 2]}


def test_layers_by_hand() -> None:
    found = profile(compiled(*TWO_GROUPS, layers=TABLE), SETS, FIGURES)
    second = 7 + 3 * 10  # when the first group ends
    assert found.cycles == second + 7 + 10 + 2 * 7
    first, other = found.layers
    assert (first.name, first.operation, first.start, first.cycles, first.bytes) == ("a", "Add", 0, 7 + 10, 64)
    assert dict(first.engines) == {"tiu": 10, "dma": 7}
    assert (other.start, other.cycles, other.bytes) == (17, second + 7 + 10 + 7 - 17, 2 * 64)
    assert dict(other.engines) == {"tiu": 20, "dma": 14}


def test_each_command_is_listed_with_its_layer() -> None:
    listed = list(disassemble(compiled(*TWO_GROUPS, layers=TABLE), SETS))
    streams: dict[tuple[str, str], str] = {}
    for one in listed:
        streams[one.stream, one.engine] = streams.get((one.stream, one.engine), "") + (one.layer or "-")
    assert streams == {("net/0/0", "tiu"): "ab-", ("net/0/0", "dma"): "a-", ("net/0/1", "tiu"): "b-", ("net/0/1", "dma"): "bb-"}
    assert {one.layer for one in disassemble(compiled(*TWO_GROUPS), SETS)} == {""}


@pytest.mark.parametrize(
    "change",
    [
        {"tiu": [0, 1, 1, 1]}, {"tiu": [0, 1, 2, 2]}, {"tiu": [0, -1, 1, 4]}, {"tiu": [0, 1, 1]}, {"tiu": None}, {"dma": ["0", 3]},
        {"names": ["a"]}, {"names": 7}, {"tiu": [0, 10**30]},
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_none(change: dict[str, object]) -> None:
    found = profile(compiled(*TWO_GROUPS, layers={**TABLE, **change}), SETS, FIGURES)
    assert (found.cycles, found.layers) == (68, [])


def test_stages_of_one_file_are_told_apart() -> None:
    one, other = (read_model(compiled(*TWO_GROUPS, layers=TABLE)) for _ in range(2))
    (net,) = other.net
    both = write_model(combine([one, replace(other, net=(replace(net, name="second"),))]))
    assert [(layer.network, layer.name) for layer in profile(both, SETS, FIGURES).layers] == [
        ("net/0", "a"), ("net/0", "b"), ("second/0", "a"), ("second/0", "b"),
    ]  # fmt: skip
