"""``tpumlir profile``: estimated cycles of a compiled file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.compiled import naming, open_compiled
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json, print_table
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.extension_points import Profile


@click.command("profile")
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """Estimate the cycles that a compiled FILE takes on its chip, in all and by layer."""
    plugins = PluginManager.discover()
    data, name, target = open_compiled(file, plugins)
    with plugins.calling(TARGET, name, "profile"), naming(file):
        profile = target.profile(data)
    if as_json:
        print_json({"file": str(file), "chip": name, **_facts(profile)})
        return
    click.echo(f"{file}: {profile.cycles:,} cycles on {name} (estimated)")
    for engine, cycles in profile.engines.items():
        click.echo(f"  all {engine} commands: {cycles:,} cycles, {_share(cycles, profile.cycles)} of the time")
    click.echo(f"  moved by DMA: {profile.bytes:,} bytes, {profile.bytes / max(1, profile.cycles):.1f} a cycle")
    if profile.layers:
        click.echo()
        _print_layers(profile)


def _print_layers(profile: Profile) -> None:
    """One line a layer, in the order of the network."""
    engines = list(profile.engines)
    headers = ("layer", "operation", "start", "cycles", *engines, "bytes")
    rows = []
    for layer in profile.layers:
        name = f"{layer.network}: {layer.name}" if layer.network else layer.name
        work = (f"{layer.engines.get(engine, 0):,}" for engine in engines)
        rows.append((name, layer.operation, f"{layer.start:,}", f"{layer.cycles:,}", *work, f"{layer.bytes:,}"))
    print_table(headers, rows, numbers=headers[2:])


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def _facts(profile: Profile) -> dict[str, Any]:
    cycles = max(1, profile.cycles)
    return {
        "cycles": profile.cycles,
        "engines": dict(profile.engines),
        "engines_percent": {engine: round(100 * work / cycles, 2) for engine, work in profile.engines.items()},
        "bytes": profile.bytes,
        "bytes_per_cycle": round(profile.bytes / cycles, 3),
        "layers": [dataclasses.asdict(layer) for layer in profile.layers],
    }
