"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import functions as f
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, FunctionKernel, Scratch
from tpumlir_core.ir import Array
from tpumlir_sophgo.kernel import FLOATS, Kernel, KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor

_LARGE = 125.0  # cut powers of two at 2**125: their reciprocals are still normal, and sums finite
_LARGE_SQUARE = 60.0  # the same where a square follows
_ERF_LIMIT = 3.75  # above it erf(x) is 1 within 1.2e-7
_ERF_DEGREE = 14  # error 2e-7


def relu(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``min(max(x, 0), relu_limit)``; a limit of zero or less means none."""
    if op.relu_limit > 0:
        clip(out, x, 0.0, op.relu_limit, s, e)
    else:
        e.binary("max", out, x, 0.0)


def clip(out: LocalTensor, x: LocalTensor, low: float, high: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``min(max(x, low), high)``; one buffer."""
    (a,) = s.like(out, 1)
    e.binary("max", a, x, low)
    e.binary("min", out, a, high)


def leaky_relu(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """The greater of x and ``alpha`` x, the lesser where ``alpha`` is above 1."""
    (a,) = s.like(out, 1)
    e.binary("mul", a, x, op.alpha)
    e.binary("max" if op.alpha <= 1 else "min", out, x, a)


def hard_sigmoid(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``clip(alpha x + beta, 0, 1)``."""
    e.linear(out, x, op.alpha, op.beta)
    (a,) = s.like(out, 1)
    e.binary("max", a, out, 0.0)
    e.binary("min", out, a, 1.0)


def hard_swish(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x clip(x / 6 + 1/2, 0, 1)``."""
    (a,) = s.like(out, 1)
    e.linear(a, x, 1 / 6, 0.5)
    e.binary("max", out, a, 0.0)
    e.binary("min", a, out, 1.0)
    e.binary("mul", out, x, a)


def sigmoid(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``scale / (1 + exp(-x)) + bias``; 25 cycles a row."""
    a, b, c = s.like(out, 3)
    f.exponential(c, x, a, b, s, e, factor=-1.0, limit=_LARGE)
    e.linear(c, c, 1.0, 1.0)
    f.reciprocal(out, c, a, b, e)
    if op.scale != 1 or op.bias != 0:
        e.linear(out, out, op.scale, op.bias)


def log_sigmoid(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``min(x, 0) - log1p(exp(-|x|))``."""
    a, b, c = s.like(out, 3)
    _softplus_tail(a, x, b, c, s, e)
    e.binary("min", b, x, 0.0)
    e.binary("sub", out, b, a)


def softplus(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))``."""
    a, b, c = s.like(out, 3)
    _softplus_tail(a, x, b, c, s, e)
    e.binary("max", b, x, 0.0)
    e.binary("add", out, a, b)


def _softplus_tail(out: LocalTensor, x: LocalTensor, b: LocalTensor, c: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = log1p(exp(-|x|))``; 26 cycles a row, two tables."""
    e.unary("abs", c, x)
    f.exponential(c, c, out, b, s, e, factor=-1.0)
    f.polynomial(b, c, f.fit(_log1p_over, 9, 0.0, 1.0), s, e)
    e.binary("mul", out, b, c)


def _log1p_over(z: Array) -> Array:
    result: Array = np.log1p(z) / z
    return result


def swish(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x / (1 + exp(-beta x))``; 26 cycles a row."""
    if op.beta == 0:
        e.binary("mul", out, x, 0.5)
    else:
        _gated(out, x, x, op.beta, s, e)


def silu(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x / (1 + exp(-x))``."""
    _gated(out, x, x, 1.0, s, e)


def _gated(out: LocalTensor, x: LocalTensor, gate: LocalTensor, beta: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = x / (1 + exp(-beta gate))``; three buffers and a table."""
    a, b, c = s.like(out, 3)
    f.exponential(c, gate, a, b, s, e, factor=-beta, limit=_LARGE)
    e.linear(c, c, 1.0, 1.0)
    f.reciprocal(a, c, out, b, e)
    e.binary("mul", out, x, a)


def tanh(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``m / (m + 2)`` with ``m = exp(2 x) - 1``; 30 cycles a row."""
    a, b, c, d = s.like(out, 4)
    f.exponential_minus_one(d, x, a, b, out, s, e, factor=2.0, limit=_LARGE)
    e.linear(c, d, 1.0, 2.0)
    f.reciprocal(a, c, out, b, e)
    e.binary("mul", out, d, a)


def elu(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """x where positive, else ``alpha (exp(x) - 1)``."""
    a, b, c, d = s.like(out, 4)
    f.exponential_minus_one(d, x, a, b, c, s, e, limit=0.0)
    e.linear(d, d, op.alpha, 0.0)
    e.binary("max", a, x, 0.0)
    e.binary("add", out, a, d)


def mish(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x tanh(log(1 + exp(x))) = x n / (n + 2)`` with ``n = exp(x) (exp(x) + 2)``."""
    a, b, c, d = s.like(out, 4)
    f.exponential(c, x, a, b, s, e, limit=_LARGE_SQUARE)
    e.linear(a, c, 1.0, 2.0)
    e.binary("mul", b, a, c)
    e.linear(c, b, 1.0, 2.0)
    f.reciprocal(a, c, out, d, e)
    e.binary("mul", c, a, b)
    e.binary("mul", out, x, c)


def softsign(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x / (1 + |x|)``, x cut to where 1 / x is normal."""
    a, b, c, d = s.like(out, 4)
    e.binary("max", a, x, -(2.0**_LARGE))
    e.binary("min", d, a, 2.0**_LARGE)
    e.unary("abs", c, d)
    e.linear(c, c, 1.0, 1.0)
    f.reciprocal(a, c, out, b, e)
    e.binary("mul", out, d, a)


def erf(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """The error function; 20 cycles a row."""
    a, b = s.like(out, 2)
    e.binary("max", a, x, -_ERF_LIMIT)
    e.binary("min", b, a, _ERF_LIMIT)
    _odd_erf(out, b, a, 1.0, s, e)


def gelu_normal(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x (1 + erf(x / sqrt 2)) / 2``; 22 cycles a row. The factor x is cut where the other is 0."""
    a, b, c = s.like(out, 3)
    limit = _ERF_LIMIT * math.sqrt(2)
    e.binary("max", a, x, -limit)
    e.binary("min", b, a, limit)
    _odd_erf(c, b, out, math.sqrt(2), s, e)
    e.linear(c, c, 0.5, 0.5)
    e.binary("mul", out, a, c)


def _odd_erf(out: LocalTensor, x: LocalTensor, a: LocalTensor, unit: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = erf(x / unit)`` within the limit: x times a polynomial of x**2, moved to [-1, 1] for it to be well conditioned."""
    e.binary("mul", a, x, x)
    e.linear(a, a, 2 / (_ERF_LIMIT * unit) ** 2, -1.0)
    f.polynomial(a, a, tuple(c / unit for c in f.fit(_erf_over, _ERF_DEGREE, -1.0, 1.0)), s, e)
    e.binary("mul", out, a, x)


def _erf_over(u: Array) -> Array:
    x = _ERF_LIMIT * np.sqrt((u + 1) / 2)
    return np.array([math.erf(v) / v for v in x])


def gelu_tanh(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x (1 + tanh(v)) / 2 = x / (1 + exp(-2 v))`` with ``v = sqrt(2 / pi) (x + 0.044715 x**3)``."""
    gate, square = s.like(out, 2)
    slope = 2 * math.sqrt(2 / math.pi)
    e.binary("mul", square, x, x)
    e.linear(square, square, 0.044715 * slope, slope)
    e.binary("mul", gate, x, square)
    _gated(out, x, gate, 1.0, s, e)


def gelu_sigmoid(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x / (1 + exp(-1.702 x))``."""
    _gated(out, x, x, 1.702, s, e)


class ReluKernel(FunctionKernel):
    """Relu; a limit takes a buffer."""

    def __init__(self) -> None:
        super().__init__(relu, native=FLOATS)

    def buffers_for(self, op: Any) -> int:
        return int(op.relu_limit > 0)


class SigmoidKernel(ChoiceKernel):
    """Sigmoid, or its logarithm where the operation asks for that."""

    def __init__(self) -> None:
        self.plain = FunctionKernel(sigmoid, buffers=3, tables=1)
        self.logarithm = FunctionKernel(log_sigmoid, buffers=3, tables=2)

    def choose(self, op: Any) -> Kernel:
        return self.logarithm if op.log else self.plain


class GeluKernel(ChoiceKernel):
    """GELU in its three forms."""

    def __init__(self) -> None:
        self.forms = {
            "normal": FunctionKernel(gelu_normal, buffers=3, tables=1),
            "tanh": FunctionKernel(gelu_tanh, buffers=5, tables=1),
            "sigm": FunctionKernel(gelu_sigmoid, buffers=3, tables=1),
        }

    def choose(self, op: Any) -> Kernel:
        return self.forms[op.approx_mode]


class PReluKernel(ElementwiseKernel):
    """x where positive, else ``slope`` x."""

    native = FLOATS
    buffers = 1
    packed = frozenset({0})

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        x, slope = operands
        (a,) = s.like(out, 1)
        e.binary("mul", a, x, slope)
        e.choose("gt", out, x, 0.0, x, a)


def register(registry: KernelRegistry) -> None:
    """Activation kernels."""
    registry.add("tpu.Relu", ReluKernel())
    registry.add("tpu.LeakyRelu", FunctionKernel(leaky_relu, buffers=1, native=FLOATS))
    registry.add("tpu.PRelu", PReluKernel())
    registry.add("tpu.Elu", FunctionKernel(elu, buffers=4, tables=1))
    registry.add("tpu.HardSigmoid", FunctionKernel(hard_sigmoid, buffers=1, packed=True, native=FLOATS))
    registry.add("tpu.HardSwish", FunctionKernel(hard_swish, buffers=1, packed=True, native=FLOATS))
    registry.add("tpu.Sigmoid", SigmoidKernel())
    registry.add("tpu.SiLU", FunctionKernel(silu, buffers=3, tables=1))
    registry.add("tpu.Swish", FunctionKernel(swish, buffers=3, tables=1))
    registry.add("tpu.Tanh", FunctionKernel(tanh, buffers=4, tables=1))
    registry.add("tpu.Softplus", FunctionKernel(softplus, buffers=3, tables=2))
    registry.add("tpu.Softsign", FunctionKernel(softsign, buffers=4))
    registry.add("tpu.Mish", FunctionKernel(mish, buffers=4, tables=1))
    registry.add("tpu.Erf", FunctionKernel(erf, buffers=2, tables=1))
    registry.add("tpu.GELU", GeluKernel())
