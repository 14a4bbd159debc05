"""``tpumlir plugins install | uninstall | enable | disable``: pip in this environment, and the user's settings."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tpumlir_core.cli.plugins import matching, plugins_called
from tpumlir_core.cli.plugins_frameworks import able_to_isolate
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins import Health, Plugin, PluginManager, isolation
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.health import CORE
from tpumlir_core.plugins.pip import run_pip
from tpumlir_core.plugins.settings import read_user_file, user_file, write_user_file


@click.command("install")
@click.argument("packages", nargs=-1, required=True)
@click.option("--upgrade", is_flag=True, help="Replace what is installed by the newest version.")
@click.option("--isolated", is_flag=True, help="Put the frameworks that the plugins convert with into environments of their own.")
@click.option("--python", default="", metavar="PATH", help="With --isolated: the Python of those environments; default: this one.")
def install(packages: tuple[str, ...], upgrade: bool, isolated: bool, python: str) -> None:
    """Install PACKAGES (names, folders or wheels) with pip, in this environment, and say which plugins they bring.

    With --isolated, names of plugins that are there already are not installed again.
    """
    if python and not isolated:
        raise InputError("--python is for --isolated; plugins themselves are installed in this environment")
    if isolated:
        _install_isolated(packages, upgrade, python)
    else:
        _install(packages, upgrade)


def _install(packages: Sequence[str], upgrade: bool) -> Sequence[Plugin]:
    """Install packages, and the plugins that they have brought."""
    before = {(p.kind, p.name, p.origin) for p in _all()}
    wanted = [str(Path(package).resolve()) if Path(package).exists() else package for package in packages]  # a folder is no name to fetch
    run_pip(Path(sys.executable), "install", *(["--upgrade"] if upgrade else []), "--", *wanted)
    found = [plugin for plugin in _all() if (plugin.kind, plugin.name, plugin.origin) not in before]
    told = ", ".join(f"{p.kind} {p.name} ({p.origin}, {p.health.value}{': ' if p.reason else ''}{p.reason})" for p in found)
    click.echo(f"installed {', '.join(packages)}: {told or 'no plugin that was not there'}")
    return found


def _install_isolated(packages: Sequence[str], upgrade: bool, python: str) -> None:
    distributions: list[str] = []
    for package in packages:
        there = [] if upgrade else matching(package, PluginManager.discover(required=False))
        brought = there or _install([package], upgrade) or matching(package, PluginManager.discover(required=False))
        distributions += sorted({canonical(plugin.candidate.distribution) for plugin in brought} - set(distributions))
    if not distributions:
        raise PluginError(f"{', '.join(packages)}: no plugin, so there is nothing to make an environment for")
    manager = PluginManager.discover(required=False)
    able = able_to_isolate([plugin for name in distributions for plugin in matching(name, manager)], manager)
    unable = [name for name in distributions if name not in able]
    if unable:
        here = f"pip install '{unable[0]}[{isolation.EXTRA}]'"
        raise PluginError(f"{unable[0]}: its plugins run no framework in a process of its own; {here}")
    for distribution in distributions:
        made = isolation.make(distribution, python)
        click.echo(f"{distribution}: {', '.join(made.requires)} in {made.folder}")


@click.command("uninstall")
@click.argument("name")
@click.option("--isolated", is_flag=True, help="Remove the environment of its framework only.")
def uninstall(name: str, isolated: bool) -> None:
    """Uninstall the distribution NAME, or the one that brings the plugin NAME, with pip, from this environment.

    An isolated environment of its framework goes with it.
    """
    if isolated:
        _remove_isolated(name)
        return
    found = plugins_called(name, PluginManager.discover(required=False))
    origins = {canonical(p.candidate.distribution): p.origin for p in found}
    if len(origins) > 1:
        raise InputError(f"{name}: {' and '.join(origins.values())} bring it; name the distribution")
    ((distribution, origin),) = origins.items()
    if distribution == CORE:
        raise InputError(f"{name}: it is part of {CORE}, without which there is no tpumlir; use pip to uninstall that")
    gone = [plugin for plugin in _all() if canonical(plugin.candidate.distribution) == distribution]
    run_pip(Path(sys.executable), "uninstall", "--yes", "--", distribution)
    if any(canonical(plugin.candidate.distribution) == distribution for plugin in _all()):
        raise PluginError(f"{origin} is still found: it is not installed by pip in {sys.prefix}; look for it on PYTHONPATH")
    also = ", and the environment of its framework" if isolation.find(distribution) and isolation.remove(distribution) else ""
    click.echo(f"uninstalled {origin}: {', '.join(f'{plugin.kind} {plugin.name}' for plugin in gone)}{also}")


def _remove_isolated(name: str) -> None:
    """Also that of a distribution which is not installed any more."""
    found = matching(name, PluginManager.discover(required=False))
    removed = [one for one in sorted({canonical(p.candidate.distribution) for p in found} | {canonical(name)}) if isolation.remove(one)]
    if not removed:
        raise PluginError(f"{name}: it has no environment of its own; see `tpumlir plugins doctor`")
    click.echo(f"removed the environment of {', '.join(removed)}")


@click.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Take the word NAME (a plugin, kind:name or a distribution) out of what your settings switch off."""
    path, table = _settings()
    disabled = table.get("disable", [])
    kept = [word for word in disabled if canonical(word) != canonical(name)]
    if kept == disabled:  # else it may be a word for what is not installed any more
        plugins_called(name, PluginManager.discover(required=False))
    if "plugins" in table and name not in table["plugins"]:
        table["plugins"] = [*table["plugins"], name]
    write_user_file(path, {**table, "disable": kept})
    off = [plugin for plugin in matching(name, PluginManager.discover(required=False)) if plugin.health is Health.DISABLED]
    if off:
        raise PluginError(f"{off[0].kind} {off[0].name} of {off[0].origin} is still off: {off[0].reason}")
    click.echo(f"{name} is enabled (settings: {path})")


@click.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Switch off the plugin NAME (or kind:name, or all of a distribution) for every run, in your settings."""
    found = plugins_called(name, PluginManager.discover(required=False))
    path, table = _settings()
    words = [word for word in table.get("disable", []) if canonical(word) != canonical(name)]
    write_user_file(path, {**table, "disable": [*words, name]})
    click.echo(f"{', '.join(f'{p.kind} {p.name}' for p in found)} disabled (settings: {path})")


def _settings() -> tuple[Path, dict[str, list[str]]]:
    path = user_file(os.environ)
    if path is None:
        raise InputError("there is no place for your settings: set HOME or XDG_CONFIG_HOME")
    return path, read_user_file(path)


def _all() -> Sequence[Plugin]:
    importlib.invalidate_caches()
    return PluginManager.discover(required=False).plugins()
