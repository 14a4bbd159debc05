"""Builds a Top function from calls of ATen operators; what every converter works with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import TopBuilder, one_line
from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_torch import custom, inplace
from tpumlir_torch.binding import Bound, bound
from tpumlir_torch.dtypes import is_float, is_integer
from tpumlir_torch.storages import Stored
from tpumlir_torch.tensor import Call, Result, Tensor

Converter = Callable[..., Result]
FRONTEND = "torch"
"""What custom operators call this frontend in ``sources``."""
_LARGEST_CONSTANT = 1 << 24
"""Elements of the largest constant that is computed at import; what is larger is computed by the network."""
_SCALAR = TensorType((), ElementType.F32)
_FAULTS_OF_A_CALL = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)


@dataclass(eq=False)
class Failed(Tensor):
    """The result of an operator that is not supported: what uses it is not converted either.

    ``reason`` is what to tell then, where it was not told before.
    """

    reason: str = ""


class Importer(TopBuilder):
    """The state of one import: the function so far, and the call at work."""

    def __init__(self, converters: Mapping[str, Converter], operators: OperatorSet | None = None) -> None:
        super().__init__(operators=operators)
        self.made: list[tuple[str, ...]] = []
        self._converters = converters
        self._call = Call("the model", (), {}, ("tensor",), "")

    # --- the model's side -------------------------------------------------------------------------------------------
    def add_input(self, name: str, shape: tuple[int, ...], dtype: str, element: ElementType) -> Tensor:
        """Declare a network input."""
        return Tensor(self.input(name, shape, element), dtype)

    def stored(self, name: str, stored: Stored) -> Tensor:
        """A tensor of the model file, as a constant."""
        self.work_on("tensor", name)
        self._call = Call("tensor", (), {}, (name,), name)
        if 0 in stored.array.shape:
            return Failed(Value("", _SCALAR), stored.dtype)
        return Tensor(self.weight(name, stored.array), stored.dtype, state=True)

    def call(self, call: Call) -> Any:
        """The results of an operator: tensors, numbers, or lists of them. ``made`` keeps what they are called.

        Operators that are not supported are collected in ``unsupported``; their results are Failed.
        """
        self._call = call
        self.work_on(call.operator, call.label, f"node {call.label} ({call.operator})")
        before = len(self.function.operations)
        try:
            with np.errstate(all="ignore"):
                result = self._convert(call)
        except UnsupportedError as error:
            self.unsupported.append(one_line(str(error)))
            result = self._failed(call)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith("node ") else f"{self.where}: {error}") from None
        except _FAULTS_OF_A_CALL as error:
            raise InputError(f"{self.where}: {one_line(str(error)) or type(error).__name__}") from None
        self._name_results(call, before, tensors_in(result))
        self.made.append(tuple(t.value.name for t in tensors_in(result)))
        return result

    def _name_results(self, call: Call, before: int, results: Sequence[Tensor]) -> None:
        """Give results the names that the call has for them, where a step on the way got those or they are called after a step."""
        made = {value.name: value for operation in self.function.operations[before:] for value in operation.results}
        for name, tensor in zip(call.results, results, strict=False):
            value = tensor.value
            if value.name == name or made.get(value.name) is not value or value.name in self.weights or isinstance(tensor, Failed):
                continue
            step = made.get(name)
            if step is not None and step.name == name and name not in self.weights:
                step.name, value.name = value.name, name
            elif step is None and re.fullmatch(re.escape(name) + r"_\d+", value.name) is None:
                value.name = self.unique(name)

    def _failed(self, call: Call) -> Any:
        failures = [Failed(Value("", _SCALAR), "float32") for _ in call.results]
        return failures[0] if len(failures) == 1 else failures

    def _convert(self, call: Call) -> Any:
        given = tensors_in((call.arguments, tuple(call.named.values())))
        failures = [tensor for tensor in given if isinstance(tensor, Failed)]
        self.unsupported += [tensor.reason for tensor in failures if tensor.reason]
        domain, _, name = call.operator.partition("::")
        changes = domain == "aten" and name not in self._converters and name.endswith("_") and name[:-1] in self._converters
        converter = self._converters.get(name[:-1] if changes else name) if domain in ("aten", "torchvision", "prim") else None
        if converter is None:
            kind = self.operators.by_source(FRONTEND, call.operator)
            if kind is None:
                raise UnsupportedError(f"{call.operator} (node {call.label})")
            return self._failed(call) if failures else custom.convert(self, kind, call)
        if failures:
            return self._failed(call)
        for tensor in given:
            inplace.refresh(self, tensor)
        arguments = bound(converter, call, self.number)
        result = arguments.apply(converter, self)
        if changes:
            return inplace.changed(self, next(iter(arguments.by_name.values())), result)
        return inplace.noted(self, name, arguments.by_name, result, lambda: self._again(call, converter, arguments))

    def _again(self, call: Call, converter: Converter, arguments: Bound) -> Any:
        """The results of an earlier call, from what its arguments are by now."""
        present, self._call = self._call, call
        try:
            return arguments.apply(converter, self)
        finally:
            self._call = present

    # --- what converters ask ----------------------------------------------------------------------------------------
    def constant(self, tensor: Tensor) -> Array | None:
        """The elements of a constant, None for a computed tensor."""
        name = tensor.value.name
        if name not in self.weights:
            return None
        return self.weights[name]

    def scalar(self, tensor: Any) -> float | None:
        """The number that an argument is, or that a constant of one element holds, else None."""
        if not isinstance(tensor, Tensor):
            return float(tensor)
        array = self.constant(tensor)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """The extents of a tensor. Raises UnsupportedError where it was not converted."""
        if isinstance(tensor, Failed):
            self.check_supported()
        return tensor.shape

    def dtype(self, tensor: Tensor) -> str:
        """The PyTorch type of a tensor."""
        return tensor.dtype

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is a tensor of this import."""
        return isinstance(value, Tensor)

    def number(self, tensor: Tensor) -> bool | int | float:
        """A constant tensor's only element as a Python number. Raises UnsupportedError for a computed tensor."""
        if isinstance(tensor, Failed):
            self.check_supported()
        array = self.constant(tensor)
        if array is None:
            raise UnsupportedError(f"a number that depends on the input's data, tensor {tensor.value.name}")
        if array.size != 1:
            raise InputError(f"a tensor of shape {list(tensor.shape)} is taken for a number")
        found = float(array.reshape(-1)[0])
        if is_float(tensor.dtype):
            return found
        return int(found) if is_integer(tensor.dtype) else bool(found)

    def required(self, tensor: Tensor, what: str) -> Array:
        """A constant, named ``what`` in the error where it is computed."""
        array = self.constant(tensor)
        if array is None:
            raise self.refusal(f"computed {what}")
        return array

    @property
    def stem(self) -> str:
        """What the first result of the call is called."""
        return self._call.results[0]

    # --- operations -------------------------------------------------------------------------------------------------
    def step(self, suffix: str, kind: type[Operation], operands: Sequence[Tensor | None], dtype: str = "", **attributes: Any) -> Tensor:
        """Append an intermediate operation of the call at work; its name gets ``_suffix``."""
        return self._append(f"{self.stem}_{suffix}", kind, operands, dtype, attributes)

    def emit(self, kind: type[Operation], operands: Sequence[Tensor | None], dtype: str = "", **attributes: Any) -> Tensor:
        """Append the operation that makes the first result: it gets that name. Its type is the first operand's unless given."""
        return self._append(self.stem, kind, operands, dtype, attributes)

    def emit_many(
        self, kind: type[Operation], operands: Sequence[Tensor | None], dtypes: Sequence[str], **attributes: Any
    ) -> list[Tensor]:
        """Append an operation with one result for each of ``dtypes``."""
        names = list(self._call.results)
        names += [f"{self.stem}_{i}" for i in range(len(names), len(dtypes))]
        values = self.add_many(names[: len(dtypes)], kind, _values(operands), **attributes)
        return [Tensor(value, dtype) for value, dtype in zip(values, dtypes, strict=True)]

    def array(self, array: Array, dtype: str, suffix: str = "") -> Tensor:
        """A constant that belongs to the call at work."""
        name = f"{self.stem}_{suffix}" if suffix else self.stem
        return Tensor(self.weight(name, np.asarray(array)), dtype)

    def tensor(self, operand: Any, dtype: str = "", suffix: str = "number") -> Tensor:
        """An operand as a tensor: numbers become constants without axes."""
        if isinstance(operand, Tensor):
            return operand
        from tpumlir_torch.dtypes import scalar_dtype

        return self.array(np.asarray(operand, np.float32), dtype or scalar_dtype(operand), suffix)

    def _append(
        self, name: str, kind: type[Operation], operands: Sequence[Tensor | None], dtype: str, attributes: Mapping[str, Any]
    ) -> Tensor:
        first = next(t for t in operands if t is not None)
        values = _values(operands)
        folded = self._folded(name, kind, values, attributes)
        value = self.add(name, kind, values, **attributes) if folded is None else folded
        return Tensor(value, dtype or first.dtype)

    def _folded(self, name: str, kind: type[Operation], values: Sequence[Value | None], attributes: Mapping[str, Any]) -> Value | None:
        """The result of an operation on constants, computed now, unless it is large."""
        if not all(value is None or value.name in self.weights for value in values):
            return None
        operation = kind.create(values, ["folded"], **attributes)
        shape = operation.output.shape
        try:
            self.check_size(shape)
            if math.prod(shape) > _LARGEST_CONSTANT or 0 in shape:
                return None
            result = operation.evaluate([None if value is None else self.weights[value.name] for value in values])[0]
        finally:
            operation.drop_operands()
        return self.weight(name, np.asarray(result).reshape(shape))


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of an argument or result, in order, those of lists and tuples too."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def _values(operands: Sequence[Tensor | None]) -> list[Value | None]:
    return [None if operand is None else operand.value for operand in operands]

