"""Calibration and quantization tables: what the reference writes is read, what is written is read back, the rest is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Function, Module, TensorType, WeightStore, top
from tpumlir_core.lowering import check_options
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.tables import (
    TableOrigin,
    read_calibration_table,
    read_quantization_table,
    write_calibration_table,
    write_quantization_table,
)

ORIGIN = TableOrigin("m.mlir", "kl", 8, 5)
# As tpu-mlir 1.30.2 wrote them for a small network.
REFERENCE = """\
# mlir version: v1.30.2-20260831 cali version 1.0
# mlir: m.mlir
# genetated time: 2026-11-22 07:24:29.375419
# quantization threshold calculation method: ['kl']
# histogram number: 2048
# sample number: 8
###
# tune number: 5
###
# op_name    threshold    min    max
x 4.4466324 -4.4466324 3.8317902
r1_Relu 5.4525051 -0.0000000 5.4525051
"""
SECTIONS = "#asym_op\nx\n#int4_th\nx 1.0 -1.1 1.0\n"
MODES = "# generated time: 2026-11-22 07:26:26.415940\n# chip: bm1684x\n###\n# op_name   quantize_mode\nr1_Relu F16\nlonely\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("text", [REFERENCE, REFERENCE + SECTIONS, REFERENCE.replace("\n", "\r\n")])
def test_the_table_of_the_reference(text: str, tmp_path: Path) -> None:
    found = read_calibration_table(write(tmp_path, text))
    assert found == {"x": CalibratedRange(4.4466324, -4.4466324, 3.8317902), "r1_Relu": CalibratedRange(5.4525051, 0.0, 5.4525051)}


def test_a_table_without_a_header(tmp_path: Path) -> None:
    assert read_calibration_table(write(tmp_path, "\n x\t1.5  -1 1.25\n")) == {"x": CalibratedRange(1.5, -1.0, 1.25)}


def test_a_name_with_spaces(tmp_path: Path) -> None:
    assert list(read_calibration_table(write(tmp_path, "two words 1 0 1\n"))) == ["two words"]


def test_what_is_written_is_what_the_reference_writes(tmp_path: Path) -> None:
    write_calibration_table(tmp_path / "t", {"x": CalibratedRange(4.4466324, -4.4466324, 3.8317902)}, ORIGIN)
    lines = (tmp_path / "t").read_text().splitlines()
    assert [line for line in REFERENCE.splitlines()[1:-1] if "time" not in line and "histogram" not in line] == lines[1:]


numbers = st.floats(-1e6, 1e6)


@given(st.dictionaries(st.text("abc/:.-_é0", min_size=1), st.tuples(st.floats(1e-5, 1e6), numbers, numbers)))
def test_written_ranges_are_read_back(ranges: dict[str, tuple[float, float, float]]) -> None:
    tables = {name: CalibratedRange(threshold, min(ends), max(ends)) for name, (threshold, *ends) in ranges.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        write_calibration_table(path, tables, ORIGIN)
        if not tables:
            return
        found = read_calibration_table(path)
    assert list(found) == list(tables)
    for name, wanted in tables.items():
        for key in ("threshold", "low", "high"):
            assert getattr(found[name], key) == pytest.approx(getattr(wanted, key), rel=1e-7, abs=1e-20)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no range"),
        ("# nothing\n", "no range"),
        ("x 1 2\n", "line 1 is not"),
        ("a 1 0 1\nx one 0 1\n", "line 2 is not"),
        ("x 1 0 1\nx 2 0 1\n", "line 2: x has another range"),
        ("x nan 0 1\n", "not finite"),
        ("x 1 -inf 1\n", "not finite"),
        ("x 0 0 1\n", "above 0"),
        ("x 1 2 1\n", "low <= high"),
        (b"x \xff 1 2\n", "not a readable table"),
    ],
)
def test_damaged_calibration_tables(text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told) as raised:
        read_calibration_table(write(tmp_path, text))
    assert str(tmp_path / "table") in str(raised.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for read in (read_calibration_table, read_quantization_table):
            message = folder
            try:
                read(write(Path(folder), data))
            except InputError as error:  # anything else fails the test
                message = str(error)
            assert folder in message


def test_means_of_channels_are_comments_to_others(tmp_path: Path) -> None:
    ranges = {"a b": CalibratedRange(1.0, 0.0, 1.0, means=(0.25, -3.5e-07, 120.0)), "c": CalibratedRange(2.0, -2.0, 2.0)}
    write_calibration_table(tmp_path / "t", ranges, TableOrigin("net", "max", 1))
    assert read_calibration_table(tmp_path / "t") == ranges
    assert [line for line in (tmp_path / "t").read_text().splitlines() if "0.25" in line] == ["#means 3 a b 0.25 -3.5e-07 120"]


def test_many_means_take_several_lines(tmp_path: Path) -> None:
    """TPU-MLIR does not survive a very long one."""
    ranges = {name: CalibratedRange(1.0, 0.0, 1.0, means=tuple(range(count))) for name, count in (("a", 25088), ("b c", 129))}
    write_calibration_table(tmp_path / "t", ranges, TableOrigin("net", "max", 1))
    assert read_calibration_table(tmp_path / "t") == ranges
    assert max(map(len, (tmp_path / "t").read_text().splitlines())) < 2000


@pytest.mark.parametrize("line", ["#means 3 x 1 2", "#means x 1 2", "#means -1 x 1", "#means 1 x nan", "#means 1 x one", "#means 2"])
def test_damaged_means(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_calibration_table(write(tmp_path, f"x 1 0 1\n{line}\n"))


def test_losses_are_comments_to_others(tmp_path: Path) -> None:
    ranges = {"a b": CalibratedRange(1.0, 0.0, 1.0, means=(0.25,), loss=0.0625), "c": CalibratedRange(2.0, -2.0, 2.0)}
    write_calibration_table(tmp_path / "t", ranges, TableOrigin("net", "max", 1))
    assert read_calibration_table(tmp_path / "t") == ranges
    assert (tmp_path / "t").read_text().splitlines()[-1] == "#loss a b 0.0625"


@pytest.mark.parametrize("line", ["#loss x", "#loss x one", "#loss x nan", "#loss x -0.1", "#loss x inf"])
def test_damaged_losses(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_calibration_table(write(tmp_path, f"x 1 0 1\n{line}\n"))


def test_quantization_tables(tmp_path: Path) -> None:
    assert read_quantization_table(write(tmp_path, MODES)) == {"r1_Relu": "F16"}
    write_quantization_table(tmp_path / "q", {"a": "F16", "b": "F32"})
    assert read_quantization_table(tmp_path / "q") == {"a": "F16", "b": "F32"}


@pytest.mark.parametrize(("text", "told"), [("x F16 F32\n", "line 1 has 3 words"), ("x F16\nx F32\n", "line 2: x has the mode F16")])
def test_damaged_quantization_tables(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        read_quantization_table(write(tmp_path, text))


def network() -> Module:
    fed = top.Input.create([], [("x", TensorType((1, 4)))])
    relu = top.Relu.create([fed.output], ["y"])
    return Module("net", Function("main", [fed, relu], [relu.output]), WeightStore())


RANGE = CalibratedRange(1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        LoweringOptions(modes={"y": "F16"}, calibration={"x": RANGE, "else": RANGE}),
        LoweringOptions(quant_inputs=Positions(every=True), quant_outputs=Positions(frozenset({0}))),
    ],
)
def test_options_that_name_what_is_there(options: LoweringOptions) -> None:
    check_options(network(), options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (LoweringOptions(modes={"z": "F16", "y": "F16"}), "net: no operation z"),
        (LoweringOptions(modes={f"z{i}": "F16" for i in range(9)}), "z4 and 4 more"),
        (LoweringOptions(calibration={"else": RANGE}), "none of its tensors"),
        (LoweringOptions(quant_inputs=Positions(frozenset({1}))), "no input 2, the network has 1"),
        (LoweringOptions(quant_outputs=Positions(frozenset({0, 5}))), "no output 6"),
    ],
)
def test_options_that_name_what_is_not_there(options: LoweringOptions, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_options(network(), options)


def test_positions() -> None:
    assert [0 in Positions(), 0 in Positions(every=True), 1 in Positions(frozenset({1})), 0 in Positions(frozenset({1}))] == [
        False, True, True, False,
    ]
