"""The custom operators that the plugins of a run bring."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.ir.operation import Module
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.plugins.health import Health
from tpumlir_core.plugins.kinds import OP, Kind
from tpumlir_core.plugins.manager import PluginManager


def operator_set(plugins: PluginManager) -> OperatorSet:
    """All of them; their plugins are imported when an operator that the core does not know first occurs."""

    def load() -> tuple[Sequence[tuple[str, type[Operator]]], Sequence[str]]:
        found = [(plugins.find(OP, name).origin, cls) for name, cls in plugins.load_all(OP)]
        sick = [plugin for plugin in plugins.plugins(OP) if plugin.health is not Health.OK]
        return found, [f"{plugin.name} of {plugin.origin} is {plugin.health.value} ({plugin.reason})" for plugin in sick]

    return OperatorSet(load)


def operator_plugins(module: Module, plugins: PluginManager) -> list[tuple[Kind[type[Operator]], str]]:
    """The plugins of the custom operators in a module."""
    used = {type(op) for op in module.function.operations if isinstance(op, Operator)}
    return [(OP, name) for name, cls in plugins.load_all(OP) if cls in used] if used else []
