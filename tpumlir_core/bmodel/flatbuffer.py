"""Flatbuffers of dataclasses: a table's fields, in order, are its slots, and their annotations are the wire types.

Decoding trusts nothing: every offset is checked against the buffer, and there may be no more objects (tables, vector
elements, strings) than bytes, which only offsets that lead many times to one place can exceed: so a hostile file ends in
InputError, in a time linear in its size. A ``Binary`` field is a (start, size) struct on the wire; the caller gives the functions
that turn it into bytes and back.
"""

from __future__ import annotations

import struct
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from tpumlir_core.bmodel.schema import Binary, RelEntry
from tpumlir_core.errors import InputError, InternalError

_SCALARS = {"uint8": "B", "int32": "i", "uint32": "I", "uint64": "Q", "float32": "f"}
_STRUCTS: dict[Any, tuple[str, int]] = {Binary: ("<QQ", 8), RelEntry: ("<III", 4)}
"""Wire format and alignment of a struct."""


class _Kind(Enum):
    SCALAR = "scalar"
    STRING = "string"
    STRUCT = "struct"
    TABLE = "table"


@dataclass(frozen=True)
class _Slot:
    """One field: ``of`` is the format character of a scalar, or the class of a struct or table."""

    name: str
    kind: _Kind
    of: Any
    vector: bool
    default: Any

    @property
    def format(self) -> str:
        """Wire format of the value, or of one element of the vector."""
        if self.kind is _Kind.SCALAR:
            return f"<{self.of}"
        return _STRUCTS[self.of][0] if self.kind is _Kind.STRUCT else "<I"

    @property
    def alignment(self) -> int:
        return _STRUCTS[self.of][1] if self.kind is _Kind.STRUCT else struct.calcsize(self.format)


@cache
def slots(table: type) -> tuple[_Slot, ...]:
    """The slots of a table class."""
    hints = typing.get_type_hints(table, include_extras=True)
    return tuple(_slot(f.name, hints[f.name], None if f.default is MISSING else f.default) for f in fields(table))


def _slot(name: str, hint: Any, default: Any) -> _Slot:
    if typing.get_origin(hint) is tuple:
        inner = _slot(name, typing.get_args(hint)[0], default)
        return _Slot(name, inner.kind, inner.of, True, default)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(argument for argument in typing.get_args(hint) if argument is not type(None))
    if hint is str:
        return _Slot(name, _Kind.STRING, None, False, default)
    if hint in _STRUCTS:
        return _Slot(name, _Kind.STRUCT, hint, False, default)
    if is_dataclass(hint):
        return _Slot(name, _Kind.TABLE, hint, False, default)
    if typing.get_origin(hint) is typing.Annotated:
        return _Slot(name, _Kind.SCALAR, _SCALARS[hint.__metadata__[0]], False, default)
    raise InternalError(f"field {name}: no wire type for {hint}")


