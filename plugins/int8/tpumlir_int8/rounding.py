"""Rounding of weights so that their errors do not add up.

A sum of products errs by the sum of the weights' errors times what the operand holds. Most tensors are far from having a mean of
zero, after an activation none has, and over the taps of a filter the mean is the same: then what counts most is the sum of the
errors. Each weight by itself rounded to the nearest, that sum grows with their number; here some are rounded the other way, those
that lie nearest to a half, so that none is left but a fraction. The shift of a channel's mean, which no requantization mends, goes with it.
"""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array


def round_balanced(values: Array, taps: int) -> Array:
    """Rows of weights in units of their steps, [channels, n], as integers (in floats) with sums as near as can be.

    ``taps``: how many neighbours in a row meet the same channel of the operand; the errors of these are balanced first.
    """
    rounded = np.rint(values)
    if taps > 1:
        windows = rounded.reshape(-1, taps)
        _balance(windows, values.reshape(-1, taps))
        rounded = windows.reshape(values.shape)
    _balance(rounded, values)
    return rounded


def _balance(rounded: Array, values: Array) -> None:
    """Move, in place, those integers by one that err most, until each row's sum is the nearest to that of its values."""
    errors = rounded - values
    excess = np.rint(errors.sum(1))
    rows = np.flatnonzero(excess)
    if not rows.size:
        return
    sign, moves = np.sign(excess[rows])[:, None], np.abs(excess[rows]).astype(np.intp)[:, None]
    gains = errors[rows] * sign
    most = int(moves.max())
    places = np.argpartition(-gains, most - 1, 1)[:, :most]
    ranked = np.argsort(-np.take_along_axis(gains, places, 1), 1, kind="stable")
    places = np.take_along_axis(places, ranked, 1)
    rounded[rows[:, None], places] -= np.where(np.arange(most) < moves, sign, 0).astype(rounded.dtype)
