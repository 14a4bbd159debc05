"""The tables that the verifier knows are those of the package that reads them."""

from __future__ import annotations

from typing import Any

import pytest
import tflite

from tpumlir_tflite.schema import SIZES, TABLES

SCALARS = {"Int8": "b", "Uint8": "b", "Bool": "b", "Int32": "i", "Uint32": "i", "Float32": "i", "Int64": "l", "Uint64": "l"}


class Recorder:
    """In place of a builder: which kind of field each slot is."""

    def __init__(self) -> None:
        self.slots: dict[int, str] = {}
        self.count = 0

    def StartObject(self, count: int) -> None:
        self.count = count

    def __getattr__(self, name: str) -> Any:
        kind = name.removeprefix("Prepend").removesuffix("Slot")

        def record(slot: int, value: Any, default: Any) -> None:
            self.slots[slot] = kind

        return record


@pytest.mark.parametrize("name", sorted(TABLES))
def test_fields_are_where_the_package_has_them(name: str) -> None:
    recorder = Recorder()
    module = getattr(tflite, name).__module__
    functions = {n: f for n, f in vars(tflite).items() if n.startswith(f"{name}Add") and f.__module__ == module}
    getattr(tflite, f"{name}Start")(recorder)
    for function in functions.values():
        function(recorder, 0)
    assert len(TABLES[name]) <= recorder.count
    for slot, field in enumerate(TABLES[name]):
        if field in SIZES:
            assert SCALARS[recorder.slots[slot]] == field
        elif field != "-":
            assert recorder.slots[slot] == "UOffsetTRelative"
            assert field == "str" or field.strip("[]<>") in {*SIZES, *TABLES, "BuiltinOptions", "SparseIndexVector"}
