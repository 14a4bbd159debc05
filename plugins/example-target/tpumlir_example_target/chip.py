"""The chip, read from ``chip.toml``: its figures, and its instructions encoded and decoded."""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tpumlir_core.errors import InputError, InternalError


@dataclass(frozen=True)
class Unit:
    """A part of the chip that executes instructions: work a cycle, and cycles before it starts."""

    rate: int
    startup: int


@dataclass(frozen=True)
class Format:
    """An instruction: its code, the unit that executes it, its fields, and those whose product is its work."""

    code: int
    unit: str
    fields: tuple[str, ...]
    work: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One instruction: the name of its format and the values of its fields."""

    name: str
    values: Mapping[str, int]


@dataclass(frozen=True)
class Chip:
    """Sizes of the memories in bytes, 32-bit words of an instruction, units and formats by name."""

    local_bytes: int
    global_bytes: int
    instruction_words: int
    units: Mapping[str, Unit]
    formats: Mapping[str, Format]

    def encode(self, command: Command) -> bytes:
        """The instruction's bytes. Raises InternalError where a field is missing, unknown or does not fit."""
        form = self.formats[command.name]
        if set(command.values) != set(form.fields):
            raise InternalError(f"{command.name} has the fields {', '.join(form.fields)}, not {', '.join(command.values)}")
        words = [form.code, *(command.values[field] for field in form.fields)]
        if not all(0 <= word < 1 << 32 for word in words):
            raise InternalError(f"a field of {command} does not fit 32 bits")
        return struct.pack(f"<{self.instruction_words}I", *words, *[0] * (self.instruction_words - len(words)))

    def decode(self, code: bytes | memoryview) -> Iterator[Command]:
        """The instructions of a stream. Raises InputError where it makes no sense."""
        names = {form.code: name for name, form in self.formats.items()}
        size = 4 * self.instruction_words
        if len(code) % size:
            raise InputError(f"{len(code)} bytes of code are no whole number of instructions, {size} bytes each")
        for index, (number, *words) in enumerate(struct.iter_unpack(f"<{self.instruction_words}I", code)):
            if number not in names:
                raise InputError(f"instruction {index}: no instruction has the code {number}")
            name = names[number]
            yield Command(name, dict(zip(self.formats[name].fields, words, strict=False)))

    def work(self, command: Command) -> int:
        """What an instruction has to do, in the unit that its rate counts: bytes moved, or elements computed."""
        return math.prod(command.values[field] for field in self.formats[command.name].work)

    def cycles(self, command: Command) -> int:
        """The cycles that an instruction takes."""
        unit = self.units[self.formats[command.name].unit]
        return unit.startup + math.ceil(self.work(command) / unit.rate)


@cache
def chip() -> Chip:
    """The one chip of this package."""
    data = tomllib.loads(files(__package__).joinpath("chip.toml").read_text())
    formats = {
        name: Format(entry["code"], entry["unit"], tuple(entry["fields"]), tuple(entry["work"]))
        for name, entry in data["formats"].items()
    }
    units = {name: Unit(**entry) for name, entry in data["units"].items()}
    return Chip(data["local_bytes"], data["global_bytes"], data["instruction_words"], units, formats)
