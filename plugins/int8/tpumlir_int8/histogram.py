"""Histograms of tensors: counted fast, and growing with the values, so that any number of samples fits into the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tpumlir_core.ir import Array, ElementType
from tpumlir_core.storage_lowering import Storage

LEAST_BINS = 2048
"""Bins from 0 to the largest magnitude, at least: the reference's number (tpu-mlir 1.30.2)."""
CAPACITY = 2 * LEAST_BINS
"""Bins of either sign. When a value lies beyond them, neighbours are merged, which leaves LEAST_BINS in use."""
_MARGIN = 1 - 1e-6
"""Of the capacity may be used: float32 could round an index up to the bin that is not there."""
_LEAST_WIDTH = 2.0**-120
"""Of a bin: its reciprocal is a float32. What is smaller is as good as zero."""
_PART = 1 << 16
"""Values counted at a time: their indices stay in the processor's cache (measured: half and twice as many are no faster)."""


def bin_counts(values: Array, width: float, bins: int) -> Array:
    """How many of ``values`` lie in each of ``2 * bins`` bins of ``width``, of which the first ``bins`` are below 0."""
    scale = np.float32(1 / width)
    counts = np.zeros(2 * bins, np.int64)
    places = np.empty(min(_PART, values.size), np.float32)
    for start in range(0, values.size, _PART):
        part = values[start : start + _PART]
        place = np.multiply(part, scale, out=places[: part.size])
        place += np.float32(bins)
        counts += np.bincount(place.astype(np.intp), minlength=2 * bins)
    return counts


@dataclass(frozen=True)
class Magnitudes:
    """How often each magnitude was seen: ``counts[i]`` of those from ``i * width`` to ``(i + 1) * width``.

    The first is what the second is: in it are the zeros, which after a ReLU would outweigh all else, and on which quantization
    never errs.
    """

    counts: Array
    width: float

    @property
    def centers(self) -> Array:
        """The magnitude in the middle of each bin."""
        return (np.arange(len(self.counts)) + 0.5) * self.width


class Histogram:
    """Counts of all the values seen, signed; as wide as the largest magnitude wants it."""

    def __init__(self) -> None:
        self.width = 0.0
        """Of a bin; 0 while nothing but zeros was seen."""
        self.counts = np.zeros(2 * CAPACITY, np.int64)

    def add(self, values: Array, largest: float) -> None:
        """Count an array of float32, none of them above ``largest`` in magnitude."""
        if largest <= 0:
            self.counts[CAPACITY] += values.size
            return
        if not self.width:
            self.width = max(largest / LEAST_BINS, _LEAST_WIDTH)
        while largest > self.width * CAPACITY * _MARGIN:
            self._widen()
        self.counts += bin_counts(values, self.width, CAPACITY)

    def _widen(self) -> None:
        """Merge bins in pairs, from zero outwards."""
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros_like(self.counts)
        self.counts[CAPACITY // 2 : CAPACITY // 2 + CAPACITY] = merged
        self.width *= 2

    def loss(self, storage: Storage) -> float:
        """Root mean square of what the storage loses, over that of the values. The bins at zero hold zeros, which lose nothing."""
        quantization = storage.quantization
        assert quantization is not None
        centers = (np.arange(-CAPACITY, CAPACITY) + 0.5) * self.width
        centers[CAPACITY - 1 : CAPACITY + 1] = 0
        least, most = (0, 255) if storage.element is ElementType.UI8 else (-128, 127)
        zero_point = quantization.zero_point
        stored = np.clip(np.rint(centers / quantization.scale) + zero_point, least, most)
        power = float(self.counts @ np.square(centers))
        error = float(self.counts @ np.square((stored - zero_point) * quantization.scale - centers))
        return math.sqrt(error / power) if power else 0.0

    def magnitudes(self) -> Magnitudes:
        """The same without signs, up to the last bin that holds anything, and LEAST_BINS at least."""
        folded = self.counts[CAPACITY:] + self.counts[:CAPACITY][::-1]
        folded[0] = folded[1]
        used = int(np.flatnonzero(folded)[-1]) + 1 if folded.any() else 0
        return Magnitudes(folded[: max(used, LEAST_BINS)], self.width)
