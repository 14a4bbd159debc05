"""Command streams: from an emitter's commands to the bytes of each engine."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_sophgo.emitter import Command


def encode(commands: Sequence[Command]) -> bytes:
    """The bytes of commands with their ids."""
    parts = []
    for command in commands:
        ids = {"cmd_id": command.id, "cmd_id_dep": command.waits}
        fields = command.format.fields
        parts.append(command.format.encode({**command.values, **{k: v for k, v in ids.items() if k in fields}}))
    return b"".join(parts)
