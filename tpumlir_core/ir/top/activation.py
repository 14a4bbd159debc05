"""Top dialect: functions of one operand, element by element. Attributes nobody reads here (``round_mode``) serve lowering."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, Flag, GELUMode, RoundMode
from tpumlir_core.ir.operation import Array, op
from tpumlir_core.ir.top.support import Pointwise, activate, reject
from tpumlir_core.ir.types import TensorType


def erf(values: Array) -> Array:
    """The error function, in float64."""
    flat = np.fromiter(map(math.erf, values.ravel().tolist()), np.float64, values.size)
    return flat.reshape(values.shape)


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(values))
    result: Array = np.where(values < 0, small, np.float32(1)) / (1 + small)
    return result


def softplus(values: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values)))


@op("top.Relu")
class Relu(Pointwise):
    """max(0, x), cut at ``relu_limit`` when that is positive."""

    relu_limit: F64 = -1.0

    def apply(self, values: Array) -> Array:
        return activate(values, True, self.relu_limit)


@op("top.LeakyRelu")
class LeakyRelu(Pointwise):
    """x where positive, else ``alpha`` x."""

    alpha: F64
    round_mode: RoundMode = "HalfAwayFromZero"

    def apply(self, values: Array) -> Array:
        return np.where(values < 0, values * np.float32(self.alpha), values)


@op("top.Elu")
class Elu(Pointwise):
    """x where positive, else ``alpha`` (exp(x) - 1)."""

    alpha: F64

    def apply(self, values: Array) -> Array:
        return np.where(values < 0, np.float32(self.alpha) * np.expm1(values), values)


@op("top.Sigmoid")
class Sigmoid(Pointwise):
    """``scale`` / (1 + exp(-x)) + ``bias``; with ``log`` the logarithm of 1 / (1 + exp(-x)), without scale and bias."""

    scale: F64 = 1.0
    bias: F64 = 0.0
    log: Flag = False
    round_mode: RoundMode = "HalfAwayFromZero"
    cost = 4

    def apply(self, values: Array) -> Array:
        result: Array = -softplus(-values) if self.log else np.float32(self.scale) * sigmoid(values) + np.float32(self.bias)
        return result


@op("top.HardSigmoid")
class HardSigmoid(Pointwise):
    """``alpha`` x + ``beta``, clipped to [0, 1]."""

    alpha: F64
    beta: F64
    cost = 4

    def apply(self, values: Array) -> Array:
        result: Array = np.clip(values * np.float32(self.alpha) + np.float32(self.beta), 0, 1)
        return result


@op("top.HardSwish")
class HardSwish(Pointwise):
    """x times clip(x / 6 + 1/2, 0, 1)."""

    cost = 5

    def apply(self, values: Array) -> Array:
        return values * np.clip(values / np.float32(6) + np.float32(0.5), 0, 1)


@op("top.SiLU")
class SiLU(Pointwise):
    """x sigmoid(x)."""

    cost = 5

    def apply(self, values: Array) -> Array:
        return values * sigmoid(values)


@op("top.Swish")
class Swish(Pointwise):
    """x sigmoid(``beta`` x)."""

    beta: F64
    round_mode: RoundMode = "HalfAwayFromZero"
    cost = 5

    def apply(self, values: Array) -> Array:
        return values * sigmoid(values * np.float32(self.beta))


@op("top.Tanh")
class Tanh(Pointwise):
    """Hyperbolic tangent."""

    round_mode: RoundMode = "HalfAwayFromZero"
    cost = 4

    def apply(self, values: Array) -> Array:
        return np.tanh(values)


@op("top.Softplus")
class Softplus(Pointwise):
    """log(1 + exp(x))."""

    cost = 3

    def apply(self, values: Array) -> Array:
        return softplus(values)


@op("top.Softsign")
class Softsign(Pointwise):
    """x / (1 + |x|)."""

    cost = 3

    def apply(self, values: Array) -> Array:
        result: Array = values / (1 + np.abs(values))
        return result


@op("top.Mish")
class Mish(Pointwise):
    """x tanh(softplus(x))."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return values * np.tanh(softplus(values))


@op("top.GELU")
class GELU(Pointwise):
    """x times the normal distribution function of x; ``approx_mode`` tanh or sigm (x sigmoid(1.702 x)) approximates it."""

    round_mode: RoundMode = "HalfAwayFromZero"
    approx_mode: GELUMode = "normal"
    cost = 5

    def apply(self, values: Array) -> Array:
        if self.approx_mode == "sigm":
            return values * sigmoid(np.float32(1.702) * values)
        if self.approx_mode == "tanh":
            inner = np.float32(math.sqrt(2 / math.pi)) * (values + np.float32(0.044715) * values**3)
            factor: Array = 1 + np.tanh(inner)
        else:
            factor = 1 + erf(values / math.sqrt(2))
        result: Array = 0.5 * values * factor
        return result


@op("top.Abs")
class Abs(Pointwise):
    """Absolute value."""

    def apply(self, values: Array) -> Array:
        return np.abs(values)


@op("top.Sqrt")
class Sqrt(Pointwise):
    """Square root."""

    def apply(self, values: Array) -> Array:
        return np.sqrt(values)


@op("top.Rsqrt")
class Rsqrt(Pointwise):
    """1 / sqrt(x)."""

    cost = 2

    def apply(self, values: Array) -> Array:
        return 1 / np.sqrt(values)


@op("top.Exp")
class Exp(Pointwise):
    """Exponential function."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.exp(values)


@op("top.Log")
class Log(Pointwise):
    """Natural logarithm."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.log(values)


@op("top.LogB")
class LogB(Pointwise):
    """Logarithm to the base ``base``."""

    base: I64
    cost = 4

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        if self.base < 2:
            reject(self, f"base {self.base} is less than 2")
        return super().infer(types)

    def apply(self, values: Array) -> Array:
        return np.log(values) / np.float32(math.log(self.base))


@op("top.Floor")
class Floor(Pointwise):
    """Greatest integer that is not above x."""

    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        return np.floor(values)


@op("top.Ceil")
class Ceil(Pointwise):
    """Least integer that is not below x."""

    def apply(self, values: Array) -> Array:
        return np.ceil(values)


@op("top.Round")
class Round(Pointwise):
    """Nearest integer, halves to even."""

    def apply(self, values: Array) -> Array:
        return np.rint(values)


@op("top.Erf")
class Erf(Pointwise):
    """Error function."""

    def apply(self, values: Array) -> Array:
        return erf(values)


@op("top.Sin")
class Sin(Pointwise):
    """Sine."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.sin(values)


@op("top.Cos")
class Cos(Pointwise):
    """Cosine."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.cos(values)


@op("top.Tan")
class Tan(Pointwise):
    """Tangent."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.tan(values)


@op("top.Sinh")
class Sinh(Pointwise):
    """Hyperbolic sine."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.sinh(values)


@op("top.Cosh")
class Cosh(Pointwise):
    """Hyperbolic cosine."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.cosh(values)


@op("top.Arccos")
class Arccos(Pointwise):
    """Inverse cosine."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.arccos(values)


@op("top.Arctanh")
class Arctanh(Pointwise):
    """Inverse hyperbolic tangent."""

    cost = 4

    def apply(self, values: Array) -> Array:
        return np.arctanh(values)


@op("top.Sign")
class Sign(Pointwise):
    """-1, 0 or 1, the sign of x."""

    cost = 3

    def apply(self, values: Array) -> Array:
        return np.sign(values)
