"""The threshold of least squared error: what clipping costs against what rounding costs."""

from __future__ import annotations

import numpy as np

from tpumlir_int8.histogram import Magnitudes

_BITS = 8
_STEPS = 20
_CLOSE = 1e-6


def least_squared_error(seen: Magnitudes, signed: bool) -> float:
    """The threshold at which the expected squared error of quantization stands still, by Newton's method (OCTAV).

    A value above the threshold ``s`` errs by its distance from it, one below by a uniform rounding error of step ``s / 2^(b - 1)``,
    or half of that where all values are positive and the sign's bit is theirs: s = sum(above) / (count(below) 4^-b / 3u +
    count(above)), u = 1 signed, 4 unsigned.
    """
    above = np.concatenate([np.cumsum(seen.counts[::-1])[::-1], [0]])
    sums = np.concatenate([np.cumsum((seen.counts * seen.centers)[::-1])[::-1], [0.0]])
    rounding = 4.0**-_BITS / (3 if signed else 12)
    threshold = float(sums[0] / above[0])
    for _ in range(_STEPS):
        place = min(int(threshold / seen.width), len(seen.counts) - 1)
        better = float(sums[place] / ((above[0] - above[place]) * rounding + above[place]))
        if abs(better - threshold) < _CLOSE * threshold:
            break
        threshold = better
    return threshold
