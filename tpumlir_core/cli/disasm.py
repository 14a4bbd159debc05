"""``tpumlir disasm``: the instructions of a compiled file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tpumlir_core.cli.compiled import naming, open_compiled
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.extension_points import Instruction


@click.command("disasm")
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """Print the instructions of a compiled FILE, one a line (with --json one JSON object a line)."""
    plugins = PluginManager.discover()
    data, name, target = open_compiled(file, plugins)
    with plugins.calling(TARGET, name, "disassemble"), naming(file):
        instructions = list(target.disassemble(data))
    for instruction in instructions:
        click.echo(_json(instruction) if as_json else _text(instruction))


def _text(instruction: Instruction) -> str:
    """Without the fields that are 0, which most are."""
    fields = ", ".join(f"{name}={value}" for name, value in instruction.fields.items() if value != 0)
    layer = f" [{instruction.layer}]" if instruction.layer else ""
    return f"{instruction.stream} {instruction.engine} {instruction.index}{layer}: {instruction.name} {fields}".rstrip()


def _json(instruction: Instruction) -> str:
    facts = {"stream": instruction.stream, "engine": instruction.engine, "index": instruction.index, "name": instruction.name}
    return json.dumps({**facts, "layer": instruction.layer, "fields": dict(instruction.fields)})
