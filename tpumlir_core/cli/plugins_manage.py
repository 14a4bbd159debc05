"""``tpumlir plugins install | uninstall | enable | disable``: pip in this environment, and the user's settings."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tpumlir_core.cli.plugins import matching, plugins_called
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins import Health, Plugin, PluginManager
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.health import CORE
from tpumlir_core.plugins.settings import read_user_file, user_file, write_user_file


@click.command("install")
@click.argument("packages", nargs=-1, required=True)
@click.option("--upgrade", is_flag=True, help="Replace what is installed by the newest version.")
def install(packages: tuple[str, ...], upgrade: bool) -> None:
    """Install PACKAGES (names, folders or wheels) with pip, in this environment, and say which plugins they bring."""
    before = {(p.kind, p.name, p.origin) for p in _all()}
    wanted = [str(Path(package).resolve()) if Path(package).exists() else package for package in packages]  # a folder is no name to fetch
    _pip("install", *(["--upgrade"] if upgrade else []), "--", *wanted)
    found = [plugin for plugin in _all() if (plugin.kind, plugin.name, plugin.origin) not in before]
    told = ", ".join(f"{p.kind} {p.name} ({p.origin}, {p.health.value}{': ' if p.reason else ''}{p.reason})" for p in found)
    click.echo(f"installed {', '.join(packages)}: {told or 'no plugin that was not there'}")


@click.command("uninstall")
@click.argument("name")
def uninstall(name: str) -> None:
    """Uninstall the distribution NAME, or the one that brings the plugin NAME, with pip, from this environment."""
    found = plugins_called(name, PluginManager.discover(required=False))
    origins = {canonical(p.candidate.distribution): p.origin for p in found}
    if len(origins) > 1:
        raise InputError(f"{name}: {' and '.join(origins.values())} bring it; name the distribution")
    ((distribution, origin),) = origins.items()
    if distribution == CORE:
        raise InputError(f"{name}: it is part of {CORE}, without which there is no tpumlir; use pip to uninstall that")
    gone = [plugin for plugin in _all() if canonical(plugin.candidate.distribution) == distribution]
    _pip("uninstall", "--yes", "--", distribution)
    if any(canonical(plugin.candidate.distribution) == distribution for plugin in _all()):
        raise PluginError(f"{origin} is still found: it is not installed by pip in {sys.prefix}; look for it on PYTHONPATH")
    click.echo(f"uninstalled {origin}: {', '.join(f'{plugin.kind} {plugin.name}' for plugin in gone)}")


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


def _pip(*arguments: str) -> None:
    """Run this environment's pip. Raises PluginError with the reason in one line."""
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR:").strip() for line in lines if "error" in line.lower() or "No module named" in line]
        reason = (errors or lines or ["pip gives no reason"])[-1 if not errors else 0]
        raise PluginError(f"pip {arguments[0]} {' '.join(a for a in arguments[1:] if not a.startswith('-'))} failed: {reason}")
