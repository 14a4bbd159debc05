"""What the Top operations share: shape rules, the fused activation, and base classes of the simple families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Array, Operation
from tpumlir_core.ir.types import ElementType, TensorType


def reject(operation: Operation, message: str) -> NoReturn:
    """Raise InputError for operands or attributes of ``operation`` that clash."""
    raise InputError(f"{operation.opcode}: {message}")


def present(operation: Operation, types: Sequence[TensorType | None], position: int = 0) -> TensorType:
    """The type of a mandatory operand. Raises InputError when it is absent."""
    found = types[position] if position < len(types) else None
    if found is None:
        names = operation.operand_specs
        reject(operation, f"operand {names[min(position, len(names) - 1)].name} (position {position}) is missing")
    return found


def array(inputs: Sequence[Array | None], position: int = 0) -> Array:
    """A mandatory operand's array as it is."""
    found = inputs[position]
    assert found is not None
    return found


def real(inputs: Sequence[Array | None], position: int = 0) -> Array:
    """A mandatory operand's array in float32."""
    return array(inputs, position).astype(np.float32, copy=False)


def optional(inputs: Sequence[Array | None], position: int) -> Array | None:
    """An optional operand's array in float32, or None where it is absent."""
    found = inputs[position] if position < len(inputs) else None
    return None if found is None else found.astype(np.float32, copy=False)


def float_like(source: TensorType, shape: Sequence[int]) -> TensorType:
    """The type of a computed result: ``source``'s element type if that is a float, else F32."""
    element = source.element if source.element.is_float else ElementType.F32
    return TensorType(tuple(int(d) for d in shape), element)


def moved(source: TensorType, shape: Sequence[int]) -> TensorType:
    """The type of moved data: ``source``'s element type, whatever it is."""
    return TensorType(tuple(int(d) for d in shape), source.element)


def declared(operation: Operation) -> list[TensorType]:
    """The results' own types, where shapes depend on an operand's values. Raises InputError while there are none."""
    results = getattr(operation, "results", [])
    if not results:
        reject(operation, "its result shape depends on the values of an operand; give it as an attribute, or the result's type")
    return [value.type for value in results]


def axis_of(operation: Operation, axis: int, rank: int) -> int:
    """``axis`` counted from the front. Raises InputError outside [-rank, rank)."""
    if not -rank <= axis < rank:
        reject(operation, f"axis {axis} is outside a tensor of {rank} dimensions")
    return axis % rank


def axes_of(operation: Operation, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Sorted distinct axes counted from the front."""
    return tuple(sorted({axis_of(operation, axis, rank) for axis in axes}))


def broadcast(operation: Operation, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The broadcast shape. Raises InputError naming the shapes that clash."""
    try:
        return tuple(np.broadcast_shapes(*(tuple(s) for s in shapes)))
    except ValueError:
        reject(operation, f"operand shapes {' and '.join('x'.join(map(str, s)) for s in shapes)} do not broadcast")


def scalar(operation: Operation, shape: Sequence[int], is_scalar: bool) -> tuple[int, ...]:
    """``shape``, or (1,) for a single number marked ``is_scalar``. Raises InputError where there are more."""
    if is_scalar and math.prod(shape) != 1:
        reject(operation, f"is_scalar is set, but the result has the shape {tuple(shape)}")
    return (1,) if is_scalar else tuple(shape)


def activate(values: Array, do_relu: bool, relu_limit: float) -> Array:
    """The fused activation: max(0, x), cut at ``relu_limit`` when that is positive (0 and below mean no limit).

    Zero means none because tpu-mlir 1.30.2 imports Clip(0, inf) with ``relu_limit`` 0.
    """
    if not do_relu:
        return values
    values = np.maximum(values, np.float32(0))
    return np.minimum(values, np.float32(relu_limit)) if relu_limit > 0 else values


def elements(operation: Operation) -> int:
    """Number of elements of the first result."""
    return math.prod(operation.output.shape)


def present_operands(operation: Operation, start: int = 1) -> int:
    """Number of operands from position ``start`` on that are there."""
    return sum(value is not None for value in operation.operands[start:])


class Pointwise(Operation):
    """One operand, and a result of the same shape, computed in floats element by element or along an axis.

    A subclass gives ``apply``; ``cost`` is its floating-point operations per element, as tpu-mlir 1.30.2 counts them
    (measured, as all counts of this dialect are); a fused activation counts one more.
    """

    cost = 1

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        return [float_like(source, source.shape)]

    def apply(self, values: Array) -> Array:
        """The result for float32 ``values``."""
        raise NotImplementedError(self.opcode)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        # Values outside the domain give inf or nan, as on the hardware: no warning.
        with np.errstate(all="ignore"):
            return [np.asarray(self.apply(real(inputs)), np.float32)]

    def flops(self) -> int:
        return (self.cost + getattr(self, "do_relu", False)) * elements(self)


class Broadcasting(Operation):
    """Operands that broadcast together, computed element by element, left to right."""

    cost = 1

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        found = [present(self, types, position) for position in range(max(1, len(types)))]
        return [float_like(found[0], broadcast(self, *(t.shape for t in found)))]

    def combine(self, operands: list[Array]) -> Array:
        """The result for float32 ``operands``."""
        raise NotImplementedError(self.opcode)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(self.combine([real(inputs, i) for i in range(len(inputs))]), np.float32)]

    def flops(self) -> int:
        return (self.cost * max(1, len(self.operands) - 1) + getattr(self, "do_relu", False)) * elements(self)
