"""Choosing a plugin by what it says it can do: the frontend or runner for a file, the quantizer for a mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from tpumlir_core.errors import InputError, PluginFault
from tpumlir_core.files import read_head
from tpumlir_core.plugins.extension_points import Frontend, ImportOptions, Quantizer, Runner, Target
from tpumlir_core.plugins.health import Health
from tpumlir_core.plugins.kinds import FRONTEND, QUANTIZER, Kind
from tpumlir_core.plugins.manager import PluginManager

Reader = TypeVar("Reader", Frontend, Runner, Target)


def recognize(kind: Kind[Reader], path: Path, plugins: PluginManager) -> tuple[str, Reader] | None:
    """The first plugin of a kind, by name, that knows the file; None when none does. One that fails here knows it not."""
    return next(_knowing(kind, path, plugins), None)


def recognize_source(path: Path, plugins: PluginManager) -> tuple[str, Frontend] | None:
    """The frontend that knows the file or folder; None when none does. Raises InputError when several do."""
    found = list(_knowing(FRONTEND, path, plugins))
    if len(found) > 1:
        names = [name for name, _ in found]
        raise InputError(f"{path}: the frontends {' and '.join(names)} both know this file; choose one, as in --frontend {names[0]}")
    return found[0] if found else None


def _knowing(kind: Kind[Reader], path: Path, plugins: PluginManager) -> Iterator[tuple[str, Reader]]:
    folder = path.is_dir()
    head = b"" if folder else read_head(path)
    for name, extension in plugins.load_all(kind):
        if folder and not _reads_folders(extension):
            continue
        try:
            with plugins.calling(kind, name, "recognizes"):
                known = extension.recognizes(path, head)
        except PluginFault as fault:
            plugins.turn(plugins.find(kind, name), Health.BROKEN, str(fault))
            continue
        if known:
            yield name, extension


def _reads_folders(extension: object) -> bool:
    return isinstance(extension, Frontend) and extension.reads_folders


def require(kind: Kind[Reader], name: str, path: Path, plugins: PluginManager) -> tuple[str, Reader]:
    """The plugin called ``name``, or with "" the one that knows the file. Raises PluginError or InputError with what there is."""
    if name:
        return name, plugins.get(kind, name)
    found = recognize(kind, path, plugins)
    if found is None:
        raise unknown(path, plugins, kind)
    return found


def source_frontend(
    name: str, path: Path, options: ImportOptions, plugins: PluginManager, *asked: Kind[Any]
) -> tuple[str, Frontend]:
    """The frontend called ``name``, or with "" the one that knows the model; it can do what ``options`` ask for.

    Raises PluginError or InputError with what there is, also of the other kinds that were ``asked`` for it.
    """
    found = (name, plugins.get(FRONTEND, name)) if name else recognize_source(path, plugins)
    if found is None:
        raise unknown(path, plugins, *asked, FRONTEND)
    if path.is_dir() and not found[1].reads_folders:
        raise InputError(f"{path}: it is a folder, and the frontend {found[0]} reads files only")
    if options.input_names and not found[1].cuts_inputs:
        raise InputError(f"{path}: the frontend {found[0]} cannot begin a network at other inputs than its own (--input-names)")
    return found


def unknown(path: Path, plugins: PluginManager, *kinds: Kind[Any]) -> InputError:
    """The error for a file that no plugin of these kinds knows, with the plugins there are and their health."""
    asked = " and no ".join(kind.name for kind in kinds)
    what = "folder" if path.is_dir() else "file"
    states = "; ".join(f"{kind.name}s: {', '.join(_states(kind, plugins)) or 'none, install one'}" for kind in kinds)
    return InputError(f"{path}: no {asked} knows this {what} ({states})")


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
