"""Conversion between element types as SOPHGO's tensor engines do it, in numpy, bit for bit ("CModel, measured").

Arrays of BF16 hold its bits as ``uint16`` (``ElementType.numpy``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arithmetic import Rounding, round_float, saturate


@dataclass(frozen=True)
class _Float:
    """Significant digits, and the exponents (as ``frexp`` counts) of the smallest normal and of the largest number."""

    digits: int
    lowest: int
    highest: int

    @property
    def largest(self) -> float:
        return 2.0**self.highest - 2.0 ** (self.highest - self.digits)


_FLOATS = {ElementType.F32: _Float(24, -125, 128), ElementType.F16: _Float(11, -13, 16), ElementType.BF16: _Float(8, -125, 128)}
_NAN_BITS = 0x7FFF  # of what becomes a 16-bit float, beside the sign


def to_real(x: Array, element: ElementType) -> Array:
    """The numbers that stored elements stand for, as F64; exact."""
    if element is ElementType.BF16:
        x = (x.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # of signaling NaN
        real: Array = x.astype(np.float64)
    return real


def convert(x: Array, source: ElementType, target: ElementType, rounding: Rounding = Rounding.HALF_TO_EVEN) -> Array:
    """Elements of one type as elements of another.

    Integers saturate, NaN becomes 0. A float to its own type becomes an integral number. Subnormal F32 counts as zero.
    F32 of 65536 and more becomes an infinite F16 however it is rounded, integers only as IEEE has it. Roundings beyond
    ``UP`` are for integers to integers, where none is needed.
    """
    if not (source.is_float or target.is_float):
        return saturate(x.astype(np.int64), target)
    values = to_real(x, source)
    with np.errstate(invalid="ignore"):  # of infinities and NaN
        if source is target:
            return _stored(round_float(values, rounding), target)
        if target.is_float:
            return _stored(_nearest(values, source, target, rounding), target)
        return saturate(np.where(np.isnan(values), 0, round_float(values, rounding)), target)


def _nearest(values: Array, source: ElementType, target: ElementType, rounding: Rounding) -> Array:
    """The numbers of the target's format that ``rounding`` chooses."""
    form = _FLOATS[target]
    if source is ElementType.F32:
        values = np.where(np.abs(values) < 2.0 ** (_FLOATS[source].lowest - 1), np.copysign(0.0, values), values)
    _, exponents = np.frexp(values)
    unit = np.exp2(np.maximum(exponents, form.lowest) - float(form.digits))
    rounded = round_float(values / unit, rounding) * unit
    to_infinity = {
        Rounding.TOWARDS_ZERO: np.zeros(values.shape, bool), Rounding.DOWN: values < 0, Rounding.UP: values > 0,
    }.get(rounding, np.ones(values.shape, bool))
    if source is ElementType.F32:
        to_infinity |= np.abs(values) >= 2.0**form.highest
    outside = (np.abs(rounded) > form.largest) & np.isfinite(values)
    return np.where(outside, np.copysign(np.where(to_infinity, np.inf, form.largest), values), rounded)


def _stored(values: Array, element: ElementType) -> Array:
    """Numbers that the format has, as it stores them."""
    if element is ElementType.F32:
        return values.astype(np.float32)
    if element is ElementType.BF16:
        bits = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    else:
        bits = values.astype(np.float16).view(np.uint16)
    bits = np.where(np.isnan(values), _NAN_BITS | bits & 0x8000, bits).astype(np.uint16)
    stored: Array = bits.view(element.numpy)
    return stored
