"""``tpumlir plugins check``: the conformance kit, without pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.options import json_option, plugin_option
from tpumlir_core.cli.output import print_json
from tpumlir_core.cli.plugins import plugins_called
from tpumlir_core.plugins import KINDS, Plugin, PluginManager, kind_named


@click.command("check")
@click.argument("name")
@click.option("--kind", default="", help=f"Only the plugin of one kind: {', '.join(kind.name for kind in KINDS)}.")
@click.option("--quick", is_flag=True, help="One sample of an operation instead of all, and fewer damaged files.")
@plugin_option
@json_option
def check(name: str, kind: str, quick: bool, plugin_files: tuple[Path, ...], as_json: bool) -> int:
    """Check what the plugins called NAME (or of the distribution NAME) promise. Exit code 1 when a promise is broken."""
    plugins = PluginManager.discover(required=False)
    for file in plugin_files:
        plugins.add_file(file)
    found = plugins_called(name, plugins)
    if kind:
        kind_named(kind)
        found = [plugin for plugin in found if plugin.kind == kind] or plugins_called(f"{kind}:{name}", PluginManager([]))
    failed = 0
    report: list[dict[str, Any]] = []
    for plugin in found:
        facts = _check(plugin, plugins, quick, as_json)
        failed += sum(one["state"] == "failed" for one in facts)
        report.append({"kind": plugin.kind, "name": plugin.name, "distribution": plugin.origin, "checks": facts})
    if as_json:
        print_json({"passed": failed == 0, "plugins": report})
    return 1 if failed else 0


def _check(plugin: Plugin, plugins: PluginManager, quick: bool, quiet: bool) -> list[dict[str, Any]]:
    """Check one plugin; unless ``quiet``, each outcome is printed as it comes."""
    from tpumlir_core.testing import run_kit

    facts = []
    if not quiet:
        click.echo(f"{plugin.kind} {plugin.name} of {plugin.origin}")
    for outcome in run_kit(plugin.kind, plugin.name, plugins, quick):
        facts.append({"check": outcome.check, "state": outcome.state.value, "message": outcome.message})
        if not quiet:
            click.echo(f"  {outcome.state.value:8}{outcome.check}{': ' if outcome.message else ''}{outcome.message}")
    if not quiet:
        states = [fact["state"] for fact in facts]
        click.echo("  " + ", ".join(f"{states.count(state)} {state}" for state in ("passed", "failed", "skipped")))
    return facts
