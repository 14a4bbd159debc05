"""Stages three and four, import and register: one checked plugin at a time, its faults kept apart from the others'."""

from __future__ import annotations

import importlib
import io
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint
from typing import Any

from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.health import Health, Plugin
from tpumlir_core.plugins.kinds import HOOK, kind_named


class LoadFailure(Exception):
    """A plugin could not be imported or is not what its kind asks for: the health it is in, and why."""

    def __init__(self, health: Health, reason: str) -> None:
        super().__init__(reason)
        self.health = health
        self.reason = reason


def load(plugin: Plugin) -> Any:
    """The extension itself: a class is instantiated without arguments, an instance is taken as it is. Raises LoadFailure."""
    found = _import(plugin)
    kind = kind_named(plugin.kind)
    contract = kind.contract
    if kind is HOOK:
        return _hooks(plugin, found)
    if not contract:
        return found
    wanted = attribute(contract)
    if kind.of_classes:
        return _operator(plugin, found, contract, wanted)
    if isinstance(found, type):
        found = _instantiate(plugin, found)
    if not isinstance(found, wanted):
        reason = f"{plugin.candidate.value} is {type(found).__name__}, a {plugin.kind} must be a {contract}"
        raise LoadFailure(Health.BROKEN, reason)
    return found


def _operator(plugin: Plugin, found: Any, contract: str, wanted: Any) -> Any:
    """A class that is an extension itself; it is told where it comes from, for its errors."""
    if not (isinstance(found, type) and issubclass(found, wanted)):
        raise LoadFailure(Health.BROKEN, f"{plugin.candidate.value} is no class derived from {contract}")
    if not vars(found).get("opcode"):
        raise LoadFailure(Health.BROKEN, f"{plugin.candidate.value} is not declared; put @operator(...) above the class")
    operator: Any = found
    operator.origin = plugin.origin
    return operator


def _hooks(plugin: Plugin, found: Any) -> Any:
    """Functions marked as hooks, all of which must be such that there are, with arguments that these have."""
    import pluggy

    from tpumlir_core.plugins.hookspecs import PROJECT, Hooks

    if isinstance(found, type):
        found = _instantiate(plugin, found)
    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    try:
        hooks.register(found, plugin.name)
        hooks.check_pending()
    except pluggy.PluginValidationError as error:
        raise LoadFailure(Health.BROKEN, " ".join(str(error).split())) from error
    return found


def _import(plugin: Plugin) -> Any:
    """What the entry point names; what its import prints is dropped, stdout is for facts.

    stevedore loads it, but is given this one entry point: its own listing may be stale.
    """
    from stevedore.driver import DriverManager

    entry_point = EntryPoint(plugin.name, plugin.candidate.value, kind_named(plugin.kind).group)

    class OneDriver(DriverManager[Any]):
        def list_entry_points(self) -> list[EntryPoint]:
            return [entry_point]

    try:
        with redirect_stdout(io.StringIO()):
            return OneDriver(entry_point.group, entry_point.name, on_load_failure_callback=_reraise).driver
    except ModuleNotFoundError as error:
        raise _missing(plugin, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and what native extensions panic with
        raise LoadFailure(Health.BROKEN, f"its import failed: {one_line(error)}") from error


def _reraise(manager: object, entry_point: EntryPoint, error: BaseException) -> None:
    raise error


def _missing(plugin: Plugin, error: ModuleNotFoundError) -> LoadFailure:
    from packaging.requirements import Requirement

    module = error.name or ""
    if not module or module.partition(".")[0] == plugin.candidate.package:
        return LoadFailure(Health.BROKEN, f"its import failed: {one_line(error)}")
    top = canonical(module.partition(".")[0])
    named = [Requirement(line).name for line in plugin.candidate.requires if canonical(Requirement(line).name) == top]
    return LoadFailure(Health.MISSING, f"it needs the module {module}: pip install {(named or [module.partition('.')[0]])[0]}")


def _instantiate(plugin: Plugin, cls: type[Any]) -> Any:
    try:
        with redirect_stdout(io.StringIO()):
            return cls()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise LoadFailure(Health.BROKEN, f"{cls.__name__}() failed: {one_line(error)}") from error


def attribute(path: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def one_line(error: BaseException) -> str:
    """The class and the text of an error, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
