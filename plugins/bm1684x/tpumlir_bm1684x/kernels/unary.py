"""Functions of one operand: rounding, roots, exponentials, logarithms, trigonometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.arithmetic import Rounding
from tpumlir_bm1684x.instructions.conversion import UNSCALED, Scaling
from tpumlir_bm1684x.kernels import functions as f
from tpumlir_bm1684x.kernels.common import FunctionKernel, Scratch
from tpumlir_core.ir import Array, ElementType, Operation
from tpumlir_sophgo.kernel import FLOATS, KernelRegistry, Tile
from tpumlir_sophgo.tensor import LocalTensor

_ROUNDING = {
    "HalfToEven": Rounding.HALF_TO_EVEN, "HalfAwayFromZero": Rounding.HALF_AWAY_FROM_ZERO, "TowardsZero": Rounding.TOWARDS_ZERO,
    "Down": Rounding.DOWN, "Up": Rounding.UP, "HalfUp": Rounding.HALF_UP, "HalfDown": Rounding.HALF_DOWN,
}
_SIGN_BIT = float(0x80000000)
_LARGE = 127.0  # cut powers of two at 2**127 to keep them finite


def absolute(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Absolute value."""
    e.unary("abs", out, x)


def floor(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Greatest integer not above x."""
    e.unary("cast", out, x, Rounding.DOWN)


def ceil(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Least integer not below x."""
    e.unary("cast", out, x, Rounding.UP)


def nearest(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Nearest integer, halves to even."""
    e.unary("cast", out, x, Rounding.HALF_TO_EVEN)


def sign(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """-1, 0 or 1."""
    a, b = s.like(out, 2)
    e.select("gt", a, x, 0.0, 1.0)
    e.select("lt", b, x, 0.0, 1.0)
    e.binary("sub", out, a, b)


def sqrt(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Square root, as x times its reciprocal."""
    (a,) = s.like(out, 1)
    e.reciprocal_sqrt(a, x)
    e.binary("mul", out, x, a)


def rsqrt(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``1 / sqrt(x)``, infinite for 0."""
    (a,) = s.like(out, 1)
    e.reciprocal_sqrt(a, x)
    e.choose("lt", out, x, f.LEAST_NORMAL, math.inf, a)


def exp(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Exponential function."""
    a, b = s.like(out, 2)
    f.exponential(out, x, a, b, s, e)


def log(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Natural logarithm."""
    f.logarithm(out, x, 1.0, s, e)


def log_base(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Logarithm to the base ``base``."""
    f.logarithm(out, x, 1 / math.log(op.base), s, e)


def sinh(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``(m + m / (m + 1)) / 2`` with ``m = exp(|x|) - 1`` (cut at 2**127) and the sign of x."""
    a, b, c, d = s.like(out, 4)
    e.unary("abs", d, x)
    f.exponential_minus_one(d, d, a, b, c, s, e, limit=_LARGE)
    e.linear(c, d, 1.0, 1.0)
    e.divide(a, d, c)
    e.binary("add", b, a, d)
    e.linear(b, b, 0.5, 0.0)
    bits = ElementType.UI32
    e.binary("and", a.reinterpret(bits), x.reinterpret(bits), _SIGN_BIT)
    e.binary("or", out.reinterpret(bits), a.reinterpret(bits), b.reinterpret(bits))


def cosh(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``(exp(|x|) + 1 / exp(|x|)) / 2``."""
    a, b, c = s.like(out, 3)
    e.unary("abs", c, x)
    f.exponential(c, c, a, b, s, e)
    e.divide(a, 0.5, c)
    e.linear(c, c, 0.5, 0.0)
    e.binary("add", out, a, c)


def sin(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Sine; 17 cycles a row."""
    a, b, c = s.like(out, 3)
    f.reduce_period(a, x, b, c, 2 * math.pi, e)
    e.binary("mul", b, a, a)
    f.polynomial(b, b, f.fit(f.sine_over, 6, 0.0, math.pi**2), s, e)
    e.binary("mul", out, a, b)


def cos(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Cosine; 16 cycles a row."""
    a, b, c = s.like(out, 3)
    f.reduce_period(a, x, b, c, 2 * math.pi, e)
    e.binary("mul", b, a, a)
    f.polynomial(out, b, f.fit(_cosine_of_root, 6, 0.0, math.pi**2), s, e)


def _cosine_of_root(z: Array) -> Array:
    result: Array = np.cos(np.sqrt(z))
    return result


def tan(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``sin r / cos r`` with r the rest of x by pi, and ``cos r = sin(pi / 2 - |r|)``, which is exact where it is small."""
    r, a, b, c = s.like(out, 4)
    f.reduce_period(r, x, a, b, math.pi, e)
    coefficients = f.fit(f.sine_over, 4, 0.0, (math.pi / 2) ** 2)
    table = f.coefficient_table(coefficients, s, e)
    high, low = f.split_constant(math.pi / 2)
    e.unary("abs", a, r)
    e.linear(a, a, -1.0, high)
    e.linear(a, a, 1.0, low)
    e.binary("mul", b, a, a)
    e.polynomial(b, b, table)
    e.binary("mul", c, a, b)
    e.binary("mul", a, r, r)
    e.polynomial(a, a, table)
    e.binary("mul", b, a, r)
    e.divide(out, b, c)


def arccos(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``p(|x|) sqrt(1 - |x|)``, and pi less that where x is negative."""
    a, b, c = s.like(out, 3)
    e.unary("abs", a, x)
    e.linear(b, a, -1.0, 1.0)
    e.reciprocal_sqrt(c, b)
    e.binary("mul", out, b, c)
    f.polynomial(a, a, f.fit(_arccos_over_root, 7, 0.0, 1.0), s, e)
    e.binary("mul", b, a, out)
    e.linear(a, b, -1.0, math.pi)
    e.choose("lt", out, x, 0.0, a, b)


def _arccos_over_root(x: Array) -> Array:
    result: Array = np.arccos(x) / np.sqrt(1 - x)
    return result


def arctanh(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``(log(1 + x) - log(1 - x)) / 2``."""
    a, b, c = s.like(out, 3)
    e.linear(c, x, 1.0, 1.0)
    f.logarithm(a, c, 0.5, s.fork(), e)
    e.linear(c, x, -1.0, 1.0)
    f.logarithm(b, c, 0.5, s.fork(), e)
    e.binary("sub", out, a, b)


class CastKernel(FunctionKernel):
    """Rounding to what another type can hold, in F32 (``to``), and conversion between element types."""

    def __init__(self) -> None:
        super().__init__(cast, buffers=1)

    def takes(self, op: Operation) -> bool:
        return True

    def supports(self, op: Any) -> str | None:
        if op.to.startswith(("INT", "UINT")) and op.round_mode not in _ROUNDING:
            return f"no instruction rounds {op.round_mode}"
        converted = op.input.type.element is not op.output.type.element
        if converted and op.to not in ("", "F32"):
            return f"{op.input.type.element.value} becomes {op.output.type.element.value} only, not {op.to}"
        return super().supports(op)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out = tile.operands[0], tile.results[0]
        stored = (op.input.type.element, op.input.type.scaling), (out.element, op.output.type.scaling)
        if x is None or stored[0] == stored[1]:
            super().emit(op, tile, e)
            return
        convert(out, x, stored[0][1], stored[1][1], Scratch(tile.scratch), e)


def convert(out: LocalTensor, x: LocalTensor, before: Scaling, after: Scaling, s: Scratch, e: Bm1684xEmitter) -> None:
    """Stored numbers as others that stand for the same, through F32 where they are scaled, and from one 16-bit float to the other."""
    if before == after == UNSCALED and {x.element, out.element} != {ElementType.F16, ElementType.BF16}:
        e.unary("cast", out, x)
    elif after == UNSCALED and out.element is ElementType.F32:
        e.widen(out, x, before)
    else:
        wide = s.take(x.shape)
        e.widen(wide, x, before)
        e.narrow(out, wide, after)


def cast(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """The value that type ``to`` holds for x."""
    if op.to.startswith(("INT", "UINT")):
        e.unary("cast", out, x, _ROUNDING[op.round_mode])
    elif op.to in ("F16", "BF16"):
        half = s.take(out.shape, ElementType[op.to])
        e.unary("cast", half, x)
        e.unary("cast", out, half)
    else:
        e.copy(out, x)


class CopyKernel(FunctionKernel):
    """A copy whose strides are the same on both sides."""

    def __init__(self) -> None:
        super().__init__(lambda op, out, x, s, e: e.copy(out, x), native=FLOATS)

    def supports(self, op: Any) -> str | None:
        dense = tuple(math.prod(op.shape[i + 1 :]) for i in range(len(op.shape)))
        same = tuple(op.input_stride) == dense == tuple(op.output_stride)
        return super().supports(op) if same and math.prod(op.shape) == op.output.type.elements else "its strides are not dense"


def register(registry: KernelRegistry) -> None:
    """Kernels of one operand."""
    registry.add("tpu.Abs", FunctionKernel(absolute, native=FLOATS))
    registry.add("tpu.Floor", FunctionKernel(floor))
    registry.add("tpu.Ceil", FunctionKernel(ceil))
    registry.add("tpu.Round", FunctionKernel(nearest))
    registry.add("tpu.Sign", FunctionKernel(sign, buffers=2))
    registry.add("tpu.Sqrt", FunctionKernel(sqrt, buffers=1, packed=True))
    registry.add("tpu.Rsqrt", FunctionKernel(rsqrt, buffers=1, packed=True))
    registry.add("tpu.Exp", FunctionKernel(exp, buffers=2, tables=1))
    registry.add("tpu.Log", FunctionKernel(log, buffers=3, tables=1, packed=True))
    registry.add("tpu.LogB", FunctionKernel(log_base, buffers=3, tables=1, packed=True))
    registry.add("tpu.Sinh", FunctionKernel(sinh, buffers=4, tables=1))
    registry.add("tpu.Cosh", FunctionKernel(cosh, buffers=3, tables=1))
    registry.add("tpu.Sin", FunctionKernel(sin, buffers=3, tables=1, packed=True))
    registry.add("tpu.Cos", FunctionKernel(cos, buffers=3, tables=1, packed=True))
    registry.add("tpu.Tan", FunctionKernel(tan, buffers=4, tables=1, packed=True))
    registry.add("tpu.Arccos", FunctionKernel(arccos, buffers=3, tables=1, packed=True))
    registry.add("tpu.Arctanh", FunctionKernel(arctanh, buffers=6, tables=1, packed=True))
    registry.add("tpu.Cast", CastKernel())
    registry.add("tpu.Copy", CopyKernel())
