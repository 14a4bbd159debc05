"""``tpumlir profile``: estimated cycles of a compiled file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.compiled import read_compiled, target_of
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json, print_table
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.extension_points import Profile


@click.command("profile")
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """Estimate the cycles that a compiled FILE takes on its chip, in all and by layer."""
    data, model = read_compiled(file)
    plugins = PluginManager.discover()
    name, target = target_of(file, model, plugins)
    with plugins.calling(TARGET, name, "profile"):
        profile = target.profile(data)
    if as_json:
        print_json({"file": str(file), "chip": name, **_facts(profile)})
        return
    click.echo(f"{file}: {profile.cycles:,} cycles on {name} (estimated)")
    for engine, cycles in profile.engines.items():
        click.echo(f"  all {engine} commands: {cycles:,}")
    if profile.layers:
        engines = list(profile.engines)
        rows = [(layer.name, f"{layer.cycles:,}", *(f"{layer.engines.get(e, 0):,}" for e in engines)) for layer in profile.layers]
        print_table(("layer", "cycles", *engines), rows)


def _facts(profile: Profile) -> dict[str, Any]:
    layers = [{"name": layer.name, "cycles": layer.cycles, "engines": dict(layer.engines)} for layer in profile.layers]
    return {"cycles": profile.cycles, "engines": dict(profile.engines), "layers": layers}
