"""Rounding of floats to integers in every mode that the dialects name."""

from __future__ import annotations

import numpy as np

from tpumlir_core.errors import InternalError
from tpumlir_core.ir.operation import Array


def round_to_integer(values: Array, mode: str) -> Array:
    """``values`` rounded to integers (still floats) by a RoundMode: halves as the mode says, or every fraction one way."""
    match mode:
        case "HalfToEven":
            return np.rint(values)
        case "TowardsZero":
            return np.trunc(values)
        case "Up":
            return np.ceil(values)
        case "Down":
            return np.floor(values)
        case "HalfToOdd":
            return _halves(values, np.where(np.floor(values) % 2 == 0, np.ceil(values), np.floor(values)))
        case "HalfUp":
            return _halves(values, np.ceil(values))
        case "HalfDown":
            return _halves(values, np.floor(values))
        case "HalfAwayFromZero":
            return _halves(values, np.where(values < 0, np.floor(values), np.ceil(values)))
        case "HalfTowardsZero":
            return _halves(values, np.trunc(values))
    raise InternalError(f"unknown rounding mode {mode}")


def _halves(values: Array, ties: Array) -> Array:
    """The nearest integers, with ``ties`` where the fraction is exactly a half."""
    return np.where(np.abs(values - np.trunc(values)) == 0.5, ties, np.rint(values)).astype(values.dtype, copy=False)
