"""Instruction formats against commands that the reference compiled and read itself (``data/instructions.txt``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_bm1684x.chip import instruction_sets
from tpumlir_core.errors import InputError, InternalError
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.isa import Format

SETS = instruction_sets()
FORMATS = [fmt for engine in Engine for fmt in SETS[engine].formats.values()]

FIELDS = {
    "decompress_enable": "decompress", "cmd_special_function": "special", "fill_constant_en": "fill_constant",
    "src_data_format": "src_format", "localmem_mask_l32": "lane_mask_l32", "localmem_mask_h32": "lane_mask_h32",
}  # fmt: skip
"""Names of fields that the reference's decoder calls otherwise; besides, its addresses are ``start_addr``."""
OPERATIONS = {
    "arith.adds": "add_sat", "arith.subs": "sub_sat", "arith.muls": "mul_sat", "arith.selectGreat": "select_gt",
    "arith.selectEqual": "select_eq", "arith.logicShift": "logic_shift", "cmp.sel_eq": "select_eq", "cmp.sel_gt": "select_gt",
    "cmp.sel_lt": "select_lt", "pord.avgpooling": "avg_pool", "pord.maxpooling": "max_pool", "tsbc.l_bc": "lane_broadcast",
    "tsbc.l_copy": "lane_copy", "tsbc.s_bc": "static_broadcast", "tsbc.s_distribute": "static_distribute",
    "tsbc.wc_ts": "wc_transpose", "dma.tensor": "copy", "dma.matrix": "copy", "dma.general": "copy", "dma.sys": "end",
    "gdma.gather": "", "gdma.scatter": "",
}  # fmt: skip
"""Operations that it calls otherwise than by the last part of its name."""


@dataclass(frozen=True)
class Sample:
    """One command, and what the reference's decoder says about it."""

    engine: Engine
    format: str
    operation: str
    data: bytes
    fields: dict[str, int]


def samples() -> list[Sample]:
    lines = (Path(__file__).parent / "data" / "instructions.txt").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    found = []
    for head, tail in zip(entries[::2], entries[1::2], strict=True):
        engine, name, operation, data = head.split()
        fields = {key: int(value) for key, value in (word.split("=") for word in tail.split())}
        found.append(Sample(Engine[engine.upper()], name.replace("&", "_"), operation, bytes.fromhex(data), fields))
    return found


SAMPLES = samples()


def our_name(field: str, fmt: str) -> str:
    name = FIELDS.get(field, field).replace("start_addr", "addr")
    if fmt == "DMA_matrix":  # there the reference's names of the address halves are exchanged
        name = name.replace("addr_h32", "addr_l32").replace("addr_l8", "addr_h8")
    return name


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.format}-{sample.operation}")
def test_commands_of_the_reference_are_read_as_it_reads_them(sample: Sample) -> None:
    found = SETS[sample.engine].identify(sample.data)
    values = found.decode(sample.data)
    assert (found.name, found.size) == (sample.format, len(sample.data))
    assert found.variant_name(values) == OPERATIONS.get(sample.operation, sample.operation.rpartition(".")[2])
    assert {name: value for name, value in values.items() if value} == {
        our_name(name, found.name): value for name, value in sample.fields.items() if not name.startswith("reserve")
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.format}-{sample.operation}")
def test_what_is_decoded_encodes_to_the_same_bytes(sample: Sample) -> None:
    found = SETS[sample.engine].identify(sample.data)
    word = int.from_bytes(found.encode(found.decode(sample.data)), "little")
    assert (word | found.reserved(sample.data)).to_bytes(found.size, "little") == sample.data


def test_reserved_bits_are_told_and_not_written() -> None:
    """Fills of the reference carry the rest of a source address: bits that no field has."""
    dirty = [s for s in SAMPLES if SETS[s.engine][s.format].reserved(s.data)]
    assert {s.format for s in dirty} == {"DMA_tensor"}
    for sample in dirty:
        fmt = SETS[sample.engine][sample.format]
        assert sample.fields["fill_constant_en"] == 1
        assert fmt.reserved(fmt.encode(fmt.decode(sample.data))) == 0


def test_the_samples_are_many() -> None:
    assert len({(s.format, s.operation) for s in SAMPLES}) >= 45


@given(st.data())
def test_any_values_come_back(data: st.DataObject) -> None:
    fmt = data.draw(st.sampled_from(FORMATS), label="format")
    values = {name: data.draw(st.integers(0, (1 << spec.width) - 1), label=name) for name, spec in fmt.fields.items()}
    values |= dict(fmt.match)
    if fmt.variants:
        values[fmt.variant_field] = data.draw(st.sampled_from(sorted(fmt.variants.values())), label="variant")
    encoded = fmt.encode(values)
    assert len(encoded) == fmt.size
    assert fmt.decode(encoded) == values
    assert SETS[Engine[fmt.engine.upper()]].identify(encoded + bytes(128)) is fmt


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_layouts_are_whole_and_disjoint(fmt: Format) -> None:
    """Whole 128-bit words (but DMA commands of 96 bytes), no two fields in one place, header values within their fields."""
    assert fmt.bits % 128 == 0
    taken = 0
    for spec in fmt.fields.values():
        bits = (1 << spec.width) - 1 << spec.offset
        assert taken & bits == 0
        assert spec.offset + spec.width <= fmt.bits
        taken |= bits
    for name, value in fmt.match.items():
        assert value >> fmt.fields[name].width == 0
    assert len(set(fmt.variants.values())) == len(fmt.variants)


def test_a_value_that_does_not_fit_is_refused() -> None:
    add = SETS[Engine.TIU]["sAR"]
    with pytest.raises(InternalError, match=r"sAR\.res0_n = 65536 does not fit 16 bits"):
        add.encode({"res0_n": 1 << 16})
    with pytest.raises(InternalError, match="sAR has no field res9_n"):
        add.encode({"res9_n": 1})


@pytest.mark.parametrize("kind", [8, 11, 12])
@pytest.mark.parametrize("short", [0, 1])
def test_what_the_chip_does_not_know_is_refused(kind: int, short: int) -> None:
    """CModel: "NO SUCH SHORT CMD TYPE"."""
    with pytest.raises(InputError, match="no tiu instruction starts with"):
        SETS[Engine.TIU].identify((short | kind << 41).to_bytes(128, "little"))
