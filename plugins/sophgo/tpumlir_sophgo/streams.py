"""Command streams: from an emitter's commands to the bytes of each engine, in groups whose ids fit their fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tpumlir_sophgo.emitter import Command, Engine


@dataclass
class CommandGroup:
    """Commands whose ids count from 1; it begins when both engines have finished the group before."""

    commands: dict[Engine, list[tuple[Command, int, int]]] = field(default_factory=lambda: {Engine.TIU: [], Engine.DMA: []})

    def encode(self, engine: Engine) -> bytes:
        """The bytes of one engine's commands, without an end command."""
        return b"".join(_encode(*entry) for entry in self.commands[engine])

    def count(self, engine: Engine) -> int:
        return len(self.commands[engine])


def grouped(commands: Sequence[Command], longest: int) -> Iterator[CommandGroup]:
    """Cut a program where an engine's ids reach ``longest``. Ids count anew in each group, which waits for none before it."""
    group = CommandGroup()
    base = {Engine.TIU: 0, Engine.DMA: 0}
    for command in commands:
        if group.count(command.engine) == longest:
            yield group
            base = {engine: base[engine] + group.count(engine) for engine in Engine}
            group = CommandGroup()
        other = Engine(1 - command.engine)
        group.commands[command.engine].append((command, command.id - base[command.engine], max(0, command.waits - base[other])))
    yield group


def _encode(command: Command, number: int, waits: int) -> bytes:
    fields = command.format.fields
    values = dict(command.values)
    if "cmd_id" in fields:
        values["cmd_id"] = number
    if "cmd_id_dep" in fields:
        values["cmd_id_dep"] = waits
    return command.format.encode(values)
