"""Operations on quantized integers, which exist after lowering only.

Their ``evaluate`` takes and gives numbers as stored (``stored`` says so), and is exact: sums of products of 8 bits in integers, then
one requantization, ``saturate(round(sum * scale + offset))`` in F32, halves to even. ``scale`` holds one number for each channel
(or one for all), ``offset`` takes in the bias, the zero point of the result and what the input's zero point contributes.
A fused activation needs nothing: the result's type saturates where it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.convolution import Conv, MatMul
from tpumlir_core.ir.top.support import array, present
from tpumlir_core.ir.types import ElementType, TensorType

_EXACT = 1 << 24  # integers up to here are F32 numbers
_LARGEST_PRODUCT = 255 * 128


def requantize(sums: Array, scale: Array, offset: Array, element: ElementType) -> Array:
    """Sums as stored results: product and sum rounded to F32, then to integers, halves to even, and saturated."""
    limits = np.iinfo(element.numpy)
    real = sums.astype(np.float32) * scale.astype(np.float32) + offset.astype(np.float32)
    return np.clip(np.rint(real), limits.min, limits.max).astype(element.numpy)


def _exact(values: Array, terms: int) -> Array:
    """Integers as floats in which a sum of ``terms`` products of 8 bits is exact."""
    return values.astype(np.float32 if terms * _LARGEST_PRODUCT <= _EXACT else np.float64)


@op("tpu.QuantizedConv", "input,filter,scale,offset")
class QuantizedConv(Conv):
    """Convolution of 8-bit numbers by an 8-bit filter; what lies outside the input is the input's zero point."""

    stored = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return super().infer(types[:2])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, weights, scale, offset = (array(inputs, position) for position in range(4))
        terms = weights[0].size
        sums = self.sums(_exact(values, terms), _exact(weights, terms), self.input.type.scaling[1])
        axes = (-1, *(1,) * (sums.ndim - 2))
        return [requantize(sums, scale.reshape(axes), offset.reshape(axes), self.output.type.element)]


@op("tpu.QuantizedMatMul", "input,right,scale,offset")
class QuantizedMatMul(MatMul):
    """Matrix product of 8-bit numbers; ``scale`` and ``offset`` hold one number for each column of the result, or one for all."""

    stored = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return super().infer(types[:2])

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        left, right, scale, offset = (array(inputs, position) for position in range(4))
        terms = left.shape[-2 if self.left_transpose and left.ndim > 1 else -1]
        sums = self.product(_exact(left, terms), _exact(right, terms))
        return [requantize(sums, scale, offset, self.output.type.element)]


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
