"""The arithmetic of SOPHGO's tensor engines on integers, in numpy, bit for bit.

Every rule was found by comparing with CModel over random and edge values, as the tests of the chips' instructions do. Tests of
its own hold it to exact fractions.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from tpumlir_core.ir import Array, ElementType

LARGEST_SHIFT = 63


class Rounding(IntEnum):
    """How a quotient becomes an integer; the numbers are the instruction fields' codes ("CModel, measured")."""

    HALF_TO_EVEN = 0
    HALF_AWAY_FROM_ZERO = 1
    TOWARDS_ZERO = 2
    DOWN = 3
    UP = 4
    HALF_UP = 5
    HALF_DOWN = 6


def saturate(values: Array, element: ElementType) -> Array:
    """Integers (or rounded floats) as ``element``; what does not fit becomes the nearest that does."""
    limits = np.iinfo(element.numpy)
    return np.clip(values, limits.min, limits.max).astype(element.numpy)


def shift_right(values: Array, bits: Array | int, rounding: Rounding) -> Array:
    """``values / 2**bits`` as int64, rounded; negative ``bits`` shift left (beyond 64 bits the top is lost). At most 63 bits."""
    wide, count = np.broadcast_arrays(np.asarray(values, np.int64), np.asarray(bits, np.int64))
    right = np.maximum(count, 0)
    floor = wide >> right
    rest = wide - (floor << right)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 1)
    up = {
        Rounding.HALF_TO_EVEN: (rest > half) | ((rest == half) & (floor & 1 == 1)),
        Rounding.HALF_AWAY_FROM_ZERO: (rest > half) | ((rest == half) & (wide >= 0)),
        Rounding.TOWARDS_ZERO: (rest > 0) & (wide < 0),
        Rounding.DOWN: np.zeros(wide.shape, bool),
        Rounding.UP: rest > 0,
        Rounding.HALF_UP: rest >= half,
        Rounding.HALF_DOWN: rest > half,
    }[rounding]
    shifted: Array = (floor + up) << np.maximum(-count, 0)
    return shifted


def round_float(values: Array, rounding: Rounding) -> Array:
    """Floats to the integers that ``rounding`` chooses, still as floats; zeros keep the sign of what they come from."""
    exact = np.asarray(values, np.float64)
    floor = np.floor(exact)
    rest = exact - floor
    rounded = {
        Rounding.HALF_TO_EVEN: np.rint(exact),
        Rounding.HALF_AWAY_FROM_ZERO: floor + np.where(exact >= 0, rest >= 0.5, rest > 0.5),
        Rounding.TOWARDS_ZERO: np.trunc(exact),
        Rounding.DOWN: floor,
        Rounding.UP: np.ceil(exact),
        Rounding.HALF_UP: floor + (rest >= 0.5),
        Rounding.HALF_DOWN: floor + (rest > 0.5),
    }[rounding]
    signed: Array = np.copysign(rounded, exact)
    return signed


def combine(
    operation: str, a: Array, b: Array, element: ElementType, shift: int = 0, rounding: Rounding = Rounding.HALF_UP
) -> Array:
    """``saturate(round((a operation b) / 2**shift))`` of integers, exact before: ``add``, ``sub`` or ``mul``."""
    exact = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[operation]
    return saturate(shift_right(exact(np.asarray(a, np.int64), np.asarray(b, np.int64)), shift, rounding), element)


def requantize(
    x: Array, multiplier: Array | int, shift: Array | int, zero_point: Array | int, element: ElementType,
    rounding: Rounding = Rounding.HALF_UP,
) -> Array:
    """``saturate(round(x * multiplier / 2**shift) + zero_point)``: the product has 64 bits, nothing saturates in between.

    Parameters broadcast against ``x``: of one value a channel as (1, c, 1, 1).
    """
    product = np.asarray(x, np.int64) * np.asarray(multiplier, np.int64)
    return saturate(shift_right(product, shift, rounding) + np.asarray(zero_point, np.int64), element)


def requantize_scaled(
    x: Array, scale: Array | float, offset: Array | float, element: ElementType, rounding: Rounding = Rounding.HALF_TO_EVEN
) -> Array:
    """``saturate(round(x * scale + offset))`` in F32: x, product and sum are each rounded to even."""
    scaled = np.asarray(x).astype(np.float32) * np.float32(scale)
    return saturate(round_float(scaled + np.float32(offset), rounding), element)


def dequantize(x: Array, zero_point: Array | int, scale: Array | float) -> Array:
    """``(x - zero_point) * scale`` in F32; the difference is exact."""
    difference = np.asarray(x, np.int64) - np.asarray(zero_point, np.int64)
    real: Array = difference.astype(np.float32) * np.float32(scale)
    return real


def dequantize_fixed(
    x: Array, zero_point: Array | int, multiplier: Array | int, shift: Array | int, element: ElementType,
    rounding: Rounding = Rounding.HALF_UP,
) -> Array:
    """``saturate(round((x - zero_point) * multiplier / 2**shift))``: from one integer scale to a finer one."""
    return requantize(np.asarray(x, np.int64) - np.asarray(zero_point, np.int64), multiplier, shift, 0, element, rounding)
