"""What a pass is, the registry of passes and pipelines, and how a pipeline runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.ir.verify import verify


@dataclass(frozen=True)
class Pass:
    """A transformation of a module in place. Options are fields of the subclass, a frozen dataclass."""

    name: ClassVar[str] = ""

    def run(self, module: Module) -> bool:
        """Transform; whether anything changed."""
        raise InternalError(f"pass {self.name} has no run")


class Observer(Protocol):
    """Is told after every pass: the pass, the module as it is now, whether it changed, and the seconds it took."""

    def __call__(self, done: Pass, module: Module, changed: bool, seconds: float) -> None: ...


def everything(op: Operation) -> bool:
    """The predicate of a target without limits."""
    return True


@dataclass(frozen=True)
class PipelineOptions:
    """What pipelines are built from: ``supported`` tells whether the target has a kernel for an operation."""

    supported: Callable[[Operation], bool] = everything


class PassRegistry:
    """Passes and pipelines by name. A fresh one holds nothing; :func:`tpumlir_core.passes.builtin_registry` has the built-in ones."""

    def __init__(self) -> None:
        self._passes: dict[str, type[Pass]] = {}
        self._pipelines: dict[str, Callable[[PipelineOptions], Sequence[Pass]]] = {}

    def register(self, *classes: type[Pass]) -> None:
        """Add passes. Raises InternalError when a name is empty or taken."""
        for cls in classes:
            if not cls.name or cls.name in self._passes:
                raise InternalError(f"pass name {cls.name!r} of {cls.__name__} is empty or taken")
            self._passes[cls.name] = cls

    def register_pipeline(self, name: str, build: Callable[[PipelineOptions], Sequence[Pass]]) -> None:
        """Add a pipeline: ``build`` gives its passes in order. Raises InternalError when the name is taken."""
        if name in self._pipelines:
            raise InternalError(f"pipeline name {name!r} is taken")
        self._pipelines[name] = build

    def passes(self) -> list[str]:
        """Names of all passes, sorted."""
        return sorted(self._passes)

    def pipelines(self) -> list[str]:
        """Names of all pipelines, sorted."""
        return sorted(self._pipelines)

    def create(self, name: str, **options: Any) -> Pass:
        """The pass ``name`` with its options. Raises InputError for an unknown pass or option."""
        if name not in self._passes:
            raise InputError(f"pass {name!r} is not known; expected one of {', '.join(self.passes())}")
        cls = self._passes[name]
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise InputError(f"pass {name}: option {unknown[0]!r} is not known; expected one of {', '.join(known) or 'none'}")
        return cls(**options)

    def pipeline(self, name: str, options: PipelineOptions) -> list[Pass]:
        """The passes of a pipeline. Raises InputError for an unknown one."""
        if name not in self._pipelines:
            raise InputError(f"pipeline {name!r} is not known; expected one of {', '.join(self.pipelines())}")
        return list(self._pipelines[name](options))


def run_passes(
    passes: Sequence[Pass], module: Module, *, print_after: Collection[str] = (), observer: Observer | None = None
) -> bool:
    """Run ``passes`` in order; the module is verified before the first and after each that changed it.

    ``print_after`` names passes after which the module's text goes to stderr (``all``: after each). Returns whether anything changed.
    """
    verify(module)
    anything = False
    for step in passes:
        start = time.perf_counter()
        changed = step.run(module)
        seconds = time.perf_counter() - start
        if changed:
            anything = True
            verify(module, step.name)
        if step.name in print_after or "all" in print_after:
            from tpumlir_core.ir.text import print_module

            print(f"// after {step.name}\n{print_module(module)}", file=sys.stderr)
        if observer is not None:
            observer(step, module, changed, seconds)
    return anything
