"""Loading hook plugins: one entry point at a time, so that a broken one is set aside and the others are still called."""

from __future__ import annotations

import pluggy

from tpumlir_core.errors import PluginError
from tpumlir_core.plugins.health import Health
from tpumlir_core.plugins.hookspecs import PROJECT, Hooks
from tpumlir_core.plugins.kinds import HOOK
from tpumlir_core.plugins.manager import PluginManager


def load_hooks(plugins: PluginManager) -> pluggy.PluginManager:
    """A pluggy manager with every healthy hook plugin registered. One that hooks what does not exist becomes broken."""
    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    for name in plugins.names(HOOK):
        try:
            extension = plugins.get(HOOK, name)
        except PluginError:
            continue  # its health and reason are kept by the manager
        try:
            hooks.register(extension, name)
            hooks.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if hooks.has_plugin(name):
                hooks.unregister(name=name)
            plugins.turn(plugins.find(HOOK, name), Health.BROKEN, " ".join(str(error).split()))
    return hooks
