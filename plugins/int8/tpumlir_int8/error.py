"""The threshold of least squared error: what clipping costs against what rounding costs."""

from __future__ import annotations

import numpy as np

from tpumlir_int8.histogram import Magnitudes

_SIGNED_LEVELS, _LEVELS = 127, 255
"""Magnitudes of a byte, with a sign and without."""
_LEAST_SHARE = 1 / 16
"""Of the largest magnitude is the least threshold that is tried; the steps below it would be finer than the bins."""
_TRIALS = 96


def least_squared_error(seen: Magnitudes, signed: bool) -> float:
    """The threshold at which quantization errs least, tried bin by bin.

    Formulas for it (OCTAV) count the error of all rounding as that of evenly spread values. But after most activations many values
    are next to zero, where they are rounded to it and err by no more than their size: such tensors bear coarser steps, and wider ranges.
    """
    levels = _SIGNED_LEVELS if signed else _LEVELS
    thresholds = np.linspace(_LEAST_SHARE, 1, _TRIALS) * len(seen.counts) * seen.width
    errors = [_error(seen, threshold / levels, levels) for threshold in thresholds]
    return float(thresholds[int(np.argmin(errors))])


def _error(seen: Magnitudes, step: float, levels: int) -> float:
    stored = np.minimum(np.rint(seen.centers / step), levels)
    return float(seen.counts @ np.square(seen.centers - stored * step))
