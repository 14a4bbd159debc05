"""Protobuf messages without their classes: just enough to look into a file before a framework is started for it.

The wire format is that of protobuf's "Encoding" page: fields of a number and a kind (0 varint, 1 eight bytes, 2 length-delimited,
5 four bytes), in any order, repeated ones several times or packed. Nothing is read past its end, and nothing is decoded that is
not asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from tpumlir_core.errors import InputError

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
_LONGEST_VARINT = 10
_FIXED = {EIGHT: 8, FOUR: 4}


class Message:
    """The fields of one message. ``what`` it is, for messages. Raises InputError where the bytes are no message, here and later."""

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self.what = what
        self._fields: dict[int, list[int | memoryview]] = {}
        for number, value in self._walk(memoryview(data)):
            self._fields.setdefault(number, []).append(value)

    def _walk(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        at = 0
        while at < len(data):
            tag, at = self._varint(data, at)
            number, kind = tag >> 3, tag & 7
            if kind == VARINT:
                value, at = self._varint(data, at)
                yield number, value
                continue
            if kind == BYTES:
                size, at = self._varint(data, at)
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:
                raise self.broken()
            if not number or size > len(data) - at:
                raise self.broken()
            yield number, data[at : at + size]
            at += size

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        value = 0
        for count in range(min(_LONGEST_VARINT, len(data) - at)):
            byte = data[at + count]
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + count + 1
        raise self.broken()

    def broken(self, why: str = "") -> InputError:
        """The error that this is no such message."""
        return InputError(f"{self.what}: {why or 'broken or truncated protobuf'}")

    def has(self, number: int) -> bool:
        """Whether the field is there."""
        return number in self._fields

    def numbers(self) -> Mapping[int, int]:
        """How often each field occurs."""
        return {number: len(values) for number, values in self._fields.items()}

    def data(self, number: int) -> list[memoryview]:
        """The content of a length-delimited field, each time that it occurs."""
        return [self._bytes(value) for value in self._fields.get(number, ())]

    def _bytes(self, value: int | memoryview) -> memoryview:
        if isinstance(value, int):
            raise self.broken()
        return value

    def messages(self, number: int, what: str = "") -> list[Message]:
        """The messages of a field, called ``what``."""
        return [Message(data, what or self.what) for data in self.data(number)]

    def message(self, number: int, what: str = "") -> Message:
        """The last message of a field, an empty one where it is absent."""
        found = self.messages(number, what)
        return found[-1] if found else Message(b"", what or self.what)

    def texts(self, number: int) -> list[str]:
        """The texts of a field."""
        try:
            return [str(data, "utf-8") for data in self.data(number)]
        except UnicodeDecodeError:
            raise self.broken("a name in it is not UTF-8 text") from None

    def text(self, number: int) -> str:
        """The last text of a field, "" where it is absent."""
        found = self.texts(number)
        return found[-1] if found else ""

    def integers(self, number: int) -> list[int]:
        """The signed integers of a varint field, packed or not."""
        found = []
        for value in self._fields.get(number, ()):
            if isinstance(value, int):
                found.append(value)
                continue
            at = 0
            while at < len(value):
                one, at = self._varint(value, at)
                found.append(one)
        return [value - (1 << 64) if value >> 63 else value for value in found]

    def integer(self, number: int, default: int = 0) -> int:
        """The last integer of a field."""
        found = self.integers(number)
        return found[-1] if found else default


def encoded(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    """A message of fields: integers as varints, floats as four bytes, texts and bytes length-delimited."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, float):
        return _encoded_varint(number << 3 | FOUR) + struct.pack("<f", value)
    if isinstance(value, int):
        return _encoded_varint(number << 3 | VARINT) + _encoded_varint(value & 0xFFFFFFFFFFFFFFFF)
    data = value.encode() if isinstance(value, str) else value
    return _encoded_varint(number << 3 | BYTES) + _encoded_varint(len(data)) + data


def _encoded_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
