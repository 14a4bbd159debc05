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

_EXPONENT_BIAS = 127
_MANTISSA_BITS = 23
_RECIPROCAL_BITS = 0x7EF311C3  # minus the bits of x: the bits of about 1/x, within 13 %
_LOG2_E = 1 / math.log(2)


@cache
def fit(function: Callable[[Array], Array], degree: int, low: float, high: float) -> tuple[float, ...]:
    """Coefficients, lowest first, of a near-minimax polynomial: interpolation in Chebyshev nodes."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(float(c) for c in series.convert(kind=Polynomial).coef)


def polynomial(out: LocalTensor, x: LocalTensor, coefficients: tuple[float, ...], s: Scratch, e: Bm1684xEmitter) -> None:
    """``out`` = the polynomial of ``x``; takes ``TABLE_BYTES`` of scratch."""
    table = LocalTensor.compact(e.arch, s.take_bytes(TABLE_BYTES), (1, e.arch.lanes, 1, len(coefficients)), ElementType.F32)
    e.fill_coefficients(table, coefficients)
    e.polynomial(out, x, table)


def exponential(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, s: Scratch, e: Bm1684xEmitter, factor: float = 1.0,
    limit: float = 128.0,
) -> None:
    """``out = exp(factor * x)``, infinite above 2**128, 0 below 2**-126; 14 cycles a row. ``out`` may be ``x``.

    The result is cut at 2**``limit`` (at most 128), for what follows to stay finite. exp(t) = 2**k * 2**f with k = round(t /
    ln 2): f goes through a polynomial, k into the exponent bits (less one, which the polynomial makes good).
    """
    _split(out, x, a, b, factor, limit, e)
    power_of_two(b, out, e, -1)
    polynomial(a, a, fit(_twice_exp2, 5, -0.5, 0.5), s, e)
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


def _twice_exp2(x: Array) -> Array:
    result: Array = 2 * np.exp2(x)
    return result


def _exp2_slope(x: Array) -> Array:
    result: Array = np.expm1(x * math.log(2)) / x
    return result


def reciprocal(
    out: LocalTensor, x: LocalTensor, a: LocalTensor, b: LocalTensor, e: Bm1684xEmitter
) -> None:
    """``out = 1 / x`` for finite normal x with normal 1/x, within 2e-7; 10 cycles a row (AR div: 23).

    Newton's rule y += y * (1 - x * y) three times, from an estimate by integer subtraction.
    """
    integer = ElementType.SI32
    e.binary("sub", b.reinterpret(integer), float(_RECIPROCAL_BITS), x.reinterpret(integer))
    for y, product, better in ((b, a, out), (out, b, a), (a, b, out)):
        e.binary("mul", product, x, y)
        e.linear(product, product, -1.0, 2.0)
        e.binary("mul", better, y, product)
