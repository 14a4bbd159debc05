"""Arithmetic of operations that are done in 16 bits, where that is more than rounding their results.

Weights and constants are stored in 16 bits like the tensors beside them: filters, but for depthwise convolutions, which are done in
F32; factors, terms and slopes of each channel; constants that 16 bits can hold. Where a function takes several steps, each is rounded.
Sums of products are F32 and rounded once; their order is the instruction's own, so that now and then a last bit differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Operation, TensorType
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_core.ir.top import Weight
from tpumlir_core.lowering import retyped
from tpumlir_core.precision import LARGEST_F16

NARROW = frozenset({ElementType.F16, ElementType.BF16})
LEAST_F16 = 2.0**-14
"""The least normal number: constants below are left to F32, as are those beyond the largest."""

Round = Callable[[Array], Array]
_FILTERED = frozenset({"Conv", "Deconv"})
_BINARY = frozenset({"Add", "Sub", "Mul", "Max", "Min"})
_CONSTANT = frozenset({"AddConst", "SubConst", "MulConst", "MaxConst", "MinConst"})


def evaluate_narrow(operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
    """The results, before they are rounded, of an operation that is done in 16 bits; None where F32 is all that it takes.

    ``operands`` are real numbers.
    """
    element = operation.results[0].type.element if operation.results else None
    tensors = [v for v in (*operation.operands, *operation.results) if v is not None and not isinstance(v.owner, Weight)]
    if element not in NARROW or any(value.type.element is not element for value in tensors):
        return None
    assert element is not None
    rounded = _rounding(element)
    dialect, _, name = operation.opcode.partition(".")
    if dialect not in ("tpu", "top"):  # a custom operator may be called what those are
        return None
    if name in _STEPS:
        return _STEPS[name](operation, operands, rounded) if representable(constants_of(operation), element) else None
    if name in _CONSTANT:
        return _of_constant(operation, operands, rounded) if representable(constants_of(operation), element) else None
    which = _rounded_operands(operation, name)
    if not which:
        return None
    return operation.evaluate([rounded(a) if a is not None and i in which else a for i, a in enumerate(operands)])


def _rounding(element: ElementType) -> Round:
    def rounded(array: Array) -> Array:
        real = np.asarray(array, np.float32)
        if element is ElementType.F16:
            real = np.where(np.isfinite(real), np.clip(real, -LARGEST_F16, LARGEST_F16), real).astype(np.float32)
        type_ = TensorType(real.shape, element)
        return to_real(to_stored(real, type_), type_)

    return rounded


def representable(values: Iterable[float], element: ElementType) -> bool:
    """Whether constants lose no more than a rounding in ``element``; finite ones beyond its normal numbers do."""
    return element is not ElementType.F16 or all(v == 0 or LEAST_F16 <= abs(v) <= LARGEST_F16 for v in values if math.isfinite(v))


def constants_of(operation: Any) -> list[float]:
    """The numbers among an operation's attributes that it calculates with."""
    return [getattr(operation, name, 0.0) for name in ("const_val", "alpha", "beta")]


def varies_by_channel(shape: Sequence[int], result: Sequence[int]) -> bool:
    """Whether a tensor that is broadcast to ``result`` varies along its axis 1 (its only axis, where it has one) at most."""
    full = [1] * (len(result) - len(shape)) + list(shape)
    axis = 1 if len(result) > 1 else 0
    return all(size == 1 for i, size in enumerate(full) if i != axis)


def _rounded_operands(operation: Any, name: str) -> list[int]:
    """Which operands are weights that are stored in 16 bits."""
    weights = [i for i, value in enumerate(operation.operands) if value is not None and isinstance(value.owner, Weight)]
    if name in _FILTERED:
        return [] if operation.group == operation.input.shape[1] == operation.output.shape[1] > 1 else [i for i in weights if i == 1]
    if name == "MatMul":
        return [i for i in weights if i == 1]
    result = operation.output.shape
    return [i for i in weights if varies_by_channel(operation.operands[i].shape, result)] if name in _BINARY else []


def _of_constant(operation: Operation, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    twin: Any = retyped(operation, lambda type_: type_)
    twin.const_val = float(_number(twin.const_val, rounded))
    found: list[Array] = twin.evaluate(operands)
    return found


def _number(value: float, rounded: Round) -> np.float32:
    found: np.float32 = rounded(np.array([value], np.float32))[0]
    return found


def _activated(operation: Any, array: Array) -> list[Array]:
    if operation.do_relu:
        array = np.maximum(array, 0)
        if operation.relu_limit > 0:
            array = np.minimum(array, np.float32(operation.relu_limit))
    return [array]


def _channels(array: Array | None, rank: int) -> Array | None:
    return None if array is None else array.reshape(-1, *(1,) * (rank - 2)) if rank > 1 else array.reshape(-1)


def _scale(operation: Any, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    x = operands[0]
    assert x is not None
    scale, bias = (_channels(a, x.ndim) for a in operands[1:3])
    product = x if scale is None else rounded(x * rounded(scale))
    return _activated(operation, product if bias is None else rounded(product + rounded(bias)))


def _leaky_relu(operation: Any, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    x = operands[0]
    assert x is not None
    choose = np.maximum if operation.alpha <= 1 else np.minimum
    return [choose(x, rounded(x * _number(operation.alpha, rounded)))]


def _prelu(operation: Any, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    x, slope = operands[:2]
    assert x is not None
    assert slope is not None
    return [np.where(x > 0, x, rounded(x * rounded(slope)))]


def _hard_sigmoid(operation: Any, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    x = operands[0]
    assert x is not None
    product = rounded(x * _number(operation.alpha, rounded))
    return [np.clip(rounded(product + _number(operation.beta, rounded)), 0, 1)]


def _hard_swish(operation: Any, operands: Sequence[Array | None], rounded: Round) -> list[Array]:
    x = operands[0]
    assert x is not None
    gate = np.clip(rounded(rounded(x * _number(1 / 6, rounded)) + np.float32(0.5)), 0, 1)
    return [x * gate]


_STEPS: dict[str, Callable[[Any, Sequence[Array | None], Round], list[Array]]] = {
    "Scale": _scale, "LeakyRelu": _leaky_relu, "PRelu": _prelu, "HardSigmoid": _hard_sigmoid, "HardSwish": _hard_swish,
}
