"""Custom operators: operation classes that a plugin brings, with all that their author says about them.

Authors import from ``tpumlir_core.custom``. Nothing is registered anywhere: an ``OperatorSet`` (``operator_lookup``) holds the
operators of a run.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, dataclass_transform

import numpy as np

from tpumlir_core.errors import InputError, PluginFault, TpumlirError
from tpumlir_core.ir.operation import Array, Operation, Value, declare
from tpumlir_core.ir.types import TensorType

OWN_DIALECTS = ("top", "tpu", "func", "")
QUANTIZATIONS = ("float", "same_scale")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Source:
    """What a framework calls an operator: ``name`` is ``domain::type``. ``attributes``: ours -> the framework's, where the two
    are called differently."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Builder(Protocol):
    """What ``decompose`` writes its operations with; each gives the value of one new operation, in the order of the calls."""

    def __call__(self, cls: type[Operation], *operands: Value | None, **attributes: Any) -> Value:
        """A Top operation of one result: ``builder(top.Add, a, b)``."""

    def weight(self, array: Array | float) -> Value:
        """A constant, kept as float32."""

    def reshape(self, value: Value, *shape: int) -> Value:
        """The same elements under another shape."""

    def permute(self, value: Value, *order: int) -> Value:
        """The axes in another order."""

    def times(self, value: Value, factor: float) -> Value:
        """A value times a constant."""

    def plus(self, value: Value, term: float) -> Value:
        """A value plus a constant."""


