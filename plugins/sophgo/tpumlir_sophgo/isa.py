"""Instruction formats as data: one engine that reads them from TOML, encodes, and decodes.

A format file gives an ``engine`` name, ``layouts`` (field names with widths in bits, least significant bit first; ``_``
is reserved: written as 0, and left out of what ``decode`` gives) and ``formats`` (a layout, the header values that identify
the format, and the named values of its operation field).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tpumlir_core.errors import InputError, InternalError


@dataclass(frozen=True)
class Field:
    """One field of a format: first bit and width."""

    offset: int
    width: int


@dataclass(frozen=True)
class Format:
    """One instruction format of one engine."""

    name: str
    engine: str
    bits: int
    fields: Mapping[str, Field]
    match: Mapping[str, int]
    variant_field: str
    variants: Mapping[str, int]

    @property
    def size(self) -> int:
        return self.bits // 8

    @cached_property
    def header(self) -> tuple[int, int]:
        """(mask, value) of the header bits that are the same in all instructions of this format."""
        mask = value = 0
        for name, wanted in self.match.items():
            spec = self.fields[name]
            mask |= (1 << spec.width) - 1 << spec.offset
            value |= wanted << spec.offset
        return mask, value

    @cached_property
    def codes(self) -> frozenset[int]:
        """Values that the operation field may have; empty: any."""
        return frozenset(self.variants.values())

    @cached_property
    def _slots(self) -> list[tuple[str, int, int]]:
        return [(name, spec.offset, (1 << spec.width) - 1) for name, spec in self.fields.items()]

    def encode(self, values: Mapping[str, int]) -> bytes:
        """The instruction's bytes, little endian. Raises InternalError for an unknown field or a value out of range."""
        word = 0
        for name, value in (*self.match.items(), *values.items()):
            spec = self.fields.get(name)
            if spec is None:
                raise InternalError(f"{self.name} has no field {name}")
            if value >> spec.width or value < 0:
                raise InternalError(f"{self.name}.{name} = {value} does not fit {spec.width} bits")
            word |= value << spec.offset
        return word.to_bytes(self.size, "little")

    def decode(self, data: bytes) -> dict[str, int]:
        """Field values of an instruction of this format."""
        word = int.from_bytes(data[: self.size], "little")
        return {name: word >> offset & mask for name, offset, mask in self._slots}

    def reserved(self, data: bytes) -> int:
        """The bits of an instruction that no field has, in place. ``encode`` leaves them 0; others may leave rubbish there."""
        known = sum(mask << offset for _, offset, mask in self._slots)
        return int.from_bytes(data[: self.size], "little") & ~known

    def variant_name(self, values: Mapping[str, int]) -> str:
        """The name of the operation that the operation field selects ("" where the format has no variants)."""
        code = values.get(self.variant_field, 0)
        return next((name for name, value in self.variants.items() if value == code), "" if not self.variants else f"#{code}")


@dataclass(frozen=True)
class Instruction:
    """A decoded instruction: its format, field values and the byte offset it was found at."""

    format: Format
    values: Mapping[str, int]
    offset: int


class InstructionSet:
    """All formats of one engine."""

    def __init__(self, engine: str, formats: Iterable[Format]) -> None:
        self.engine = engine
        self.formats = {f.name: f for f in formats}

    @classmethod
    def load(cls, path: Path) -> InstructionSet:
        """Read a format file (see the module docstring)."""
        data = tomllib.loads(path.read_text())
        layouts = {name: _layout(text) for name, text in data["layouts"].items()}
        formats = []
        for name, entry in data["formats"].items():
            fields, bits = layouts[entry["layout"]]
            formats.append(Format(name, data["engine"], bits, fields, entry["match"], data["variant_field"], entry.get("variants", {})))
        return cls(data["engine"], formats)

    def __getitem__(self, name: str) -> Format:
        return self.formats[name]

    def identify(self, data: bytes) -> Format:
        """The format of the instruction at the start of ``data``. Raises InputError when no format matches."""
        head = int.from_bytes(data[:16], "little")
        for candidate in self.formats.values():
            mask, value = candidate.header
            if head & mask == value and len(data) >= candidate.size and self._has_variant(candidate, head):
                return candidate
        raise InputError(f"no {self.engine} instruction starts with {bytes(data[:16]).hex()}")

    def decode(self, stream: bytes) -> Iterator[Instruction]:
        """The instructions of a stream, one after the other. Raises InputError where it stops making sense."""
        offset = 0
        while offset < len(stream):
            found = self.identify(stream[offset : offset + 128])
            yield Instruction(found, found.decode(stream[offset : offset + found.size]), offset)
            offset += found.size

    @staticmethod
    def _has_variant(candidate: Format, head: int) -> bool:
        if not candidate.codes:
            return True
        spec = candidate.fields[candidate.variant_field]
        return (head >> spec.offset & (1 << spec.width) - 1) in candidate.codes


def _layout(text: str) -> tuple[dict[str, Field], int]:
    fields: dict[str, Field] = {}
    offset = 0
    for item in text.split():
        name, width = item.split(":")
        if name != "_":
            fields[name] = Field(offset, int(width))
        offset += int(width)
    return fields, offset
