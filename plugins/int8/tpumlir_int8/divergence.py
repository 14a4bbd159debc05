"""The threshold of least Kullback-Leibler divergence between what was seen and what its quantized form can tell."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_int8.histogram import Magnitudes

LEVELS = 128
"""Magnitudes of a signed byte."""
_STEP = 16
"""Bins between the thresholds that are tried."""


def least_divergence(seen: Magnitudes) -> float:
    """The magnitude to cut at.

    A cut at bin ``c`` moves what lies beyond into the bin before it, which gives P, and leaves LEVELS runs of bins, over each
    of which quantization spreads what it holds evenly, which gives Q. Sum(P log(P / Q)) is least at the cut that is taken.
    """
    cuts = np.arange(LEVELS, len(seen.counts) + 1, _STEP)
    return float(cuts[np.argmin(_divergences(seen.counts.astype(np.float64), cuts))] * seen.width)


def _divergences(counts: Array, cuts: Array) -> Array:
    """The divergence at each cut, up to what all have in common. Sums over runs are differences of running sums."""
    below = np.concatenate([[0.0], np.cumsum(counts)])
    information = np.concatenate([[0.0], np.cumsum(_times_log(counts, counts))])
    edges = -(-np.arange(LEVELS + 1) * cuts[:, None] // LEVELS)  # rounded up: runs differ by one bin at most
    held, length = np.diff(below[edges], axis=1), np.diff(edges, axis=1)
    last, beyond = counts[cuts - 1], below[-1] - below[cuts]
    moved = _times_log(last + beyond, last + beyond) - _times_log(last, last) - _times_log(beyond, held[:, -1] / length[:, -1])
    divergences: Array = information[cuts] + moved - _times_log(held, held / length).sum(axis=1)
    return divergences


def _times_log(factor: Array, value: Array) -> Array:
    """``factor * log(value)``, 0 where the factor is; a value of 0 counts as almost nothing."""
    logarithm = np.log(np.maximum(value, 1e-9))
    product: Array = np.where(factor > 0, factor * logarithm, 0.0)
    return product
