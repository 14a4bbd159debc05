"""The integer arithmetic against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arithmetic import Rounding, combine, dequantize, requantize, round_float, saturate, shift_right

SI8, UI8, SI16 = ElementType.SI8, ElementType.UI8, ElementType.SI16
INT32 = st.integers(-(2**31), 2**31 - 1)


def rounded(value: Fraction, rounding: Rounding) -> int:
    """By the definition of each mode."""
    floor, ceiling = math.floor(value), math.ceil(value)
    if rounding in (Rounding.DOWN, Rounding.UP, Rounding.TOWARDS_ZERO):
        return {Rounding.DOWN: floor, Rounding.UP: ceiling, Rounding.TOWARDS_ZERO: math.trunc(value)}[rounding]
    if value - floor != Fraction(1, 2):
        return math.floor(value + Fraction(1, 2))
    away = ceiling if value > 0 else floor
    return {
        Rounding.HALF_TO_EVEN: floor + floor % 2, Rounding.HALF_AWAY_FROM_ZERO: away, Rounding.HALF_UP: ceiling, Rounding.HALF_DOWN: floor,
    }[rounding]


@given(st.integers(-(2**62), 2**62), st.integers(0, 63), st.sampled_from(Rounding))
def test_shifts(value: int, bits: int, rounding: Rounding) -> None:
    assert shift_right(np.array(value), bits, rounding) == rounded(Fraction(value, 2**bits), rounding)


@given(st.integers(-999, 999), st.integers(0, 4), st.sampled_from(Rounding))
def test_halves_and_quarters(value: int, bits: int, rounding: Rounding) -> None:
    want = rounded(Fraction(value, 2**bits), rounding)
    assert shift_right(np.array(value), bits, rounding) == want
    assert round_float(np.array(value / 2**bits), rounding) == want


@given(INT32, INT32, st.integers(0, 63), st.integers(-(2**15), 2**15 - 1), st.sampled_from(Rounding), st.sampled_from([SI8, UI8, SI16]))
def test_requantization(x: int, multiplier: int, shift: int, zero: int, rounding: Rounding, element: ElementType) -> None:
    limits = np.iinfo(element.numpy)
    want = min(max(rounded(Fraction(x * multiplier, 2**shift), rounding) + zero, int(limits.min)), int(limits.max))
    assert requantize(np.array(x), multiplier, shift, zero, element, rounding) == want


def test_a_negative_shift_multiplies() -> None:
    assert combine("sub", np.array([3]), np.array([5]), SI16, -4) == -32


def test_dequantization_is_exact_before_the_product() -> None:
    np.testing.assert_array_equal(dequantize(np.array([-128, 127], np.int8), 127, 0.5), np.float32([-127.5, 0]))


@pytest.mark.parametrize(("value", "want"), [(np.inf, 127), (-np.inf, -128), (128.0, 127), (5.0, 5)])
def test_saturation_of_floats(value: float, want: int) -> None:
    assert saturate(np.array(value), SI8) == want
