"""Builds a Top function, operation by operation, on behalf of a frontend."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tpumlir_core.errors import AbsentFrameworkError, InputError, UnsupportedError
from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, TensorType, Value, WeightStore, top
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet, imported_operation

LARGEST_TENSOR = 1 << 32
"""Bytes of the largest tensor that is accepted: far above any real one, and what a broken file may claim ends here."""
_EXACT_IN_FLOAT32 = 1 << 24


class TopBuilder:
    """The Top function of one import so far, its weights, and the names that are taken.

    Whoever walks the source's nodes says with ``work_on`` which one is at work, for the messages.
    """

    def __init__(self, reserved: Sequence[str] = (), operators: OperatorSet | None = None) -> None:
        self.function = Function()
        self.weights = WeightStore()
        self.operators = operators or OperatorSet()
        self.unsupported: list[str] = []
        self.work_on("the model", "")
        self._names: set[str] = set(reserved)

    def work_on(self, operator: str, label: str, where: str = "") -> None:
        """The node at work: what the source calls its operator, its own name, and how messages put both (default: both)."""
        self.operator, self.label, self.where = operator, label, where or f"{operator} {label}".strip()

    def refusal(self, what: str) -> UnsupportedError:
        """The error that the node at work, ``with`` something, is not supported: say only what, as "dilations"."""
        return UnsupportedError(f"{self.operator} with {what} (node {self.label})")

    # --- operations ---------------------------------------------------------------------------------------------
    def input(self, name: str, shape: tuple[int, ...], element: ElementType = ElementType.F32) -> Value:
        """Declare a network input."""
        operation = top.Input.create([], [(self.unique(name), TensorType(shape, element))])
        self.function.operations.append(operation)
        return operation.output

    def weight(self, name: str, array: Array) -> Value:
        """A Weight operation for an array (float32, or int32 where float32 would not be exact)."""
        stored = stored_form(array)
        if stored.size == 0:
            raise self.refusal("an empty tensor")
        element = ElementType.F32 if stored.dtype == np.float32 else ElementType.SI32
        name = self.unique(name)
        operation = top.Weight.create([], [(name, TensorType(stored.shape, element))])
        self.weights[name] = stored
        self.function.operations.append(operation)
        return operation.output

    def add(self, name: str, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append an operation with one result, called ``name`` or, if that is taken, something like it."""
        operation = kind.create(operands, [self.unique(name)], **attributes)
        self.check_size(operation.output.shape)
        if 0 in operation.output.shape:
            raise self.refusal("an empty result")
        self.function.operations.append(operation)
        return operation.output

    def add_many(self, names: Sequence[str], kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> list[Value]:
        """Append an operation with several results."""
        operation = kind.create(operands, [self.unique(name) for name in names], **attributes)
        self.function.operations.append(operation)
        return operation.results

    def add_custom(
        self, kind: type[Operator], frontend: str, operands: Sequence[Value | None], attributes: Mapping[str, Any], outputs: Sequence[str]
    ) -> Operator:
        """Append a custom operator for a node that ``frontend`` calls so, its results named after ``outputs``.

        Raises InputError for operands or attributes that do not fit its declaration.
        """
        try:
            operation = imported_operation(kind, frontend, operands, attributes, outputs, self.unique)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from None
        for value in operation.results:
            self.check_size(value.shape)
        self.function.operations.append(operation)
        return operation

    # --- names and limits -----------------------------------------------------------------------------------------
    def unique(self, name: str) -> str:
        """A name that is free and fit for calibration tables: no white space, no leading '#'."""
        free = base = re.sub(r"[\s\"\x00-\x1f]+", "_", name).replace("#", "_") or "tensor"
        count = 0
        while free in self._names:
            count += 1
            free = f"{base}_{count}"
        self._names.add(free)
        return free

    def check_size(self, shape: Sequence[int]) -> None:
        """Raise InputError if no tensor of this shape, or table of its extents, should be made."""
        if math.prod(shape) > LARGEST_TENSOR // 4:
            raise InputError(f"{self.where}: a tensor of shape {list(shape)} is too large")

    # --- the end ----------------------------------------------------------------------------------------------------
    def module(self, name: str, outputs: Sequence[Value], platform: str) -> Module:
        """The finished module, without what no output needs. ``platform`` is what TPU-MLIR calls the source framework.

        Raises UnsupportedError with all of ``unsupported``, InputError where there is no output.
        """
        self.check_supported()
        if not outputs:
            raise InputError("the model has no output")
        self.function.outputs = list(outputs)
        title = re.sub(r"\W+", "_", name) or "network"
        module = Module(title, self.function, self.weights, {"module.state": "TOP_F32", "module.platform": platform})
        _drop_unused(module)
        return module

    def check_supported(self) -> None:
        """Raise UnsupportedError with all of ``unsupported``, if there is any."""
        if self.unsupported:
            items = sorted(set(self.unsupported))
            raise UnsupportedError("operators that are not supported", (*items[:-1], items[-1] + self.operators.remark()))


def _drop_unused(module: Module) -> None:
    """Remove weights, and steps, that conversion made but nothing reads in the end."""
    dead = set()
    for operation in reversed(module.function.operations):
        if not isinstance(operation, top.Input) and not any(result.uses for result in operation.results):
            operation.drop_operands()
            dead.add(operation)
    for name in (result.name for operation in dead for result in operation.results if result.name in module.weights):
        del module.weights[name]
    module.function.remove(dead)


def stored_form(array: Array) -> Array:
    """float32, or int32 for integers that float32 cannot hold exactly."""
    if array.dtype.kind in "iu" and array.size:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > _EXACT_IN_FLOAT32 and low >= -(1 << 31) and high < 1 << 31:
            return array.astype(np.int32)
    return array if array.dtype == np.float32 else array.astype(np.float32)


@contextmanager
def named(path: object) -> Iterator[None]:
    """Put the file in front of the message of an InputError, which stays one line whatever names the file has."""
    try:
        yield
    except AbsentFrameworkError as error:
        raise AbsentFrameworkError(one_line(f"{path}: {error}")) from None
    except UnsupportedError as error:
        message = str(error).removesuffix(f": {'; '.join(error.items)}")
        raise UnsupportedError(one_line(f"{path}: {message}"), tuple(map(one_line, error.items))) from None
    except InputError as error:
        raise InputError(one_line(f"{path}: {error}")) from None


def one_line(text: str) -> str:
    """A text on one line, what cannot be printed replaced by "?"."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
