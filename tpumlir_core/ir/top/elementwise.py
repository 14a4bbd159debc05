"""Top dialect: arithmetic, element by element with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from tpumlir_core.ir.attributes import F64, F64s, Flag, I64s, RoundMode, Str
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.rounding import round_to_integer
from tpumlir_core.ir.storage import to_bfloat16, to_real
from tpumlir_core.ir.top.support import (
    Broadcasting,
    Pointwise,
    activate,
    array,
    broadcast,
    elements,
    float_like,
    moved,
    present,
    real,
    reject,
)
from tpumlir_core.ir.types import ElementType, TensorType


def _weighted(operation: Operation, operands: list[Array], coeff: Sequence[float] | None) -> list[Array]:
    if coeff is None or all(c == 1 for c in coeff):
        return operands
    if len(coeff) != len(operands):
        reject(operation, f"coeff has {len(coeff)} entries for {len(operands)} operands")
    return [values * np.float32(c) for values, c in zip(operands, coeff, strict=True)]


@op("top.Add", "inputs*")
class Add(Broadcasting):
    """Sum of all operands, each times its ``coeff``."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0
    coeff: F64s | None = None
    is_scalar: Flag = False

    def combine(self, operands: list[Array]) -> Array:
        return activate(reduce(np.add, _weighted(self, operands, self.coeff)), self.do_relu, self.relu_limit)


@op("top.AddConst")
class AddConst(Pointwise):
    """x + ``const_val``."""

    const_val: F64
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        return activate(values + np.float32(self.const_val), self.do_relu, self.relu_limit)


@op("top.Sub", "inputs*")
class Sub(Broadcasting):
    """First operand minus the second (the other way with ``is_reverse``), each times its ``coeff``."""

    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    coeff: F64s | None = None
    is_scalar: Flag = False

    def combine(self, operands: list[Array]) -> Array:
        parts = _weighted(self, operands, self.coeff)
        return activate(reduce(np.subtract, parts[::-1] if self.is_reverse else parts), self.do_relu, self.relu_limit)


@op("top.SubConst")
class SubConst(Pointwise):
    """x - ``const_val``, or ``const_val`` - x with ``is_reverse``."""

    const_val: F64
    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        difference = values - np.float32(self.const_val)
        return activate(-difference if self.is_reverse else difference, self.do_relu, self.relu_limit)


@op("top.Mul", "inputs*")
class Mul(Broadcasting):
    """Product of all operands."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def combine(self, operands: list[Array]) -> Array:
        return activate(reduce(np.multiply, operands), self.do_relu, self.relu_limit)


@op("top.MulConst")
class MulConst(Pointwise):
    """x times ``const_val``."""

    const_val: F64
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        return activate(values * np.float32(self.const_val), self.do_relu, self.relu_limit)


@op("top.Div", "inputs*")
class Div(Broadcasting):
    """First operand divided by the second (the other way with ``is_reverse``)."""

    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def combine(self, operands: list[Array]) -> Array:
        parts = operands[::-1] if self.is_reverse else operands
        return activate(reduce(np.divide, parts), self.do_relu, self.relu_limit)


@op("top.DivConst")
class DivConst(Pointwise):
    """x / ``const_val``, or ``const_val`` / x with ``is_reverse``."""

    const_val: F64
    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        constant = np.float32(self.const_val)
        return activate(constant / values if self.is_reverse else values / constant, self.do_relu, self.relu_limit)


@op("top.Max", "inputs*")
class Max(Broadcasting):
    """Greatest of all operands."""

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.maximum, operands)


@op("top.MaxConst")
class MaxConst(Pointwise):
    """The greater of x and ``const_val``."""

    const_val: F64
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        return np.maximum(values, np.float32(self.const_val))


@op("top.Min", "inputs*")
class Min(Broadcasting):
    """Least of all operands."""

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.minimum, operands)


@op("top.MinConst")
class MinConst(Pointwise):
    """The lesser of x and ``const_val``."""

    const_val: F64
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        return np.minimum(values, np.float32(self.const_val))


@op("top.Pow")
class Pow(Pointwise):
    """x to the power ``exponent``."""

    exponent: F64

    def apply(self, values: Array) -> Array:
        return np.power(values, np.float32(self.exponent))


@op("top.Pow2")
class Pow2(Pointwise):
    """``const_val`` to the power x."""

    const_val: F64

    def apply(self, values: Array) -> Array:
        return np.power(np.float32(self.const_val), values)


@op("top.Pow3", "inputs*")
class Pow3(Broadcasting):
    """First operand to the power of the second."""

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.power, operands)


@op("top.Reciprocal")
class Reciprocal(Pointwise):
    """``const_val`` / x."""

    const_val: F64 = 1.0
    do_relu: Flag = False
    relu_limit: F64 = -1.0

    def apply(self, values: Array) -> Array:
        return activate(np.float32(self.const_val) / values, self.do_relu, self.relu_limit)


@op("top.Mod", "inputs*")
class Mod(Broadcasting):
    """Remainder of a division rounded down: it has the divisor's sign (tpu-mlir 1.30.2's interpreter gives it the dividend's)."""

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.mod, operands)


