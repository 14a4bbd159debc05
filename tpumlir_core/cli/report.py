"""What the commands that compile have in common: their session, and what they say about results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.options import plugins_with
from tpumlir_core.cli.output import print_json, print_sections, progress, sections_json, warn_of_sick
from tpumlir_core.ir import Module
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import Artifact
from tpumlir_core.stages import Session


def session(values: dict[str, Any]) -> Session:
    """A session that shows its progress where a person sees it, with the installed plugins and those that ``plugin_option``
    names, which are taken out of a command's arguments."""
    run = Session(plugins_with(values.pop("plugin_files")), progress())
    warn_of_sick(run.hooks)
    return run


def print_artifact(artifact: Artifact, path: Path, as_json: bool, run: Session) -> None:
    """Where the compiled file is, how large, how long each stage took, and what hooks add to that."""
    size = artifact.size
    facts = {"output": str(path), "bytes": size, **artifact.facts}
    sections = run.hooks.report_sections(path, facts)
    if as_json:
        print_json({**facts, **sections_json(sections)})
        return
    seconds = artifact.facts.get("seconds", {})
    stages = ", ".join(f"{stage} {duration:.2f} s" for stage, duration in seconds.items())
    click.echo(f"{path}: {size:,} bytes ({stages})")
    print_sections(sections)


def print_module(module: Module, path: Path, as_json: bool) -> None:
    """Where the module is and how many operations it has."""
    count = sum(not isinstance(operation, Weight) for operation in module.function.operations)
    if as_json:
        print_json({"output": str(path), "name": module.name, "operations": count, "weights": len(module.weights)})
    else:
        click.echo(f"{path}: network {module.name}, {count} operations, {len(module.weights)} weights")
