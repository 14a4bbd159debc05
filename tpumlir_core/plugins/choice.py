"""Choosing a plugin by what it says it can do: the frontend or runner for a file, the quantizer for a mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from tpumlir_core.errors import InputError, PluginFault
from tpumlir_core.files import read_head
from tpumlir_core.plugins.extension_points import Frontend, Quantizer, Runner, Target
from tpumlir_core.plugins.health import Health
from tpumlir_core.plugins.kinds import QUANTIZER, Kind
from tpumlir_core.plugins.manager import PluginManager

Reader = TypeVar("Reader", Frontend, Runner, Target)


def recognize(kind: Kind[Reader], path: Path, plugins: PluginManager) -> tuple[str, Reader] | None:
    """The first plugin of a kind, by name, that knows the file; None when none does. One that fails here knows it not."""
    head = read_head(path)
    for name, extension in plugins.load_all(kind):
        try:
            with plugins.calling(kind, name, "recognizes"):
                if extension.recognizes(path, head):
                    return name, extension
        except PluginFault as fault:
            plugins.turn(plugins.find(kind, name), Health.BROKEN, str(fault))
    return None


def require(kind: Kind[Reader], name: str, path: Path, plugins: PluginManager) -> tuple[str, Reader]:
    """The plugin called ``name``, or with "" the one that knows the file. Raises PluginError or InputError with what there is."""
    if name:
        return name, plugins.get(kind, name)
    found = recognize(kind, path, plugins)
    if found is None:
        raise unknown(path, plugins, kind)
    return found


def unknown(path: Path, plugins: PluginManager, *kinds: Kind[Any]) -> InputError:
    """The error for a file that no plugin of these kinds knows, with the plugins there are and their health."""
    asked = " and no ".join(kind.name for kind in kinds)
    states = "; ".join(f"{kind.name}s: {', '.join(_states(kind, plugins)) or 'none, install one'}" for kind in kinds)
    return InputError(f"{path}: no {asked} knows this file ({states})")


def _states(kind: Kind[Any], plugins: PluginManager) -> Iterator[str]:
    for plugin in plugins.plugins(kind):
        yield plugin.name if plugin.health is Health.OK else f"{plugin.name} is {plugin.health.value}: {plugin.reason}"


def quantizer_for(mode: str, plugins: PluginManager) -> tuple[str, Quantizer]:
    """The first quantizer, by name, that lowers to a mode. Raises InputError with all the modes there are."""
    modes: set[str] = set()
    for name, quantizer in plugins.load_all(QUANTIZER):
        with plugins.calling(QUANTIZER, name, "modes"):
            offered = set(quantizer.modes())
        if mode in offered:
            return name, quantizer
        modes |= offered
    raise InputError(f"no quantizer lowers to {mode}; there is {', '.join(sorted(modes)) or 'none, see `tpumlir plugins list`'}")
