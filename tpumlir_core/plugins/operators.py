"""The custom operators that the plugins of a run bring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tpumlir_core.ir.operation import Module
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet, source_of
from tpumlir_core.plugins.health import Health
from tpumlir_core.plugins.kinds import OP, Kind
from tpumlir_core.plugins.manager import PluginManager
from tpumlir_core.plugins.settings import DISABLE_VARIABLE


def operator_set(plugins: PluginManager) -> OperatorSet:
    """All of them; their plugins are imported when an operator that the core does not know first occurs."""

    def load() -> tuple[Sequence[type[Operator]], Sequence[str]]:
        loaded = dict(plugins.load_all(OP))
        _settle_conflicts(loaded, plugins)
        found = [cls for name, cls in loaded.items() if plugins.find(OP, name).health is Health.OK]
        sick = [plugin for plugin in plugins.plugins(OP) if plugin.health is not Health.OK]
        return found, [f"{plugin.name} of {plugin.origin} is {plugin.health.value} ({plugin.reason})" for plugin in sick]

    return OperatorSet(load)


def _settle_conflicts(loaded: Mapping[str, type[Operator]], plugins: PluginManager) -> None:
    """An opcode, or a framework's name, that several operators claim goes to none of them."""
    claims: dict[str, dict[type[Operator], str]] = defaultdict(dict)
    for name, cls in loaded.items():
        named = {f"{framework} {source.name}" for framework in cls.sources if (source := source_of(cls, framework))}
        for claim in sorted({cls.opcode, *named}):
            claims[claim].setdefault(cls, name)  # mypy does not see that a class is hashable when its instances define __hash__
    for claim, claimants in claims.items():
        if len(claimants) < 2:
            continue
        rivals = [plugins.find(OP, name) for name in claimants.values()]
        origins = " and ".join(plugin.origin for plugin in rivals)
        for plugin in rivals:
            if plugin.health is Health.OK:
                advice = f"uninstall one, or switch one off with {DISABLE_VARIABLE}=DISTRIBUTION"
                plugins.turn(plugin, Health.CONFLICT, f"{origins} both bring {claim}; {advice}")


def operator_plugins(module: Module, plugins: PluginManager) -> list[tuple[Kind[type[Operator]], str]]:
    """The plugins of the custom operators in a module."""
    used = {type(op) for op in module.function.operations if isinstance(op, Operator)}
    return [(OP, name) for name, cls in plugins.load_all(OP) if cls in used] if used else []
