"""Powers: of a constant exponent, of a constant base, and of two computed operands.

In general ``|x| ** y = 2 ** (y * log2 |x|)``, and for negative x an odd y turns the sign and a fractional one gives NaN. The
relative error is about 1e-7 for every binary order of the result.
"""

from __future__ import annotations

import math
from typing import Any

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import functions as f
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, FunctionKernel, Scratch
from tpumlir_bm1684x.kernels.unary import rsqrt, sqrt
from tpumlir_core.ir import ElementType, Operation
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor

_SIGN_BIT = float(0x80000000)
_GREATEST_PRODUCT = 16  # greatest exponent taken by products
_GENERAL_BUFFERS = 6  # that ``power_of_magnitude`` and what goes before and after it take


class PowerKernel(FunctionKernel):
    """x to a constant power: products for small integers, roots for halves, else by the logarithm."""

    def __init__(self) -> None:
        super().__init__(power, tables=1, packed=True)

    def buffers_for(self, op: Any) -> int:
        return 1 if abs(op.exponent) == 0.5 or _is_small_integer(op.exponent) else _GENERAL_BUFFERS


def power(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x ** exponent``."""
    if op.exponent == 0.5:
        sqrt(op, out, x, s, e)
    elif op.exponent == -0.5:
        rsqrt(op, out, x, s, e)
    elif _is_small_integer(op.exponent):
        _integer_power(out, x, int(op.exponent), s, e)
    else:
        _constant_power(out, x, op.exponent, s, e)


def _is_small_integer(exponent: float) -> bool:
    return exponent == int(exponent) and abs(exponent) <= _GREATEST_PRODUCT


def _integer_power(out: LocalTensor, x: LocalTensor, exponent: int, s: Scratch, e: Bm1684xEmitter) -> None:
    """By squaring: for each bit of the exponent from the second on a square and perhaps a product."""
    if exponent == 0:
        e.copy(out, 1.0)
        return
    steps = "".join("sx" if bit == "1" else "s" for bit in bin(abs(exponent))[3:]) + "/" * (exponent < 0)
    pair = (out, *s.like(out, 1))
    done = x
    for i, step in enumerate(steps):
        target = pair[(len(steps) - 1 - i) % 2]
        if step == "/":
            e.divide(target, 1.0, done)
        else:
            e.binary("mul", target, done, done if step == "s" else x)
        done = target
    if not steps:
        e.copy(out, x)


def _constant_power(out: LocalTensor, x: LocalTensor, exponent: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """Any exponent but 0, by the logarithm."""
    if exponent % 2 == 0:
        power_of_magnitude(out, x, exponent, s, e)
        return
    (size,) = s.like(out, 1)
    power_of_magnitude(size, x, exponent, s, e)
    if exponent % 1:
        e.choose("lt", out, x, 0.0, math.nan, size)
        return
    (sign,) = s.fork().like(out, 1)
    bits = ElementType.UI32
    e.binary("and", sign.reinterpret(bits), x.reinterpret(bits), _SIGN_BIT)
    e.binary("or", out.reinterpret(bits), sign.reinterpret(bits), size.reinterpret(bits))


def power_of_magnitude(out: LocalTensor, x: LocalTensor, y: LocalTensor | float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = |x| ** y`` for y other than 0; five buffers and a table of scratch, all given back."""
    s = s.fork()
    logarithm, magnitude = s.like(out, 2)
    e.unary("abs", magnitude, x)
    f.logarithm(logarithm, magnitude, 1 / math.log(2), s.fork(), e)
    e.binary("mul", magnitude, logarithm, y)
    a, b = s.like(out, 2)
    f.exponential(out, magnitude, a, b, s, e, factor=math.log(2))


class Pow2Kernel(FunctionKernel):
    """A constant to the power x."""

    def __init__(self) -> None:
        super().__init__(power_of_base, tables=1, packed=True)

    def buffers_for(self, op: Any) -> int:
        return 2 if op.const_val > 0 else _GENERAL_BUFFERS + 1


def power_of_base(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``const_val ** x``."""
    if op.const_val == 1:
        e.copy(out, 1.0)
    elif op.const_val > 0:
        a, b = s.like(out, 2)
        f.exponential(out, x, a, b, s, e, factor=math.log(op.const_val))
    else:
        (base,) = s.like(out, 1)
        e.copy(base, op.const_val)
        general_power(out, base, x, s, e)


class Pow3Kernel(ElementwiseKernel):
    """The first operand to the power of the second."""

    buffers = _GENERAL_BUFFERS
    tables = 1
    packed = frozenset({0, 1})

    def supports(self, op: Operation) -> str | None:
        return super().supports(op) if len(op.operands) == 2 else f"{len(op.operands)} operands"

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        general_power(out, operands[0], operands[1], s, e)


def general_power(out: LocalTensor, x: LocalTensor, y: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = x ** y``: 1 where y is 0; 0 ** y is 0 or +infinity by y's sign, whatever the sign of the zero."""
    (size,) = s.like(out, 1)
    power_of_magnitude(size, x, y, s, e)
    sign, a, b = s.fork().like(out, 3)
    _sign_of_power(sign, x, y, a, b, e)
    e.binary("mul", a, size, sign)
    e.choose("eq", out, y, 0.0, 1.0, a)


def _sign_of_power(out: LocalTensor, x: LocalTensor, y: LocalTensor, a: LocalTensor, b: LocalTensor, e: Bm1684xEmitter) -> None:
    """1; where x is negative -1 for odd y and NaN for fractional y. y / 2 is 0, or 1/2, from its nearest integer, or between."""
    e.linear(a, y, 0.5, 0.0)
    e.unary("cast", b, a)
    e.binary("sub", out, a, b)
    e.unary("abs", a, out)
    e.choose("eq", b, a, 0.5, -1.0, math.nan)
    e.choose("eq", out, a, 0.0, 1.0, b)
    e.choose("lt", a, x, 0.0, out, 1.0)
    e.copy(out, a)


def register(registry: KernelRegistry) -> None:
    """Kernels of powers."""
    registry.add("tpu.Pow", PowerKernel())
    registry.add("tpu.Pow2", Pow2Kernel())
    registry.add("tpu.Pow3", Pow3Kernel())
