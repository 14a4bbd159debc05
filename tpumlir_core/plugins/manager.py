"""The plugins of one run: asked for by kind and name, loaded when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tpumlir_core import __version__
from tpumlir_core.errors import PluginError, PluginFault, TpumlirError
from tpumlir_core.plugins.finder import find
from tpumlir_core.plugins.health import Health, Plugin, Selection, check
from tpumlir_core.plugins.kinds import Kind
from tpumlir_core.plugins.loader import LoadFailure, load

T = TypeVar("T")


class PluginManager:
    """Plugins in a fixed order (kind, name, distribution). One that fails to load never keeps others from working."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = list(plugins)
        self._loaded: dict[Plugin, Any] = {}

    @classmethod
    def discover(cls, environment: Mapping[str, str] | None = None, path: Sequence[str] | None = None) -> PluginManager:
        """What is installed, checked against the settings. Imports no plugin."""
        selection = Selection.from_environment(os.environ if environment is None else environment)
        return cls(check(find(path), selection, __version__))

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
        except TpumlirError:
            raise
        except Exception as error:
            origin = self.find(kind, name).origin
            text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
            raise PluginFault(f"{kind.name} {name} of {origin} failed in {action}: {text}") from error
