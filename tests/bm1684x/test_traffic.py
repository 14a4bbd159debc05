"""Bytes that DMA commands move, against the reference's own timelines (``data/transfers.txt``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpumlir_bm1684x.chip import instruction_sets
from tpumlir_bm1684x.traffic import transferred_bytes
from tpumlir_sophgo.emitter import Engine

SETS = instruction_sets()
LINES = [line.split() for line in (Path(__file__).parent / "data" / "transfers.txt").read_text().splitlines() if not line.startswith("#")]


def label(index: int) -> str:
    fmt = SETS[Engine.DMA].identify(bytes.fromhex(LINES[index][0]))
    return f"{fmt.name}.{fmt.variant_name(fmt.decode(bytes.fromhex(LINES[index][0])))}"


@pytest.mark.parametrize("index", range(len(LINES)), ids=label)
def test_bytes_of_the_reference(index: int) -> None:
    data, expected = bytes.fromhex(LINES[index][0]), int(LINES[index][1])
    fmt = SETS[Engine.DMA].identify(data)
    assert transferred_bytes(fmt, fmt.decode(data)) == expected


def test_a_fill_moves_what_it_writes() -> None:
    fmt = SETS[Engine.DMA]["DMA_tensor"]
    sizes = {"dst_nsize": 1, "dst_csize": 3, "dst_hsize": 20, "dst_wsize": 30}
    assert transferred_bytes(fmt, fmt.decode(fmt.encode({"fill_constant": 1, "src_format": 1, **sizes}))) == 2 * 3 * 20 * 30


def test_what_computes_or_ends_moves_nothing() -> None:
    for engine, name in ((Engine.TIU, "sAR"), (Engine.TIU, "SYSID"), (Engine.DMA, "sDMA_sys")):
        fmt = SETS[engine][name]
        assert transferred_bytes(fmt, fmt.decode(bytes(fmt.size))) == 0
