"""Checks every offset of a TFLite file before anything of it is read: a damaged one is told, whatever it claims.

The package ``tflite`` reads where offsets lead it. Here each table, its list of fields, each vector and each string is shown to lie
in the file. No table contains itself, so the walk is no deeper than the schema; and as whatever a file does not share takes
room in it, the walk is not longer than the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NoReturn

from tpumlir_core.errors import InputError
from tpumlir_tflite.schema import IDENTIFIER, SIZES, TABLES

_HEADER = 8
_OFFSET = 4
"""Bytes of an offset and of the length of a vector."""
_VTABLE_HEAD = 4
"""Bytes before the fields of a list of fields: its own size and that of the table."""

Unions = Mapping[str, Mapping[int, str]]
"""Union -> number of a member -> its table."""


def unions() -> Unions:
    """The unions that are read, as the package ``tflite`` numbers them."""
    import tflite

    return {name: _members(getattr(tflite, name)) for name in ("BuiltinOptions", "SparseIndexVector")}


def _members(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int) and number}


def verify(data: bytes) -> None:
    """Raise InputError, with the place, unless all that is read of a TFLite file lies in it."""
    if len(data) < _HEADER or data[4:8] != IDENTIFIER:
        raise InputError("not a TFLite file: bytes 4 to 8 are not TFL3")
    _Verifier(data, unions()).table(_uint32(data, 0), "Model")


def _uint32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


class _Verifier:
    def __init__(self, data: bytes, members: Unions) -> None:
        self._data = data
        self._unions = members
        self._left = len(data)

    def table(self, at: int, kind: str) -> None:
        """A table of the schema at a byte, with all that it leads to."""
        self._spend(1, at, kind)
        fields, size = self._fields(at, kind)
        for slot, field in enumerate(TABLES[kind]):
            start = fields[slot] if slot < len(fields) else 0
            if start == 0 or field == "-":
                continue
            if not _VTABLE_HEAD <= start <= size - SIZES.get(field, _OFFSET):
                self._fail(at, f"field {slot} of its {kind} lies outside the table")
            self._field(at + start, field, kind, self._member(at, fields, slot, field))

    def _fields(self, at: int, kind: str) -> tuple[tuple[int, ...], int]:
        """Where the fields of a table begin in it, 0 for absent ones, and its size in bytes."""
        self._inside(at, _OFFSET, kind)
        listed = at - int(struct.unpack_from("<i", self._data, at)[0])
        self._inside(listed, _VTABLE_HEAD, f"the field list of {kind}")
        length, size = struct.unpack_from("<HH", self._data, listed)
        if length < _VTABLE_HEAD or length % 2 or size < _OFFSET:
            self._fail(listed, f"the field list of {kind} has impossible sizes")
        self._inside(listed, length, f"the field list of {kind}")
        self._inside(at, size, kind)
        return struct.unpack_from(f"<{length // 2 - 2}H", self._data, listed + _VTABLE_HEAD), size

    def _member(self, at: int, fields: tuple[int, ...], slot: int, field: str) -> str:
        """The table that a union holds, "" where it is none that is read."""
        if not field.startswith("<") or not fields[slot - 1]:
            return ""
        return self._unions[field[1:-1]].get(self._data[at + fields[slot - 1]], "")

    def _field(self, at: int, field: str, kind: str, member: str) -> None:
        if field in SIZES:
            return
        if field.startswith("<") and member not in TABLES:
            return
        target = at + _uint32(self._data, at)
        if field == "str":
            self._vector(target, 1, f"a string of {kind}")
        elif field.startswith("["):
            self._elements(target, field[1:-1], kind)
        else:
            self.table(target, member or field)

    def _elements(self, at: int, element: str, kind: str) -> None:
        """A vector of numbers or of tables. Long ones of bytes cost nothing: they are not walked."""
        count = self._vector(at, SIZES.get(element, _OFFSET), f"a vector of {kind}")
        self._spend(count if element != "b" else 1, at, kind)
        if element in SIZES:
            return
        for place in range(at + _OFFSET, at + _OFFSET * (count + 1), _OFFSET):
            self.table(place + _uint32(self._data, place), element)

    def _vector(self, at: int, size: int, what: str) -> int:
        """The number of elements of a vector that lies in the file."""
        self._inside(at, _OFFSET, what)
        count = _uint32(self._data, at)
        self._inside(at + _OFFSET, count * size, what)
        return count

    def _inside(self, at: int, size: int, what: str) -> None:
        if not 0 <= at <= len(self._data) - size:
            self._fail(at, f"{what} lies outside the file's {len(self._data)} bytes")

    def _spend(self, count: int, at: int, kind: str) -> None:
        self._left -= count
        if self._left < 0:
            self._fail(at, f"{kind} is shared so often that the file unfolds to more than its size")

    def _fail(self, at: int, what: str) -> NoReturn:
        raise InputError(f"damaged TFLite file: at byte {at}: {what}")
