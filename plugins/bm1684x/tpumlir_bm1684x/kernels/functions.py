"""Elementary functions of F32 tensors as instruction sequences.

All tensors are in the standard layout and of one shape. Named temporaries must be distinct from one another and from the
operands: arithmetic in place costs twice (SFU and LIN do not care), so the sequences go round between buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import TABLE_BYTES, Scratch
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.tensor import LocalTensor

LEAST_NORMAL = 2.0**-126  # smaller numbers count as 0
_EXPONENT_BIAS = 127
_MANTISSA_BITS = 23
_RECIPROCAL_BITS = 0x7EF311C3  # minus the bits of x: the bits of about 1/x, within 13 %
_HALF = 0.50001  # of a period, and a little more for what rounding leaves
_SQRT_HALF_BITS = 0x3F3504F3
_LOG2_E = 1 / math.log(2)


@cache
def fit(function: Callable[[Array], Array], degree: int, low: float, high: float) -> tuple[float, ...]:
    """Coefficients, lowest first, of a near-minimax polynomial: interpolation in Chebyshev nodes."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(float(c) for c in series.convert(kind=Polynomial).coef)


def coefficient_table(coefficients: tuple[float, ...], s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """A polynomial's coefficients in every lane; takes ``TABLE_BYTES`` of scratch."""
    table = LocalTensor.compact(e.arch, s.take_bytes(TABLE_BYTES), (1, e.arch.lanes, 1, len(coefficients)), ElementType.F32)
    e.fill_coefficients(table, coefficients)
    return table


def polynomial(out: LocalTensor, x: LocalTensor, coefficients: tuple[float, ...], s: Scratch, e: Bm1684xEmitter) -> None:
    """``out`` = the polynomial of ``x``, in place too; takes ``TABLE_BYTES`` of scratch."""
    e.polynomial(out, x, coefficient_table(coefficients, s, e))


def exponential(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, s: Scratch, e: Bm1684xEmitter, factor: float = 1.0,
    limit: float = 128.25,
) -> None:
    """``out = exp(factor * x)``, infinite above 2**128, 0 below 2**-126; 14 cycles a row. ``out`` may be ``x``.

    The result is cut at 2**``limit`` (at most 128.5), for what follows to stay finite. exp(t) = 2**k * 2**f with k = round(t /
    ln 2): f goes through a polynomial, k into the exponent bits (less one, which the polynomial makes good).
    """
    _split(out, x, a, b, factor, limit, e)
    power_of_two(b, out, e, -1)
    polynomial(a, a, (2.0, *(2 * c for c in fit(_exp2_slope, 4, -0.5, 0.5))), s, e)
    e.binary("mul", out, a, b)


def exponential_minus_one(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, c: LocalTensor, s: Scratch, e: Bm1684xEmitter, factor: float = 1.0,
    limit: float = 127.0,
) -> None:
    """``out = exp(factor * x) - 1``, exact to the last bits near 0 too; 18 cycles a row. Cut at 2**``limit`` (below 128)."""
    _split(c, x, a, b, factor, limit, e)
    power_of_two(b, c, e)
    polynomial(out, a, fit(_exp2_slope, 5, -0.5, 0.5), s, e)
    e.binary("mul", c, a, out)
    e.binary("mul", a, b, c)
    e.linear(b, b, 1.0, -1.0)
    e.binary("add", out, a, b)


def _split(
    k: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, factor: float, limit: float, e: Bm1684xEmitter
) -> None:
    """``k + a = factor * x / ln 2``, k the nearest integer, the sum cut to -126 and ``limit``; ``k`` may be ``x``."""
    scale = factor * _LOG2_E
    low, high = sorted((-126.0 / scale, limit / scale))
    e.binary("max", a, x, low)
    e.binary("min", b, a, high)
    e.linear(b, b, scale, 0.0)
    e.unary("cast", k, b)
    e.binary("sub", a, b, k)


def power_of_two(out: LocalTensor, k: LocalTensor, e: Bm1684xEmitter, offset: int = 0) -> None:
    """``out = 2**(k + offset)`` for integers k (as floats, which are lost); -127 gives 0, 128 infinity; 2 cycles a row.

    Adding 1.5 * 2**23 makes the sum's low bits the integer; the shift makes them the exponent and drops the rest.
    """
    e.linear(k, k, 1.0, 1.5 * 2**_MANTISSA_BITS + _EXPONENT_BIAS + offset)
    e.shift_bits(out.reinterpret(ElementType.UI32), k.reinterpret(ElementType.UI32), _MANTISSA_BITS)


def _exp2_slope(x: Array) -> Array:
    """``(2**x - 1) / x``."""
    safe = np.where(x == 0, 1e-9, x)
    result: Array = np.expm1(safe * math.log(2)) / safe
    return result


def reciprocal(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, e: Bm1684xEmitter
) -> None:
    """``out = 1 / x`` for finite normal x with normal 1/x, within 2e-7; 10 cycles a row (AR div: 31).

    Newton's rule y += y * (1 - x * y) three times, from an estimate by integer subtraction.
    """
    integer = ElementType.SI32
    e.binary("sub", b.reinterpret(integer), float(_RECIPROCAL_BITS), x.reinterpret(integer))
    for y, product, better in ((b, a, out), (out, b, a), (a, b, out)):
        e.binary("mul", product, x, y)
        e.linear(product, product, -1.0, 2.0)
        e.binary("mul", better, y, product)


def logarithm(out: LocalTensor, x: LocalTensor, scale: float, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = scale * log(x)``, infinite at 0 and below; 22 cycles a row, three buffers and a table of scratch.

    x = 2**k * m with m from sqrt(1/2) to sqrt(2), by integer arithmetic on the bits; log m is (m - 1) times a polynomial.
    """
    a, b, c = s.like(out, 3)
    integer = ElementType.SI32
    e.binary("sub", a.reinterpret(integer), x.reinterpret(integer), float(_SQRT_HALF_BITS))
    e.shift_bits(b.reinterpret(integer), a.reinterpret(integer), -_MANTISSA_BITS, arithmetic=True)
    e.shift_bits(a.reinterpret(integer), b.reinterpret(integer), _MANTISSA_BITS)
    e.binary("sub", c.reinterpret(integer), x.reinterpret(integer), a.reinterpret(integer))
    e.unary("cast", a, b.reinterpret(integer))
    e.linear(c, c, 1.0, -1.0)
    low, high = math.sqrt(0.5) - 1, math.sqrt(2) - 1
    polynomial(b, c, tuple(scale * k for k in fit(_log1p_slope, 8, low, high)), s, e)
    e.binary("mul", out, b, c)
    e.linear(a, a, scale * math.log(2), 0.0)
    e.binary("add", b, a, out)
    e.choose("lt", a, x, LEAST_NORMAL, math.copysign(math.inf, -scale), b)
    e.choose("eq", out, x, math.inf, math.copysign(math.inf, scale), a)


def _log1p_slope(x: Array) -> Array:
    result: Array = np.log1p(x) / x
    return result


def reduce_period(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, period: float, e: Bm1684xEmitter
) -> None:
    """``out = x - k * period`` with the nearest integer k, cut to the period; 8 cycles a row.

    The period counts with 9 + 24 bits: exact to the last bits of x up to about 2**15 periods, finite for any x.
    """
    high, low = split_constant(period)
    e.linear(out, x, 1 / period, 0.0)
    e.unary("cast", a, out)
    e.linear(out, a, high, 0.0)
    e.binary("sub", b, x, out)
    e.linear(a, a, low, 0.0)
    e.binary("sub", out, b, a)
    e.binary("max", a, out, -_HALF * period)
    e.binary("min", out, a, _HALF * period)


def split_constant(value: float) -> tuple[float, float]:
    """A constant as a part of 9 bits, whose product with an integer of 15 bits is exact, and the rest."""
    unit = 2.0 ** (math.frexp(value)[1] - 9)
    high = round(value / unit) * unit
    return high, value - high


def sine_over(z: Array) -> Array:
    """``sin(x) / x`` for ``z = x**2``."""
    x = np.sqrt(z)
    result: Array = np.sin(x) / x
    return result
