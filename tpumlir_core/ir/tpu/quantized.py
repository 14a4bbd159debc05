"""Operations on quantized integers, which exist after lowering only.

Their ``evaluate`` takes and gives numbers as stored (``stored`` says so), and is exact: sums of products of 8 bits in integers, then
one requantization, ``saturate(round(sum * scale + offset))`` in F32, halves to even. ``scale`` holds one number for each channel
(or one for all), ``offset`` takes in the bias, the zero point of the result and what the input's zero point contributes.
A fused activation needs nothing: the result's type saturates where it does.

The result of a convolution or a matrix product may be floats: ``activation(sum * scale + offset)``, not rounded to integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.storage import to_stored
from tpumlir_core.ir.top.convolution import Conv, MatMul
from tpumlir_core.ir.top.normalization import Scale
from tpumlir_core.ir.top.support import activate, array, present
from tpumlir_core.ir.types import ElementType, TensorType

_EXACT = 1 << 24  # integers up to here are F32 numbers
_LARGEST_VALUE = 255
"""Magnitude of a stored number."""


def requantize(sums: Array, scale: Array, offset: Array, element: ElementType) -> Array:
    """Sums as stored results: product and sum rounded to F32, then to integers, halves to even, and saturated."""
    limits = np.iinfo(element.numpy)
    real = sums.astype(np.float32, copy=False) * scale.astype(np.float32, copy=False)
    real += offset.astype(np.float32, copy=False)
    np.rint(real, out=real)
    np.clip(real, limits.min, limits.max, out=real)
    return real.astype(element.numpy)


def _scaled(operation: Any, sums: Array, scale: Array, offset: Array) -> Array:
    """Sums of a product as its result stores them, in 8 bits or floats."""
    type = operation.output.type
    if not type.element.is_float:
        return requantize(sums, scale, offset, type.element)
    real = sums.astype(np.float32, copy=False) * scale.astype(np.float32, copy=False)
    real += offset.astype(np.float32, copy=False)
    return to_stored(activate(real, operation.do_relu, operation.relu_limit), type)


def _exact_type(weights: Array, outputs: int) -> type[np.floating[Any]]:
    """Floats in which every sum is exact, in any order: F32 where no output's weights, at axis ``outputs``, can make it too large."""
    rest = tuple(axis for axis in range(weights.ndim) if weights.ndim == 1 or axis != outputs % weights.ndim)
    total = np.abs(weights.astype(np.int16)).sum(rest, dtype=np.int64).max(initial=0)
    return np.float32 if total * _LARGEST_VALUE <= _EXACT else np.float64


@op("tpu.QuantizedConv", "input,filter,scale,offset")
class QuantizedConv(Conv):
    """Convolution of 8-bit numbers by an 8-bit filter; what lies outside the input is the input's zero point."""

    stored = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return super().infer(types[:2])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, weights, scale, offset = (array(inputs, position) for position in range(4))
        exact = _exact_type(weights, 0)
        sums = self.sums(values.astype(exact), weights.astype(exact), self.input.type.scaling[1])
        axes = (-1, *(1,) * (sums.ndim - 2))
        return [_scaled(self, sums, scale.reshape(axes), offset.reshape(axes))]


@op("tpu.QuantizedMatMul", "input,right,scale,offset")
class QuantizedMatMul(MatMul):
    """Matrix product of 8-bit numbers; ``scale`` and ``offset`` hold one number for each column of the result, or one for all."""

    stored = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return super().infer(types[:2])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        left, right, scale, offset = (array(inputs, position) for position in range(4))
        exact = _exact_type(right, -2 if self.right_transpose and right.ndim > 1 else -1)
        sums = self.product(left.astype(exact), right.astype(exact))
        return [_scaled(self, sums, scale, offset)]


@op("tpu.QuantizedScale", "input,scale,offset")
class QuantizedScale(Scale):
    """Each channel of 8-bit numbers requantized by its own ``scale`` and ``offset``."""

    stored = True

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, scale, offset = (array(inputs, position) for position in range(3))
        axes = (-1, *(1,) * (values.ndim - 2))
        return [requantize(values, scale.reshape(axes), offset.reshape(axes), self.output.type.element)]


@op("tpu.Lookup", "input,table")
class Lookup(Operation):
    """A function of 8-bit numbers: one of 256 stored results, by the operand's bits (those of SI8 -1 are entry 255)."""

    stored = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, table = present(self, types), present(self, types, 1)
        return [source.with_storage(table.element, None)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, table = array(inputs), array(inputs, 1)
        found: Array = table.reshape(-1)[values.view(np.uint8)]
        return [found]
