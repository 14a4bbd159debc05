"""What a pass is, the registry of passes and pipelines, and how a pipeline runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from tpumlir_core.errors import InputError, InternalError, PluginFault
from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.ir.verify import verify
from tpumlir_core.passes.foreign import Origin, run_foreign
from tpumlir_core.passes.insertion import Insert, place


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
    """What pipelines are built from: ``supported`` tells whether the target has a kernel for an operation, ``target`` is its
    name ("" where a pipeline is for any)."""

    supported: Callable[[Operation], bool] = everything
    target: str = ""


Extension = Callable[[str, Sequence[Pass], PipelineOptions], Sequence[Insert]]
"""Pipeline name, its passes and options -> passes to insert."""


def of_the_core(step: Pass) -> Origin | None:
    """The origin of passes that no plugin brings."""
    return None


class PassRegistry:
    """Passes and pipelines by name. A fresh one holds nothing; :func:`tpumlir_core.passes.builtin_registry` has the built-in ones."""

    def __init__(self) -> None:
        self._passes: dict[str, type[Pass]] = {}
        self._pipelines: dict[str, Callable[[PipelineOptions], Sequence[Pass]]] = {}
        self._extensions: list[tuple[Origin, Extension]] = []
        self._origins: dict[type[Pass], Origin] = {}
        self._pipeline_origins: dict[str, Origin] = {}
        self._crediting: Origin | None = None

    def register(self, *classes: type[Pass]) -> None:
        """Add passes. Raises InternalError when a name is empty or taken."""
        for cls in classes:
            if not cls.name or cls.name in self._passes:
                raise InternalError(f"pass name {cls.name!r} of {cls.__name__} is empty or taken")
            self._passes[cls.name] = cls
            if self._crediting is not None:
                self._origins[cls] = self._crediting

    @contextmanager
    def crediting(self, origin: Origin) -> Iterator[None]:
        """What is registered in the body is from this distribution."""
        self._crediting = origin
        try:
            yield
        finally:
            self._crediting = None

    def origin(self, step: Pass) -> Origin | None:
        """The distribution that brought a pass; None for the core's own."""
        return self._origins.get(type(step))

    def extend(self, origin: Origin, extension: Extension) -> None:
        """Ask ``extension``, which is from ``origin``, for passes to insert whenever a pipeline is made."""
        self._extensions.append((origin, extension))

    def register_pipeline(self, name: str, build: Callable[[PipelineOptions], Sequence[Pass]]) -> None:
        """Add a pipeline: ``build`` gives its passes in order. Raises InternalError when the name is taken."""
        if name in self._pipelines:
            raise InternalError(f"pipeline name {name!r} is taken")
        self._pipelines[name] = build
        if self._crediting is not None:
            self._pipeline_origins[name] = self._crediting

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
        """The passes of a pipeline, those that plugins insert included; a plugin's pass is registered by being in one.

        Raises InputError for an unknown one, PluginFault for an insertion that cannot be made."""
        if name not in self._pipelines:
            raise InputError(f"pipeline {name!r} is not known; expected one of {', '.join(self.pipelines())}")
        passes = tuple(self._pipelines[name](options))
        asked = [(origin, insert) for origin, extension in self._extensions for insert in extension(name, passes, options)]
        brought = [(self._pipeline_origins[name], step) for step in passes] if name in self._pipeline_origins else []
        for origin, step in (*brought, *((origin, insert.step) for origin, insert in asked)):
            self._admit(type(step), origin)
        placed, homeless = place(passes, [insert for _, insert in asked])
        for origin, insert in asked:
            if any(insert is one for one in homeless):
                there = ", ".join(dict.fromkeys(step.name for step in placed))
                wanted = f"before {insert.before}" if insert.before else f"after {insert.after}"
                raise PluginFault(f"pass {insert.step.name} of {origin} is to run {wanted}, but pipeline {name} has only {there}")
        return placed

    def _admit(self, cls: type[Pass], origin: Origin) -> None:
        """Register the class of a plugin's pass, unless it is known."""
        if self._passes.get(cls.name) is cls:
            return
        with self.crediting(origin):
            try:
                self.register(cls)
            except InternalError as error:
                raise PluginFault(f"{origin} brings a pass that cannot be: {error}") from error


def run_passes(
    passes: Sequence[Pass],
    module: Module,
    *,
    print_after: Collection[str] = (),
    observer: Observer | None = None,
    origin: Callable[[Pass], Origin | None] = of_the_core,
) -> bool:
    """Run ``passes`` in order; the module is verified before the first and after each that changed it.

    ``print_after`` names passes after which the module's text goes to stderr (``all``: after each). ``origin`` tells which
    distribution a plugin's pass is from; such a pass is watched closer, see ``run_foreign``. Returns whether anything changed.
    """
    verify(module)
    anything = False
    for step in passes:
        start = time.perf_counter()
        source = origin(step)
        changed = step.run(module) if source is None else run_foreign(step, module, source)
        seconds = time.perf_counter() - start
        if changed:
            anything = True
            if source is None:
                verify(module, step.name)
        if step.name in print_after or "all" in print_after:
            from tpumlir_core.ir.text import print_module

            print(f"// after {step.name}\n{print_module(module)}", file=sys.stderr)
        if observer is not None:
            observer(step, module, changed, seconds)
    return anything
