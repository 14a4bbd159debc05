"""Plugins: discovery in separate stages (find, check, import, register), health, and the extension points they implement.

Nothing here imports a plugin until it is asked for by name; see ``manager.PluginManager``.
"""

from tpumlir_core.plugins.health import Health, Plugin
from tpumlir_core.plugins.kinds import (
    CALIBRATOR,
    COMMAND,
    EXECUTOR,
    FRONTEND,
    HOOK,
    INTERPRETER,
    KINDS,
    OP,
    QUANTIZER,
    RUNNER,
    TARGET,
    Kind,
    kind_named,
)
from tpumlir_core.plugins.manager import PluginManager

__all__ = [
    "CALIBRATOR", "COMMAND", "EXECUTOR", "FRONTEND", "HOOK", "INTERPRETER", "KINDS", "OP", "QUANTIZER", "RUNNER", "TARGET",
    "Health", "Kind", "Plugin", "PluginManager", "kind_named",
]
