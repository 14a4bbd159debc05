"""Comparison rules against values worked out by hand or by another formula."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console

from tpumlir_core.errors import InputError
from tpumlir_core.verify import Level, compare_arrays, compare_tensors

FLOATS = st.floats(-100, 100, width=32)


def test_equal_close_similar_and_not() -> None:
    a = np.array([1.0, 2.0, 3.0], np.float32)
    assert compare_arrays(a, a).level is Level.EQUAL
    close = compare_arrays(a * np.float32(1.00005), a)
    assert (close.level, close.close_order) == (Level.CLOSE, 4)
    similar = compare_arrays(a * 1.005, a)
    assert similar.level is Level.SIMILAR
    assert similar.cosine == pytest.approx(1.0)
    assert similar.euclid == pytest.approx(1 - 0.005 / 1.0025)
    assert compare_arrays(a * 1.02, a).level is Level.NOT_SIMILAR
    assert compare_arrays(a * 1.02, a, (0.99, 0.9)).passed


def test_figures_of_a_hand_worked_pair() -> None:
    found = compare_arrays(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    assert found.cosine == pytest.approx(24 / 25)
    assert found.euclid == pytest.approx(1 - math.sqrt(2) / math.hypot(3.5, 3.5))
    assert found.sqnr == pytest.approx(10 * math.log10(0.25 / 1.0))


def test_int8_must_be_equal() -> None:
    a = np.arange(100, dtype=np.int8)
    b = a.copy()
    b[0] = 1
    assert compare_arrays(a, b).level is Level.NOT_EQUAL
    assert compare_arrays(a, a.astype(np.float32)).level is Level.EQUAL


def test_uint16_is_bfloat16() -> None:
    assert compare_arrays(np.array([0x3F80, 0xC000], np.uint16), np.array([1.0, -2.0], np.float32)).equal


def test_nan_and_infinity_count_as_numbers() -> None:
    reference = np.array([1.0, 2.0, math.nan, math.inf], np.float32)
    assert compare_arrays(reference.copy(), reference).level is Level.CLOSE
    worse = compare_arrays(np.array([1.0, 2.0, 5.0, -math.inf], np.float32), reference)
    assert worse.cosine == pytest.approx(-1.0, abs=1e-4)
    assert not worse.passed


def test_shapes_may_differ_but_not_sizes() -> None:
    a = np.arange(6, dtype=np.float32)
    assert compare_arrays(a, a.reshape(2, 3)).equal
    assert compare_arrays(a, a[:5]).level is Level.NOT_MATCH


def test_all_zero_against_something_fails() -> None:
    assert not compare_arrays(np.zeros(4), np.ones(4)).passed
    assert compare_arrays(np.zeros(4), np.zeros(4)).equal


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, st.integers(1, 40), elements=FLOATS), st.data())
def test_cosine_is_symmetric_and_scale_free(a: np.ndarray, data: st.DataObject) -> None:
    b = data.draw(arrays(np.float32, a.shape, elements=FLOATS))
    one, other = compare_arrays(a, b), compare_arrays(b, a)
    assert one.cosine == pytest.approx(other.cosine, abs=1e-9)
    assert one.euclid == pytest.approx(other.euclid, abs=1e-9)
    assert -1.000001 <= one.cosine <= 1.000001
    assert one.passed or not np.allclose(a, b, rtol=1e-3)


def test_report_is_worst_first_and_names_what_fails() -> None:
    reference = {"a": np.ones(3), "b": np.arange(3.0), "c": np.arange(1.0, 4.0)}
    target = {"a": np.ones(3), "b": np.array([2.0, 1.0, 0.0]), "c": np.arange(1.0, 4.0) * 1.001, "extra": np.ones(1)}
    report = compare_tensors(target, reference)
    assert [one.name for one in report.comparisons] == ["a", "b", "c"]
    assert report.worst_first()[0].name == "b"
    assert [one.name for one in report.failed] == ["b"]
    assert not report.passed
    assert compare_tensors(target, reference, excepts=("b",)).passed


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(InputError, match=r"x and y have no name in common"):
        compare_tensors({"x": np.ones(1)}, {"y": np.ones(1)})
    with pytest.raises(InputError, match="besides those excepted"):
        compare_tensors({"x": np.ones(1)}, {"x": np.ones(1)}, excepts=("x",))


def test_csv_json_and_table() -> None:
    report = compare_tensors({"a,b": np.ones(3)}, {"a,b": np.ones(3)})
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert rows == [{"name": "a,b", "op": "-", "quant": "-", "pass": "True", "sim_cos": "1.0", "sim_euc": "1.0", "sqnr": "inf"}]
    facts = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert facts["passed"]
    assert facts["tensors"][0]["sqnr"] is None
    assert [column.header for column in report.table().columns] == ["tensor", "shape", "result", "cosine", "euclid", "sqnr dB"]


def test_table_names_operations_and_is_cut_to_the_worst() -> None:
    names = [f"[t{i}]" for i in range(5)]
    report = compare_tensors({name: np.full(3, i) for i, name in enumerate(names)}, {name: np.full(3, 2) for name in names})
    table = replace(report, operations={"[t0]": "top.Add"}).table(limit=2)
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert table.row_count == 2
    assert "[t0]" in printed
    assert "top.Add" in printed
    assert "5 tensors compared, 4 differ" in " ".join(printed.split())