class Operator(Operation, ABC):
    """Base of custom operators; decorate the subclass with ``operator``. Its annotated fields are the attributes.

    ``sources``: frontend -> what the operator is called there; a plain ``domain::type`` maps attributes by name.
    ``kernels``: chip -> a kernel class for that target, or ``"module:Class"``, imported only when the chip is compiled for.
    ``quantization``: how integer modes treat it: "float" (computed in float, between casts) or "same_scale" (only moves
    elements, so that operand and result share one scale). In F32 both mean the same. ``host``: whether the host may compute it at the
    end of a network, by ``reference``, where the chip does not.
    """

    sources: ClassVar[Mapping[str, str | Source]] = {}
    kernels: ClassVar[Mapping[str, type[Any] | str]] = {}
    quantization: ClassVar[str] = "float"
    origin: ClassVar[str] = ""
    """Distribution and version, or file, that brings it; set when the plugin is loaded."""

    @abstractmethod
    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        """Result types from operand types (None: absent). Raise ValueError with what does not fit."""

    @abstractmethod
    def reference(self, *inputs: Array | None) -> Array | Sequence[Array]:
        """What it computes, in numpy: the result, or one array per result. ``inputs`` cannot be written to."""

    def decompose(self, builder: Builder) -> Value | Sequence[Value] | None:
        """The result, or one value per result, made of Top operations with ``builder``; None where that cannot be done.

        Used on every chip that has no kernel in ``kernels``."""
        return None

    @classmethod
    def examples(cls) -> Sequence[tuple[Sequence[tuple[int, ...]], Mapping[str, Any]]]:
        """Operand shapes and attributes that the conformance kit tries it on; without any it tries shapes of its own."""
        return ()

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        """What ``reference`` gives, floats as float32. Raises PluginFault where it contradicts ``infer``."""
        given = self.reference(*(None if array is None else _locked(array) for array in inputs))
        arrays = [np.asarray(one) for one in ([given] if isinstance(given, np.ndarray | np.generic) else given)]
        expected, found = [value.shape for value in self.results], [array.shape for array in arrays]
        if found != expected:
            raise self.fault("reference", f"infer says that the results have the shapes {expected}, reference gives {found}")
        own = [array if array.flags.writeable else array.copy() for array in arrays]
        return [array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array for array in own]

    def kernel(self, chip: str) -> Any:
        """A new kernel for a chip, or None where the operator brings none. Its methods' faults name this operator."""
        cls = self.kernels.get(chip)
        if cls is None:
            return None
        return self.blamed(_make, f"making its kernel for {chip}")(cls)

    @classmethod
    def decomposes(cls) -> bool:
        """Whether its author gives a decomposition."""
        return cls.decompose is not Operator.decompose

    @classmethod
    def fault(cls, action: str, text: str) -> PluginFault:
        """The error for something that the operator's own code does wrong."""
        return PluginFault(f"operator {cls.opcode} of {cls.origin or cls.__module__} failed in {action}: {' '.join(text.split())}")

    @classmethod
    def blamed(cls, function: Callable[..., Answer], action: str) -> Callable[..., Answer]:
        """``function``, its faults turned into ones that name this operator and ``action``."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Answer:
            try:
                return function(*arguments, **named)
            except TpumlirError:
                raise
            except Exception as error:
                raise cls.fault(action, f"{type(error).__name__}: {error}".rstrip(": ")) from error

        return call


OperatorT = TypeVar("OperatorT", bound=Operator)


@dataclass_transform(kw_only_default=True)
def operator(opcode: str, operands: str = "input", results: str = "output") -> Callable[[type[OperatorT]], type[OperatorT]]:
    """Declare a custom operator: ``@operator("acme.Swap", "input, bias?")``, with a dialect of one's own before the dot.

    ``x*`` is repeated, ``x?`` may be absent; ``results="outputs*"``: as many as the model's node has. Raises TypeError for a
    declaration that cannot work, so that the plugin is broken from the start.
    """

    def finish(cls: type[OperatorT]) -> type[OperatorT]:
        cls = declare(cls, opcode, operands, results)
        _check(cls)
        _guard(cls)
        return cls

    return finish


def _check(cls: type[Operator]) -> None:
    from tpumlir_core.ir.text.attributes import attribute_specs

    dialect, _, name = cls.opcode.partition(".")
    if dialect in OWN_DIALECTS or not name:
        raise TypeError(f"operator {cls.opcode!r}: name it DIALECT.Name, in a dialect of your own")
    absent = sorted(cls.__abstractmethods__)
    if absent:
        raise TypeError(f"operator {cls.opcode}: it has no {' and no '.join(absent)}")
    if cls.quantization not in QUANTIZATIONS:
        raise TypeError(f"operator {cls.opcode}: quantization is {cls.quantization!r}; there is {', '.join(QUANTIZATIONS)}")
    if not cls.decomposes() and not cls.kernels and not cls.host:
        raise TypeError(f"operator {cls.opcode}: it has neither decompose nor kernels, so no chip could compute it, nor is it for the host")
    attribute_specs(cls)


def _guard(cls: type[Operator]) -> None:
    """Let faults in the author's methods name the operator."""
    infer, reference, decompose = cls.infer, cls.reference, cls.decompose

    @functools.wraps(infer)
    def checked(self: Operator, types: Sequence[TensorType | None]) -> list[TensorType]:
        try:
            found = infer(self, types)
        except ValueError as error:
            raise InputError(f"{self.opcode}: {' '.join(str(error).split())}") from error
        if not isinstance(found, list) or not all(isinstance(one, TensorType) for one in found):
            raise self.fault("infer", f"it gives {found!r}, not a list of TensorType")
        if len(found) != len(self.result_names) and self.result_names != ("outputs",):
            raise self.fault("infer", f"it gives {len(found)} types for the results {', '.join(self.result_names)}")
        return found

    cls.infer = cls.blamed(checked, "infer")  # type: ignore[method-assign]
    cls.reference = cls.blamed(reference, "reference")  # type: ignore[method-assign]
    if cls.decomposes():
        cls.decompose = cls.blamed(decompose, "decompose")  # type: ignore[method-assign]


def _locked(array: Array) -> Array:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _make(cls: type[Any] | str) -> Any:
    if not isinstance(cls, str):
        return cls()
    module, _, name = cls.partition(":")
    return getattr(importlib.import_module(module), name)()