class Decoder:
    """Reads tables of a buffer; ``fetch(start, size)`` gives the bytes of a Binary."""

    def __init__(self, buffer: memoryview, fetch: Callable[[int, int], memoryview]) -> None:
        self._buffer = buffer
        self._fetch = fetch
        self._objects = 0

    def root(self, table: type) -> Any:
        """The root table. Raises InputError where the buffer is damaged."""
        return self._table(table, self._offset(0), table.__name__)

    def _unpack(self, format: str, at: int, where: str) -> tuple[Any, ...]:
        if at < 0 or at + struct.calcsize(format) > len(self._buffer):
            raise InputError(f"bmodel field {where}: offset {at} lies outside the flatbuffer; the file is damaged")
        return struct.unpack_from(format, self._buffer, at)

    def _offset(self, at: int, where: str = "Model") -> int:
        return at + int(self._unpack("<I", at, where)[0])

    def _count(self, objects: int, where: str) -> None:
        self._objects += objects
        if self._objects > len(self._buffer):
            raise InputError(f"bmodel field {where}: more objects than the flatbuffer has bytes; the file is damaged")

    def _table(self, table: type, at: int, where: str) -> Any:
        self._count(1, where)
        vtable = at - self._unpack("<i", at, where)[0]
        vtable_bytes, table_bytes = self._unpack("<HH", vtable, where)
        values: dict[str, Any] = {}
        for number, slot in enumerate(slots(table)):
            entry = 4 + 2 * number
            offset = self._unpack("<H", vtable + entry, where)[0] if entry + 2 <= vtable_bytes else 0
            path = f"{where}.{slot.name}"
            if offset >= max(table_bytes, 1):
                raise InputError(f"bmodel field {path}: lies outside its table; the file is damaged")
            values[slot.name] = self._field(slot, at + offset, path) if offset else slot.default
        return table(**values)

    def _field(self, slot: _Slot, at: int, where: str) -> Any:
        if not slot.vector:
            return self._value(slot, at, where)
        start = self._offset(at, where)
        length = int(self._unpack("<I", start, where)[0])
        size = struct.calcsize(slot.format)
        if start + 4 + length * size > len(self._buffer):
            raise InputError(f"bmodel field {where}: {length} elements do not fit the flatbuffer; the file is damaged")
        self._count(length, where)
        if slot.kind is _Kind.SCALAR:
            return struct.unpack_from(f"<{length}{slot.of}", self._buffer, start + 4)
        return tuple(self._value(slot, start + 4 + i * size, f"{where}[{i}]") for i in range(length))

    def _value(self, slot: _Slot, at: int, where: str) -> Any:
        if slot.kind is _Kind.TABLE:
            return self._table(slot.of, self._offset(at, where), where)
        if slot.kind is _Kind.STRING:
            return self._string(self._offset(at, where), where)
        values = self._unpack(slot.format, at, where)
        if slot.of is Binary:
            try:
                return self._fetch(*values)
            except InputError as error:
                raise InputError(f"bmodel field {where}: {error}") from error
        return slot.of(*values) if slot.kind is _Kind.STRUCT else values[0]

    def _string(self, at: int, where: str) -> str:
        length = int(self._unpack("<I", at, where)[0])
        self._count(1 + length // 64, where)
        if at + 4 + length > len(self._buffer):
            raise InputError(f"bmodel field {where}: a string of {length} bytes does not fit the flatbuffer; the file is damaged")
        try:
            return str(self._buffer[at + 4 : at + 4 + length], "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"bmodel field {where}: not UTF-8 text; the file is damaged") from error


class Encoder:
    """Writes a table with all it holds; ``place(data, field)`` stores a Binary's bytes and gives (start, size)."""

    def __init__(self, place: Callable[[bytes | memoryview, str], tuple[int, int]]) -> None:
        import flatbuffers

        self._builder = flatbuffers.Builder(4096)
        self._place = place

    def finish(self, root: Any) -> bytes:
        """The flatbuffer of a root table; the same tables give the same bytes."""
        self._builder.Finish(self._table(root))
        return bytes(self._builder.Output())

    def _table(self, table: Any) -> int:
        layout: type = type(table)
        held = [(slot, getattr(table, slot.name)) for slot in slots(layout)]
        outside = {slot.name: self._reference(slot, value) for slot, value in held if self._is_outside(slot) and value not in (None, ())}
        self._builder.StartObject(len(held))
        for number, (slot, value) in enumerate(held):
            if slot.name in outside:
                self._builder.PrependUOffsetTRelative(outside[slot.name])
                self._builder.Slot(number)
            elif slot.kind is _Kind.STRUCT and not slot.vector and value is not None:
                self._struct(slot, value)
                self._builder.Slot(number)
            elif slot.kind is _Kind.SCALAR and not slot.vector and value != slot.default:
                self._scalar(slot, value)
                self._builder.Slot(number)
        return int(self._builder.EndObject())

    @staticmethod
    def _is_outside(slot: _Slot) -> bool:
        return slot.vector or slot.kind in (_Kind.STRING, _Kind.TABLE)

    def _reference(self, slot: _Slot, value: Any) -> int:
        if not slot.vector:
            return int(self._builder.CreateString(value)) if slot.kind is _Kind.STRING else self._table(value)
        inner = [self._table(element) for element in value] if slot.kind is _Kind.TABLE else list(value)
        self._builder.StartVector(struct.calcsize(slot.format), len(inner), slot.alignment)
        for element in reversed(inner):
            if slot.kind is _Kind.TABLE:
                self._builder.PrependUOffsetTRelative(element)
            elif slot.kind is _Kind.STRUCT:
                self._struct(slot, element)
            else:
                self._scalar(slot, element)
        return int(self._builder.EndVector())

    def _scalar(self, slot: _Slot, value: float) -> None:
        from flatbuffers import number_types

        flags = {"B": number_types.Uint8Flags, "i": number_types.Int32Flags, "I": number_types.Uint32Flags,
                 "Q": number_types.Uint64Flags, "f": number_types.Float32Flags}
        self._builder.Prepend(flags[slot.of], value)

    def _struct(self, slot: _Slot, value: Any) -> None:
        words = self._place(value, slot.name) if slot.of is Binary else tuple(getattr(value, field.name) for field in fields(value))
        self._builder.Prep(slot.alignment, struct.calcsize(slot.format))
        for word in reversed(words):
            (self._builder.PrependUint64 if slot.of is Binary else self._builder.PrependUint32)(word)
