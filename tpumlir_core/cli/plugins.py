"""``tpumlir plugins``: what is installed, and in what health."""

from __future__ import annotations

from typing import Any

import click

from tpumlir_core.cli.options import json_option
from tpumlir_core.cli.output import print_json, print_table
from tpumlir_core.errors import PluginError
from tpumlir_core.plugins import KINDS, Health, Plugin, PluginManager, kind_named


@click.group("plugins")
def command() -> None:
    """What is installed, and in what health.

    TPUMLIR_PLUGINS=a,b uses only these, TPUMLIR_DISABLE=a,b never these: entry-point names, kind:name or distributions.
    """


@command.command("list")
@click.option("--kind", default="", help=f"Only one kind: {', '.join(kind.name for kind in KINDS)}.")
@json_option
def list_plugins(kind: str, as_json: bool) -> None:
    """List every plugin without importing any."""
    plugins = PluginManager.discover(required=False).plugins(kind_named(kind) if kind else None)
    if as_json:
        print_json([_facts(plugin) for plugin in plugins])
    else:
        _print_plugins(plugins)


@command.command("info")
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Everything about the plugins called NAME, or brought by the distribution NAME; imports none."""
    plugins = PluginManager.discover(required=False).plugins()
    found = [plugin for plugin in plugins if name in (plugin.name, f"{plugin.kind}:{plugin.name}", plugin.candidate.distribution)]
    if not found:
        raise PluginError(f"no plugin and no distribution with plugins is called {name!r}; see `tpumlir plugins list`")
    if as_json:
        print_json([_facts(plugin) for plugin in found])
        return
    for plugin in found:
        for label, fact in _facts(plugin).items():
            click.echo(f"{label + ':':14}{', '.join(fact) if isinstance(fact, list) else fact}".rstrip())
        click.echo()


@command.command("doctor")
@json_option
def doctor(as_json: bool) -> int:
    """Import every plugin and say what is wrong and what mends it. Exit code 1 when one is wrong; disabled ones are not."""
    manager = PluginManager.discover(required=False)
    for kind in KINDS:
        for _ in manager.load_all(kind):
            pass  # loading is the examination: what fails keeps its reason
    plugins = manager.plugins()
    sick = [plugin for plugin in plugins if plugin.health not in (Health.OK, Health.DISABLED)]
    if as_json:
        print_json({"healthy": not sick, "plugins": [_facts(plugin) for plugin in plugins]})
    else:
        _print_plugins(plugins)
        click.echo(f"{len(plugins)} plugins, {len(sick)} with a fault")
    return 1 if sick else 0


def _facts(plugin: Plugin) -> dict[str, Any]:
    candidate = plugin.candidate
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": candidate.distribution,
        "version": candidate.version,
        "health": plugin.health.value,
        "reason": plugin.reason,
        "entry point": candidate.value,
        "requires": list(candidate.requires),
    }


def _print_plugins(plugins: list[Plugin]) -> None:
    headers = ("kind", "name", "distribution", "version", "health", "reason")
    rows = [(p.kind, p.name, p.candidate.distribution, p.candidate.version, p.health.value, p.reason) for p in plugins]
    print_table(headers, rows)
