"""Activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import functions as f
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, Scratch
from tpumlir_core.ir import Array
from tpumlir_sophgo.kernel import Kernel, KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor

_LARGE = 125.0  # cut powers of two at 2**125: their reciprocals are still normal, and sums finite


class ReluKernel(ElementwiseKernel):
    """``min(max(x, 0), relu_limit)``."""

    def buffers_for(self, op: Any) -> int:
        return int(op.relu_limit > 0)

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        if op.relu_limit <= 0:
            e.binary("max", out, operands[0], 0.0)
            return
        a = s.take(out.shape)
        e.binary("max", a, operands[0], 0.0)
        e.binary("min", out, a, op.relu_limit)


class LeakyReluKernel(ElementwiseKernel):
    """The greater of x and ``alpha`` x, the lesser where ``alpha`` is above 1."""

    buffers = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a = s.take(out.shape)
        e.binary("mul", a, operands[0], op.alpha)
        e.binary("max" if op.alpha <= 1 else "min", out, operands[0], a)


class HardSigmoidKernel(ElementwiseKernel):
    """``clip(alpha x + beta, 0, 1)``."""

    packed = frozenset({0})
    buffers = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a = s.take(out.shape)
        e.linear(out, operands[0], op.alpha, op.beta)
        e.binary("max", a, out, 0.0)
        e.binary("min", out, a, 1.0)


class HardSwishKernel(ElementwiseKernel):
    """``x clip(x / 6 + 1/2, 0, 1)``."""

    packed = frozenset({0})
    buffers = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a = s.take(out.shape)
        e.linear(a, operands[0], 1 / 6, 0.5)
        e.binary("max", out, a, 0.0)
        e.binary("min", a, out, 1.0)
        e.binary("mul", out, operands[0], a)


class SigmoidKernel(ElementwiseKernel):
    """``scale / (1 + exp(-x)) + bias``."""

    buffers = 3
    tables = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        sigmoid(out, operands[0], 1.0, s, e)
        if op.scale != 1 or op.bias != 0:
            e.linear(out, out, op.scale, op.bias)


def sigmoid(out: LocalTensor, x: LocalTensor, beta: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = 1 / (1 + exp(-beta x))``; 25 cycles a row, three buffers and a table of scratch."""
    a, b, c = (s.take(out.shape) for _ in range(3))
    f.exponential(c, x, a, b, s, e, factor=-beta, limit=_LARGE)
    e.linear(c, c, 1.0, 1.0)
    f.reciprocal(out, c, a, b, e)


class SigmoidChoice(ChoiceKernel):
    """Sigmoid, or its logarithm where the operation asks for that."""

    def __init__(self) -> None:
        self.plain = SigmoidKernel()
        self.logarithm = LogSigmoidKernel()

    def choose(self, op: Any) -> Kernel:
        return self.logarithm if op.log else self.plain


class SwishKernel(ElementwiseKernel):
    """``x / (1 + exp(-beta x))``."""

    buffers = 3
    tables = 1

    def __init__(self, beta: float | None = None) -> None:
        self.beta = beta

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        beta = op.beta if self.beta is None else self.beta
        if beta == 0:
            e.binary("mul", out, operands[0], 0.5)
            return
        a, b, c = (s.take(out.shape) for _ in range(3))
        f.exponential(c, operands[0], a, b, s, e, factor=-beta, limit=_LARGE)
        e.linear(c, c, 1.0, 1.0)
        f.reciprocal(a, c, out, b, e)
        e.binary("mul", out, operands[0], a)


class TanhKernel(ElementwiseKernel):
    """Hyperbolic tangent."""

    buffers = 4
    tables = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        tanh(out, operands[0], s, e)


def tanh(out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = m / (m + 2)`` with ``m = exp(2 x) - 1``; 30 cycles a row, four buffers and a table of scratch."""
    a, b, c, d = (s.take(out.shape) for _ in range(4))
    f.exponential_minus_one(d, x, a, b, out, s, e, factor=2.0, limit=_LARGE)
    e.linear(c, d, 1.0, 2.0)
    f.reciprocal(a, c, out, b, e)
    e.binary("mul", out, d, a)


class EluKernel(ElementwiseKernel):
    """x where positive, else ``alpha (exp(x) - 1)``."""

    buffers = 4
    tables = 1

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a, b, c, d = (s.take(out.shape) for _ in range(4))
        f.exponential_minus_one(d, operands[0], a, b, c, s, e, limit=0.0)
        e.linear(d, d, op.alpha, 0.0)
        e.binary("max", a, operands[0], 0.0)
        e.binary("add", out, a, d)


class SoftplusKernel(ElementwiseKernel):
    """``log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))``."""

    buffers = 3
    tables = 2

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a, b = softplus_tail(operands[0], s, e)
        e.binary("max", b, operands[0], 0.0)
        e.binary("add", out, a, b)


class LogSigmoidKernel(ElementwiseKernel):
    """``log(1 / (1 + exp(-x))) = min(x, 0) - log1p(exp(-|x|))``."""

    buffers = 3
    tables = 2

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a, b = softplus_tail(operands[0], s, e)
        e.binary("min", b, operands[0], 0.0)
        e.binary("sub", out, b, a)


def softplus_tail(x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> tuple[LocalTensor, LocalTensor]:
    """``log1p(exp(-|x|))`` and a free buffer; 28 cycles a row, three buffers and two tables of scratch."""
    a, b, c = (s.take(x.shape) for _ in range(3))
    e.unary("abs", c, x)
    f.exponential(c, c, a, b, s, e, factor=-1.0)
    f.polynomial(b, c, f.fit(_log1p_over, 10, 0.0, 1.0), s, e)
    e.binary("mul", a, b, c)
    return a, b


def _log1p_over(z: Array) -> Array:
    result: Array = np.log1p(z) / z
    return result


def register(registry: KernelRegistry) -> None:
    """Activation kernels."""
    registry.add("tpu.Relu", ReluKernel())
    registry.add("tpu.LeakyRelu", LeakyReluKernel())
    registry.add("tpu.HardSigmoid", HardSigmoidKernel())
    registry.add("tpu.HardSwish", HardSwishKernel())
    registry.add("tpu.Elu", EluKernel())
    registry.add("tpu.Sigmoid", SigmoidChoice())
    registry.add("tpu.Tanh", TanhKernel())
    registry.add("tpu.Softplus", SoftplusKernel())
    registry.add("tpu.SiLU", SwishKernel(1.0))
    registry.add("tpu.Swish", SwishKernel())
