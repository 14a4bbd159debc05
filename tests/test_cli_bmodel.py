"""``tpumlir combine``, ``extract`` and ``info`` on bmodels that the library wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tpumlir_core.bmodel import BmodelNet, BmodelTensor, CommandStreams, WeightLocation, write_bmodel
from tpumlir_core.ir import ElementType

BASE = 1 << 32
STREAMS = CommandStreams(b"t" * 16, 1, b"d" * 112, 2)


def bmodel(name: str, height: int = 4, chip: str = "BM1684X") -> bytes:
    """A network of one input, x [1, 3, height, 5], and one INT8 output."""
    inputs = (BmodelTensor("x", ElementType.F32, (1, 3, height, 5), BASE + 4096, 60 * height),)
    outputs = (BmodelTensor("y", ElementType.SI8, (1, 10), BASE + 8192, 10, 0.25, -3),)
    weights = (WeightLocation("filter", 0, 100),)
    notes = {"made_by": {"tpumlir-core": "7.1"}}
    return write_bmodel([BmodelNet(name, chip, inputs, outputs, b"w" * 100, BASE, BASE + 4096, 8192, (STREAMS,), weights, notes)])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "small.bmodel").write_bytes(bmodel("n", 4))
    (folder / "large.bmodel").write_bytes(bmodel("n", 8))
    (folder / "other.bmodel").write_bytes(bmodel("m", 4))
    (folder / "foreign.bmodel").write_bytes(bmodel("n", 16, "BM1684"))
    return folder


def test_what_is_combined_is_extracted_again(work: Path, tpumlir: Any) -> None:
    result = tpumlir("combine", "small.bmodel", "other.bmodel", "large.bmodel", "-o", "all.bmodel", "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["networks"] == [{"name": "n", "stages": 2}, {"name": "m", "stages": 1}]
    assert facts["bytes"] == (work / "all.bmodel").stat().st_size
    result = tpumlir("extract", "all.bmodel", "-o", "parts", "--json")
    assert result.returncode == 0, result.stderr
    assert [(one["network"], one["inputs"]) for one in json.loads(result.stdout)["outputs"]] == [
        ("n", {"x": [1, 3, 4, 5]}), ("n", {"x": [1, 3, 8, 5]}), ("m", {"x": [1, 3, 4, 5]}),
    ]  # fmt: skip
    parts = {path.name: path.read_bytes() for path in (work / "parts").iterdir()}
    assert parts == {
        "bm_net0_stage0.bmodel": (work / "small.bmodel").read_bytes(),
        "bm_net0_stage1.bmodel": (work / "large.bmodel").read_bytes(),
        "bm_net1_stage0.bmodel": (work / "other.bmodel").read_bytes(),
    }


def test_what_people_read(work: Path, tpumlir: Any) -> None:
    combined = tpumlir("combine", "small.bmodel", "large.bmodel", "-o", "all.bmodel")
    size = (work / "all.bmodel").stat().st_size
    assert combined.stdout == f"all.bmodel: {size:,} bytes, networks n (2 stages)\n"
    extracted = tpumlir("extract", "all.bmodel", "-o", "parts").stdout.splitlines()
    assert extracted[1].endswith("network n, inputs x 1x3x8x5")
    shown = tpumlir("info", "all.bmodel").stdout
    for part in (
        "for BM1684X", "network n, stage 1", "1x3x8x5xf32  480 bytes at 0x100001000", "1x10xsi8", "scale 0.25, zero point -3",
        "weights 100 bytes at 0x100000000", "neurons 8,192 bytes at 0x100001000", "1 TIU and 2 DMA commands, 256 bytes",
        "made by tpumlir-core 7.1",
    ):  # fmt: skip
        assert part in shown, part


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("combine", "small.bmodel", "foreign.bmodel", "-o", "all.bmodel"), "different chips: BM1684, BM1684X"),
        (("combine", "small.bmodel", "small.bmodel", "-o", "all.bmodel"), "network n is there twice"),
        (("combine", "small.bmodel", "missing.bmodel", "-o", "all.bmodel"), "missing.bmodel"),
        (("combine", "small.bmodel", "junk.bmodel", "-o", "all.bmodel"), "junk.bmodel: not a bmodel"),
        (("combine", "small.bmodel", "-o", "nowhere/all.bmodel"), "nowhere"),
        (("combine", "-o", "all.bmodel"), "FILES"),
        (("extract", "junk.bmodel", "-o", "parts"), "junk.bmodel: not a bmodel"),
        (("extract", "small.bmodel", "-o", "junk.bmodel"), "junk.bmodel: cannot be a folder"),
        (("extract", "small.bmodel", "-o", "no/parts"), "no/parts: cannot be made: no such file or directory"),
    ],
)
def test_errors_are_one_line(work: Path, tpumlir: Any, arguments: tuple[str, ...], named: str) -> None:
    (work / "junk.bmodel").write_bytes(b"junk" * 100)
    before = sorted(work.iterdir())
    result = tpumlir(*arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert named in result.stderr
    assert sorted(work.iterdir()) == before
