"""Which layer each command of a compiled network belongs to: a small table that travels in its file, for the profile.

Per engine, the commands of all groups in order, without the end commands, as runs: (layer, how many). Layers are numbered in
the order of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

from tpumlir_core.ir import Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_sophgo.emitter import Command, Engine

NOTE = "layers"
"""The name of the table among a network's notes."""
Run = tuple[int, int]


@dataclass(frozen=True)
class LayerTable:
    """Names and operations of the layers, and the runs of commands of each engine."""

    names: tuple[str, ...]
    operations: tuple[str, ...]
    runs: Mapping[Engine, tuple[Run, ...]]

    @classmethod
    def of(cls, operations: Sequence[Operation], commands: Sequence[Command]) -> LayerTable:
        """The table of a program. What moves a tensor belongs to the layer that makes it, or that first uses a weight."""
        owners = _owners(operations)
        layers = [owners.get(command.layer, command.layer) for command in commands]
        used = set(layers)
        opcodes = {op.name: op.opcode.partition(".")[2] for op in operations if op.name in used}
        names = [*opcodes, *sorted(used - opcodes.keys())]
        numbers = {name: number for number, name in enumerate(names)}
        streams: dict[Engine, list[int]] = {engine: [] for engine in Engine}
        for command, layer in zip(commands, layers, strict=True):
            streams[command.engine].append(numbers[layer])
        runs = {engine: tuple((n, len(list(run))) for n, run in groupby(stream)) for engine, stream in streams.items()}
        return cls(tuple(names), tuple(opcodes.get(name, "") for name in names), runs)

    def note(self) -> dict[str, Any]:
        """The table as JSON values; runs lie flat."""
        streams = {engine.name.lower(): list(chain.from_iterable(runs)) for engine, runs in self.runs.items()}
        return {"names": list(self.names), "operations": list(self.operations), **streams}

    @classmethod
    def read(cls, note: object, counts: Mapping[Engine, int]) -> LayerTable | None:
        """The table of a note, for streams of so many commands; None where it does not fit them."""
        if not isinstance(note, dict):
            return None
        names, operations = note.get("names"), note.get("operations")
        streams = [note.get(engine.name.lower()) for engine in Engine]
        if not all(isinstance(part, list) for part in (names, operations, *streams)) or len(names) != len(operations):  # type: ignore[arg-type]
            return None
        assert names is not None
        assert operations is not None
        runs = {engine: tuple(zip(flat[::2], flat[1::2], strict=False)) for engine, flat in zip(Engine, streams, strict=True) if flat}
        table = cls(tuple(map(str, names)), tuple(map(str, operations)), {engine: runs.get(engine, ()) for engine in Engine})
        return table if all(table._fits(engine, count) for engine, count in counts.items()) else None

    def numbers(self, engine: Engine) -> list[int]:
        """The layer of every command of one engine."""
        return [number for number, count in self.runs[engine] for _ in range(count)]

    def layers(self, engine: Engine) -> Iterator[str]:
        """The name of the layer of every command of one engine."""
        return (self.names[number] for number in self.numbers(engine))

    def _fits(self, engine: Engine, commands: int) -> bool:
        runs = self.runs[engine]
        known = all(type(n) is int and type(count) is int and 0 <= n < len(self.names) and count > 0 for n, count in runs)
        return known and sum(count for _, count in runs) == commands


def _owners(operations: Sequence[Operation]) -> dict[str, str]:
    """Value name -> the layer that it belongs to."""
    owners: dict[str, str] = {}

    def own(value: Value | None, layer: str) -> None:
        if value is not None:
            owners.setdefault(value.name, layer)

    for op in operations:
        if isinstance(op, Weight):
            continue
        for value in op.results:
            own(value, op.name)
        for operand in op.operands:
            own(operand, op.name)
    return owners