@op("top.Remainder", "inputs*")
class Remainder(Broadcasting):
    """Remainder of a division rounded down (torch.remainder): it has the divisor's sign."""

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.mod, operands)


@op("top.Clip", "inputs")
class Clip(Pointwise):
    """x limited to [``min``, ``max``]; ``max`` wins where they cross."""

    cost = 2

    min: F64
    max: F64

    def apply(self, values: Array) -> Array:
        return np.minimum(np.maximum(values, np.float32(self.min)), np.float32(self.max))


@op("top.Cast")
class Cast(Pointwise):
    """x rounded to a value that the type ``to`` holds; the tensor itself stays float.

    INT types round to integers by ``round_mode``; F16 and BF16 to the nearest, ties to even; anything else changes nothing.
    """

    round_mode: RoundMode = "HalfAwayFromZero"
    to: Str = ""

    def apply(self, values: Array) -> Array:
        if self.to.startswith(("INT", "UINT")):
            return round_to_integer(values, self.round_mode)
        if self.to == "F16":
            return values.astype(np.float16).astype(np.float32)
        return to_real(to_bfloat16(values), TensorType(values.shape, ElementType.BF16)) if self.to == "BF16" else values


@op("top.Copy")
class Copy(Operation):
    """Strided copy: element i of an index space ``shape`` goes from i . ``input_stride`` to i . ``output_stride`` (in elements)."""

    shape: I64s
    input_stride: I64s
    output_stride: I64s

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if not len(self.shape) == len(self.input_stride) == len(self.output_stride):
            reject(self, "shape, input_stride and output_stride differ in length")
        for strides in (self.input_stride, self.output_stride):
            if sum((n - 1) * s for n, s in zip(self.shape, strides, strict=True)) >= source.elements or min(strides, default=0) < 0:
                reject(self, f"strides {strides} over {self.shape} leave a tensor of {source.elements} elements")
        return [moved(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        result = np.zeros_like(values, order="C")
        result.reshape(-1)[self._places(self.output_stride)] = values.reshape(-1)[self._places(self.input_stride)]
        return [result]

    def _places(self, strides: Sequence[int]) -> Array:
        parts = [np.arange(n) * s for n, s in zip(self.shape, strides, strict=True)]
        return reduce(np.add.outer, parts, np.zeros((), np.int64))


@op("top.PRelu", "input,slope")
class PRelu(Operation):
    """x where positive, else x times ``slope``, which broadcasts to x."""

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, slope = present(self, types), present(self, types, 1)
        if broadcast(self, source.shape, slope.shape) != source.shape:
            reject(self, f"slope {slope.shape} does not broadcast to {source.shape}")
        return [float_like(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        return [np.where(values < 0, values * real(inputs, 1), values)]

    def flops(self) -> int:
        return elements(self)
