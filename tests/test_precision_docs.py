"""docs/precision.md lists what the code decides."""

from __future__ import annotations

import re
from pathlib import Path

from tpumlir_core.precision import ELEMENTWISE, FULL_FRACTION, FULL_RANGE, SUMS
from tpumlir_int8.policy import FOLLOWING, JOINING, LOOKED_UP, POINTWISE, PRODUCTS

PAGE = (Path(__file__).parent.parent / "docs/precision.md").read_text()


def cells(page: str) -> list[set[str]]:
    """The names in the first column of every row."""
    first = re.findall(r"^\| ([A-Z][^|]*) \|", page, re.MULTILINE)
    return [set(re.findall(r"\b[A-Z]\w+", cell)) for cell in first]


def test_16_bits() -> None:
    page = PAGE.split("## INT8")[0]
    assert cells(page) == [set(FULL_RANGE), set(FULL_FRACTION), {"Reduce", *SUMS}]
    listed = re.search(r"element-wise operation \(([^)]*)\)", page)
    assert listed is not None
    assert set(re.findall(r"\w+", listed[1])) == ELEMENTWISE


def test_8_bits() -> None:
    assert cells(PAGE.split("## INT8")[1]) == [set(PRODUCTS), set(FOLLOWING), set(JOINING), set(LOOKED_UP), set(POINTWISE - LOOKED_UP)]
