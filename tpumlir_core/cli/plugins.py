"""``tpumlir plugins``: what is installed, in what health, and what can be done about it."""

from __future__ import annotations

import importlib
from typing import Any

import click

from tpumlir_core.cli.options import json_option
from tpumlir_core.cli.output import print_json, print_table
from tpumlir_core.errors import PluginError
from tpumlir_core.plugins import KINDS, Health, Plugin, PluginManager, kind_named

LAZY = {
    "install": ("plugins_manage", "Install plugins with pip, in this environment."),
    "uninstall": ("plugins_manage", "Uninstall the distribution of a plugin."),
    "enable": ("plugins_manage", "Switch a plugin on again, in your settings."),
    "disable": ("plugins_manage", "Switch a plugin off, in your settings."),
    "new": ("plugins_new", "Write a new plugin package."),
    "check": ("plugins_check", "Run the conformance kit on a plugin."),
}
"""Sub-commands in modules of their own: the module, and one line of help."""


class PluginsGroup(click.Group):
    """Imports the modules of ``LAZY`` when their commands are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *LAZY]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(importlib.import_module(f"tpumlir_core.cli.{LAZY[cmd_name][0]}"), cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, text) for name, (_, text) in LAZY.items())])


@click.group("plugins", cls=PluginsGroup)
def command() -> None:
    """What is installed, and in what health.

    TPUMLIR_PLUGINS=a,b uses only these, TPUMLIR_DISABLE=a,b never these: entry-point names, kind:name or distributions. The
    table [tool.tpumlir] of a pyproject.toml says the same with `plugins` and `disable`, and `required` names plugins that
    must be healthy.
    """


@command.command("list")
@click.option("--kind", default="", help=f"Only one kind: {', '.join(kind.name for kind in KINDS)}.")
@json_option
def list_plugins(kind: str, as_json: bool) -> None:
    """List every plugin without importing any."""
    plugins = PluginManager.discover(required=False).plugins(kind_named(kind) if kind else None)
    if as_json:
        print_json([facts_of(plugin) for plugin in plugins])
    else:
        _print_plugins(plugins)


@command.command("info")
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Everything about the plugins called NAME, or brought by the distribution NAME; imports none."""
    found = plugins_called(name, PluginManager.discover(required=False))
    if as_json:
        print_json([facts_of(plugin) for plugin in found])
        return
    for plugin in found:
        for label, fact in facts_of(plugin).items():
            click.echo(f"{label + ':':14}{', '.join(fact) if isinstance(fact, list) else fact}".rstrip())
        click.echo()


@command.command("doctor")
@json_option
def doctor(as_json: bool) -> int:
    """Import every plugin and say what is wrong and what mends it. Exit code 1 when one is wrong; disabled ones are not."""
    from tpumlir_core.cli.plugins_frameworks import framework_states
    from tpumlir_core.plugins.operators import operator_set

    manager = PluginManager.discover(required=False)
    for kind in KINDS:
        for _ in manager.load_all(kind):
            pass  # loading is the examination: what fails keeps its reason
    operator_set(manager).all()  # and operators may clash by what they are called in models
    plugins = manager.plugins()
    sick = [plugin for plugin in plugins if plugin.health not in (Health.OK, Health.DISABLED)]
    lacking = _lacking()
    frameworks = framework_states(manager)
    damaged = [state for state in frameworks if state["fault"]]
    if as_json:
        healthy = not (sick or lacking or damaged)
        facts = [facts_of(plugin) for plugin in plugins]
        print_json({"healthy": healthy, "required": lacking, "plugins": facts, "frameworks": frameworks})
    else:
        _print_plugins(plugins)
        for state in frameworks:
            click.echo(f"framework of {state['distribution']}: {state['place']}{': ' if state['fault'] else ''}{state['fault']}")
        more = f", {len(damaged)} environments with a fault" if damaged else ""
        click.echo(f"{len(plugins)} plugins, {len(sick)} with a fault{more}{f'; {lacking}' if lacking else ''}")
    return 1 if sick or lacking or damaged else 0


def _lacking() -> str:
    """What is wrong with the plugins that the settings require, "" when nothing is."""
    try:
        PluginManager.discover()
    except PluginError as error:
        return str(error)
    return ""


def plugins_called(name: str, manager: PluginManager) -> list[Plugin]:
    """Plugins by entry-point name, ``kind:name`` or distribution. Raises PluginError when there is none."""
    found = matching(name, manager)
    if not found:
        raise PluginError(f"no plugin and no distribution with plugins is called {name!r}; see `tpumlir plugins list`")
    return found


def matching(name: str, manager: PluginManager) -> list[Plugin]:
    """The same, empty when there is none."""
    from tpumlir_core.plugins.distributions import canonical

    def meant(plugin: Plugin) -> bool:
        distribution = canonical(plugin.candidate.distribution)
        return name in (plugin.name, f"{plugin.kind}:{plugin.name}") or canonical(name) == distribution

    return [plugin for plugin in manager.plugins() if meant(plugin)]


def facts_of(plugin: Plugin) -> dict[str, Any]:
    """What is known about a plugin without importing it, by the names that users see."""
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
