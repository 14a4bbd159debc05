"""The options of custom operators: a FlexBuffers map, as TFLite's converter writes them (format: flatbuffers' FlexBuffers).

Read by hand, with every offset checked and no more values than the buffer has bytes: the package's own reader follows what it finds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from tpumlir_core.errors import InputError

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING = range(6)
_INDIRECT = {6: _INT, 7: _UINT, 8: _FLOAT}
_MAP, _VECTOR, _BOOL = 9, 10, 26
_TYPED = {11: _INT, 12: _UINT, 13: _FLOAT, 14: _KEY, 36: _BOOL}
"""Vectors of one type."""
_FIXED = {16 + i: ((_INT, _UINT, _FLOAT)[i % 3], 2 + i // 3) for i in range(9)}
"""Vectors of one type and 2, 3 or 4 elements, without a length."""
_FORMATS = {_INT: "bhiq", _UINT: "BHIQ", _BOOL: "BHIQ", _FLOAT: " efd"}
_SHORTEST = 3
_DEEPEST = 8


def attributes_of(options: bytes) -> dict[str, Any]:
    """The attributes of a custom operator by name: numbers, strings and lists; {} where there are no options.

    Raises InputError where they are damaged, or no map.
    """
    if not options:
        return {}
    try:
        found = _Reader(options).root()
    except (struct.error, IndexError, UnicodeDecodeError):
        raise InputError("its options are damaged") from None
    if not isinstance(found, dict):
        raise InputError("its options are no FlexBuffers map of names and values")
    return found


@dataclass
class _Reader:
    """A buffer, and how many values may still be read of it."""

    data: bytes

    def __post_init__(self) -> None:
        self._left = len(self.data)

    def root(self) -> Any:
        if len(self.data) < _SHORTEST:
            raise InputError("its options are damaged")
        width = self.data[-1]
        return self._value(len(self.data) - 2 - width, width, self.data[-2], 0)

    def _value(self, at: int, width: int, packed: int, depth: int) -> Any:
        """The value at a byte, in ``width`` bytes; ``packed`` tells its type and how wide what it leads to is."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise InputError("its options unfold to more than their size")
        kind, inner = packed >> 2, 1 << (packed & 3)
        if kind == _NULL:
            return None
        if kind in _FORMATS:
            return self._number(at, width, kind)
        target = self._follow(at, width)
        if kind in _INDIRECT:
            return self._number(target, inner, _INDIRECT[kind])
        if kind == _KEY:
            return self._key(target)
        if kind == _STRING:
            return self._slice(target, self._uint(target - inner, inner)).decode()
        return self._collection(target, inner, kind, depth)

    def _collection(self, at: int, width: int, kind: int, depth: int) -> Any:
        if kind in _FIXED:
            return [self._number(at + i * width, width, _FIXED[kind][0]) for i in range(_FIXED[kind][1])]
        count = self._uint(at - width, width)
        if count > len(self.data):
            raise InputError("its options are damaged")
        if kind in _TYPED:
            return [self._value(at + i * width, width, _TYPED[kind] << 2, depth + 1) for i in range(count)]
        if kind not in (_MAP, _VECTOR):
            raise InputError(f"its options hold values of a kind that is not known, {kind}")
        kinds = self._slice(at + count * width, count)
        values = [self._value(at + i * width, width, packed, depth + 1) for i, packed in enumerate(kinds)]
        return values if kind == _VECTOR else dict(zip(self._keys(at, width, count), values, strict=True))

    def _keys(self, at: int, width: int, count: int) -> list[str]:
        """The names of a map's values: a vector of offsets before it, and how wide those are."""
        keys, key_width = self._follow(at - 3 * width, width), self._uint(at - 2 * width, width)
        return [self._key(self._follow(keys + i * key_width, key_width)) for i in range(count)]

    def _key(self, at: int) -> str:
        return self.data[at : self.data.index(0, at)].decode() if 0 in self._slice(at, len(self.data) - at) else ""

    def _follow(self, at: int, width: int) -> int:
        """Where an offset, which counts backwards from itself, leads."""
        target = at - self._uint(at, width)
        if not 0 <= target < len(self.data):
            raise InputError("its options are damaged")
        return target

    def _uint(self, at: int, width: int) -> int:
        return int(self._number(at, width, _UINT))

    def _number(self, at: int, width: int, kind: int) -> Any:
        """A number of 1, 2, 4 or 8 bytes."""
        if width not in (1, 2, 4, 8) or at < 0 or (kind == _FLOAT and width == 1):
            raise InputError("its options are damaged")
        (found,) = struct.unpack_from("<" + _FORMATS[kind][width.bit_length() - 1], self.data, at)
        return bool(found) if kind == _BOOL else found

    def _slice(self, at: int, size: int) -> bytes:
        if not 0 <= at <= len(self.data) - size:
            raise InputError("its options are damaged")
        return self.data[at : at + size]
