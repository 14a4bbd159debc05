"""``tpumlir plugins new``: a package to start from."""

from __future__ import annotations

from pathlib import Path

import click

from tpumlir_core.cli.options import FILE
from tpumlir_core.errors import PluginError
from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.scaffold import ALIASES, BLUEPRINTS, write_package


@click.command("new")
@click.argument("kind", type=click.Choice([*BLUEPRINTS, *ALIASES]))
@click.argument("name")
@click.option("--output", "parent", type=FILE, default=Path(), help="The folder to write it into; default: here.")
def new(kind: str, name: str, parent: Path) -> None:
    """Write a package for a plugin of a KIND called NAME: it installs, passes the conformance kit and runs as it is."""
    taken = [p for p in PluginManager.discover(required=False).plugins() if canonical(p.candidate.distribution) == f"tpumlir-{name}"]
    if taken:
        raise PluginError(f"{name}: {taken[0].origin} is installed under this name; choose another one")
    folder = write_package(kind, name, parent)
    click.echo(f"{folder}: next `tpumlir plugins install {folder}`, then `tpumlir plugins check {name}`")
