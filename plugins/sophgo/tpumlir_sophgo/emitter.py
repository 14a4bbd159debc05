"""The emitter: takes commands in program order and makes the two engines' streams synchronise themselves.

Both engines run in order. A command carries its own id and the id of the other engine's command that it waits for. What it
has to wait for follows from what it reads and writes in local memory: a read waits for the last write of the same bytes by
the other engine, a write for the last read or write. Global memory is touched by DMA alone, which runs in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from tpumlir_sophgo.arch import Arch
from tpumlir_sophgo.isa import Format, InstructionSet
from tpumlir_sophgo.tensor import LocalTensor


class Engine(IntEnum):
    """The two engines; the numbers are CModel's."""

    TIU = 0
    DMA = 1


Range = tuple[int, int]  # byte range [start, stop) inside a lane


def local_range(tensor: LocalTensor) -> Range:
    """The lane bytes that a local tensor touches (a hull)."""
    return (tensor.address, tensor.address + tensor.span)


@dataclass(slots=True)
class Command:
    """One instruction to be: format, field values, the lane bytes it reads and writes, and what it is for."""

    engine: Engine
    format: Format
    values: dict[str, int]
    reads: Sequence[Range]
    writes: Sequence[Range]
    layer: str
    id: int = 0
    waits: int = 0


@dataclass
class Emitter:
    """Collects commands; ``commands`` is the program in order. Chips subclass it with their instruction builders."""

    arch: Arch
    sets: Mapping[Engine, InstructionSet]
    layer: str = ""
    track: bool = True  # False: a dry emission for costing; no dependencies are computed
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        granules = self.arch.lane_bytes // self.arch.eu_bytes
        self._ids = [0, 0]
        # last id of each engine that read / wrote each granule of local memory
        self._read = np.zeros((2, granules), np.int64)
        self._written = np.zeros((2, granules), np.int64)

    def issue(
        self, engine: Engine, name: str, values: Mapping[str, int], reads: Sequence[LocalTensor | Range] = (),
        writes: Sequence[LocalTensor | Range] = (), variant: str = "",
    ) -> None:
        """Append one command. ``values`` are its fields without ids; ``variant`` names its operation."""
        fmt = self.sets[engine][name]
        fields = dict(values)
        if variant:
            fields[fmt.variant_field] = fmt.variants[variant]
        read_ranges = [local_range(r) if isinstance(r, LocalTensor) else r for r in reads]
        write_ranges = [local_range(w) if isinstance(w, LocalTensor) else w for w in writes]
        command = Command(engine, fmt, fields, read_ranges, write_ranges, self.layer)
        self._ids[engine] += 1
        command.id = self._ids[engine]
        if self.track:
            command.waits = self._dependency(command)
        self.commands.append(command)

    def _dependency(self, command: Command) -> int:
        own, other = command.engine, 1 - command.engine
        waits = 0
        unit = self.arch.eu_bytes
        for start, stop in command.reads:
            part = slice(start // unit, -(-stop // unit))
            waits = max(waits, int(self._written[other, part].max(initial=0)))
            self._read[own, part] = command.id
        for start, stop in command.writes:
            part = slice(start // unit, -(-stop // unit))
            waits = max(waits, int(self._written[other, part].max(initial=0)), int(self._read[other, part].max(initial=0)))
            self._written[own, part] = command.id
        return waits

    def stream(self, engine: Engine) -> list[Command]:
        """The commands of one engine, in order."""
        return [c for c in self.commands if c.engine == engine]
