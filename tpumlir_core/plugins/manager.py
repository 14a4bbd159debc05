"""The plugins of one run: asked for by kind and name, loaded when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tpumlir_core import __version__
from tpumlir_core.errors import PluginError, PluginFault, TpumlirError
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.finder import find
from tpumlir_core.plugins.health import Health, Plugin, check
from tpumlir_core.plugins.kinds import Kind, kind_named
from tpumlir_core.plugins.loader import LoadFailure, load
from tpumlir_core.plugins.settings import DISABLE_VARIABLE, Selection, Words

T = TypeVar("T")


class PluginManager:
    """Plugins in a fixed order (kind, name, distribution). One that fails to load never keeps others from working."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = list(plugins)
        self._loaded: dict[Plugin, Any] = {}

    @classmethod
    def discover(
        cls,
        environment: Mapping[str, str] | None = None,
        path: Sequence[str] | None = None,
        folder: Path | None = None,
        required: bool = True,
    ) -> PluginManager:
        """What is installed, checked against the settings that hold in ``folder`` (default: the working directory).

        Imports no plugin but those that the settings require, and raises PluginError when one of them cannot be used;
        with ``required`` False that is left out: for looking at plugins, not using them.
        """
        selection = Selection.from_environment(os.environ if environment is None else environment, folder)
        manager = cls(check(find(path), selection, __version__))
        if required:
            manager._require(selection)
        return manager

    def add_file(self, path: Path) -> None:
        """Add the plugins in a file, for this run. Raises PluginError when it cannot be imported or claims a name that is taken."""
        from tpumlir_core.plugins.files import load_file

        for plugin in load_file(path):
            taken = [p for p in self._plugins if (p.kind, p.name) == (plugin.kind, plugin.name) and p.health is Health.OK]
            if any(p.candidate != plugin.candidate for p in taken):
                advice = f"switch one off with {DISABLE_VARIABLE}={taken[0].candidate.distribution}"
                raise PluginError(f"{path}: {plugin.kind} {plugin.name} is also brought by {taken[0].origin}; {advice}")
            if not taken:
                self._plugins.append(plugin)

    def _require(self, selection: Selection) -> None:
        """Raises PluginError when a required plugin is not there or cannot be used."""
        for word in selection.required:
            meant = Words(selection.required_by, frozenset({word, canonical(word)}))
            found = [plugin for plugin in self._plugins if meant.matches(plugin.candidate)]
            if not found:
                raise PluginError(f"{selection.required_by} requires the plugin {word!r}, which is not installed")
            for plugin in found:
                try:
                    self.get(kind_named(plugin.kind), plugin.name)
                except PluginError as error:
                    raise PluginError(f"{error} ({selection.required_by} requires it)") from error

    def plugins(self, kind: Kind[Any] | None = None) -> list[Plugin]:
        """All of them, or all of one kind, whatever their health."""
        return [plugin for plugin in self._plugins if kind is None or plugin.kind == kind.name]

    def names(self, kind: Kind[Any]) -> list[str]:
        """Names that can be asked for, sorted."""
        return sorted(plugin.name for plugin in self.plugins(kind) if plugin.health is Health.OK)

    def find(self, kind: Kind[Any], name: str) -> Plugin:
        """The plugin, healthy or not. Raises PluginError with the names there are, when none is called so."""
        found = [plugin for plugin in self.plugins(kind) if plugin.name == name]
        if not found:
            there = ", ".join(self.names(kind)) or "none"
            raise PluginError(f"no {kind.name} is called {name!r} (installed: {there}); see `tpumlir plugins list`")
        return min(found, key=lambda plugin: plugin.health is not Health.OK)

    def get(self, kind: Kind[T], name: str) -> T:
        """The extension, loaded. Raises PluginError with the reason why it cannot be used."""
        plugin = self.find(kind, name)
        if plugin.health is Health.OK and plugin not in self._loaded:
            plugin = self._load(plugin)
        if plugin.health is not Health.OK:
            raise PluginError(f"{kind.name} {name} of {plugin.origin}: {plugin.health.value}: {plugin.reason}")
        extension: T = self._loaded[plugin]
        return extension

    def load_all(self, kind: Kind[T]) -> Iterator[tuple[str, T]]:
        """Name and extension of every plugin of a kind that loads; what does not is left with its reason in ``plugins``."""
        for name in self.names(kind):
            plugin = self._load(self.find(kind, name))
            if plugin.health is Health.OK:
                yield name, self._loaded[plugin]

    def _load(self, plugin: Plugin) -> Plugin:
        if plugin in self._loaded:
            return plugin
        try:
            self._loaded[plugin] = load(plugin)
            return plugin
        except LoadFailure as failure:
            return self.turn(plugin, failure.health, failure.reason)

    def turn(self, plugin: Plugin, health: Health, reason: str) -> Plugin:
        """Keep a new health for a plugin; later questions are answered with it."""
        turned = plugin.turned(health, reason)
        self._plugins[self._plugins.index(plugin)] = turned
        self._loaded.pop(plugin, None)
        return turned

    @contextmanager
    def calling(self, kind: Kind[Any], name: str, action: str) -> Iterator[None]:
        """Around a call into a plugin: a fault that is none of ours becomes a PluginFault that names plugin and action."""
        try:
            yield
        except (TpumlirError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:
            origin = self.find(kind, name).origin
            text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
            raise PluginFault(f"{kind.name} {name} of {origin} failed in {action}: {text}") from error
