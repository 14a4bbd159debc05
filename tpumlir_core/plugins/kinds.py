"""The kinds of plugins: what the user calls them, their entry-point group and the class they must implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    import click

    from tpumlir_core.ir.operator import Operator
    from tpumlir_core.plugins.extension_points import Calibrator, Executor, Frontend, Interpreter, Quantizer, Runner, Target

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One extension point. ``contract`` is ``module:class`` of the class that an extension must be, "" where any will do.

    The contract is text, so that listing plugins imports neither it nor what it needs. ``of_classes``: the extension is a
    subclass of it, not an instance.
    """

    name: str
    contract: str = ""
    of_classes: bool = False

    @property
    def group(self) -> str:
        """The entry-point group, the plural of the name."""
        return f"tpumlir.{self.name}s"


_CONTRACTS = "tpumlir_core.plugins.extension_points"

FRONTEND: Kind[Frontend] = Kind("frontend", f"{_CONTRACTS}:Frontend")
TARGET: Kind[Target] = Kind("target", f"{_CONTRACTS}:Target")
QUANTIZER: Kind[Quantizer] = Kind("quantizer", f"{_CONTRACTS}:Quantizer")
RUNNER: Kind[Runner] = Kind("runner", f"{_CONTRACTS}:Runner")
INTERPRETER: Kind[Interpreter] = Kind("interpreter", f"{_CONTRACTS}:Interpreter")
CALIBRATOR: Kind[Calibrator] = Kind("calibrator", f"{_CONTRACTS}:Calibrator")
EXECUTOR: Kind[Executor] = Kind("executor", f"{_CONTRACTS}:Executor")
OP: Kind[type[Operator]] = Kind("op", "tpumlir_core.custom:Operator", of_classes=True)
COMMAND: Kind[click.Command] = Kind("command", "click:Command")
HOOK: Kind[Any] = Kind("hook")

KINDS: tuple[Kind[Any], ...] = (FRONTEND, TARGET, QUANTIZER, RUNNER, INTERPRETER, CALIBRATOR, EXECUTOR, OP, COMMAND, HOOK)


def kind_named(name: str) -> Kind[Any]:
    """The kind that the user calls ``name``. Raises InputError with all the names there are."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise InputError(f"{name}: no such kind of plugin; the kinds are {', '.join(kind.name for kind in KINDS)}")
