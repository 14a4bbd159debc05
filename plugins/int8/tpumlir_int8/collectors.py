"""What each method keeps of one tensor, and the range that it makes of it. Bytes do not depend on the number of samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_int8.divergence import least_divergence
from tpumlir_int8.error import least_squared_error
from tpumlir_int8.histogram import CAPACITY, Histogram
from tpumlir_int8.ranges import storage_of

LEAST_THRESHOLD = 1e-5
"""The threshold of a tensor that is all zeros, as the reference writes it (tpu-mlir 1.30.2)."""

_NEARLY_ZERO = 1e-6
"""What is no lower counts as positive for the squared error (this and the next four: tpu-mlir 1.30.2, calibration)."""
_GAUSS_THRESHOLD = 3.92403337
"""Deviations of a normal distribution that 8 bits keep best."""
_GAUSS_EXTREMES = 0.5 * 0.35 * (1 + math.sqrt(math.pi * math.log(4)))
"""Deviation over the distance of the extremes, times sqrt(2 ln n) for n values."""
_LAPLACE_THRESHOLD = 9.89675982
"""Scales of a Laplace distribution that 8 bits keep best."""
_FIRST_KEPT, _LAST_KEPT = 0.9999, 0.99999999
"""Share of the values on one side of either cut, at the network's first tensor and at its last."""


class Collector(ABC):
    """The least and greatest value of a tensor, and what a method keeps besides."""

    def __init__(self) -> None:
        self.low = math.inf
        self.high = -math.inf

    def add(self, array: Array) -> None:
        """One sample's tensor. Raises ValueError where it holds no numbers, or infinities."""
        values = np.ascontiguousarray(array, np.float32).reshape(-1)
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("holds infinities or values that are no numbers")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.gather(values, low, high)

    @abstractmethod
    def gather(self, values: Array, low: float, high: float) -> None:
        """Keep what the method needs of one sample: its values, flat float32, from ``low`` to ``high``."""

    @property
    def largest(self) -> float:
        """The largest magnitude seen, 0 before anything was."""
        return max(-self.low, self.high, 0.0)

    @abstractmethod
    def threshold(self) -> float:
        """The magnitude that the method keeps; where it is above ``largest``, that is taken. Not asked for where all is zero."""

    def range(self, place: float) -> CalibratedRange:
        """The range of a tensor at ``place`` in the network, from 0, its first tensor, to below 1."""
        if self.largest <= LEAST_THRESHOLD:
            return CalibratedRange(LEAST_THRESHOLD, -LEAST_THRESHOLD if self.low < 0 else 0.0, LEAST_THRESHOLD)
        return CalibratedRange(max(min(self.threshold(), self.largest), LEAST_THRESHOLD), self.low, self.high)


class Largest(Collector):
    """Keeps no more than the extremes."""

    def gather(self, values: Array, low: float, high: float) -> None:
        return

    def threshold(self) -> float:
        return self.largest


class Counted(Collector):
    """Keeps a histogram over all samples."""

    def __init__(self) -> None:
        super().__init__()
        self._histogram = Histogram()

    def gather(self, values: Array, low: float, high: float) -> None:
        self._histogram.add(values, max(-low, high))

    def range(self, place: float) -> CalibratedRange:
        found = self.chosen(place)
        return replace(found, loss=self._histogram.loss(storage_of(found, asymmetric=False)))

    def chosen(self, place: float) -> CalibratedRange:
        """The range alone; see ``range``."""
        return super().range(place)


class Divergence(Counted):
    """The threshold of least divergence of the quantized values from those seen."""

    def threshold(self) -> float:
        return least_divergence(self._histogram.magnitudes())


class SquaredError(Counted):
    """The threshold of least squared error over the values of all samples.

    The reference takes the mean of what is best for each sample (tpu-mlir 1.30.2), which cuts off those that reach far: with 64
    photos the logits of EfficientNet-Lite0 err by 12 % instead of 7 %.
    """

    def threshold(self) -> float:
        return least_squared_error(self._histogram.magnitudes(), signed=self.low < -_NEARLY_ZERO)


class Mean(Collector):
    """The mean, over the samples that are not all zeros, of a threshold for each."""

    def __init__(self) -> None:
        super().__init__()
        self._sum = 0.0
        self._samples = 0

    def gather(self, values: Array, low: float, high: float) -> None:
        if max(-low, high) > 0:
            self._sum += self.of_sample(values, low, high)
            self._samples += 1

    @abstractmethod
    def of_sample(self, values: Array, low: float, high: float) -> float:
        """The threshold for one sample alone, of which not every value is 0."""

    def threshold(self) -> float:
        return self._sum / self._samples


class Gauss(Mean):
    """The best threshold for a normal distribution (ACIQ), its deviation estimated from the extremes and the number of values."""

    def of_sample(self, values: Array, low: float, high: float) -> float:
        deviation = (high - low) * _GAUSS_EXTREMES / math.sqrt(2 * math.log(max(values.size, 2)))
        return _GAUSS_THRESHOLD * deviation


class Laplace(Mean):
    """The best threshold for a Laplace distribution (ACIQ), its scale the mean distance from the mean."""

    def of_sample(self, values: Array, low: float, high: float) -> float:
        return _LAPLACE_THRESHOLD * float(np.abs(values - values.mean(dtype=np.float64).astype(np.float32)).mean(dtype=np.float64))


class Percentile(Counted):
    """A share of all values is cut off at either end, less and less along the network; none whose loss costs more than finer steps gain.

    A share alone does not see how far those values reach: of a tensor with a few large ones, as normalisations make them, most of the
    signal may be cut off.
    """

    def threshold(self) -> float:
        return self.largest

    def chosen(self, place: float) -> CalibratedRange:
        whole = super().chosen(place)
        if self.largest <= LEAST_THRESHOLD:
            return whole
        kept = _FIRST_KEPT + (_LAST_KEPT - _FIRST_KEPT) * place
        least = least_squared_error(self._histogram.magnitudes(), signed=self.low < -_NEARLY_ZERO)
        low, high = self._quantiles(1 - kept, kept)
        low, high = min(low, max(self.low, -least)), max(high, min(self.high, least))
        return CalibratedRange(max(-low, high, LEAST_THRESHOLD), low, high)

    def _quantiles(self, *shares: float) -> list[float]:
        """The values below which these shares of all values lie, spread evenly over each bin."""
        edges = (np.arange(2 * CAPACITY + 1) - CAPACITY) * self._histogram.width
        below = np.concatenate([[0], np.cumsum(self._histogram.counts)])
        return [float(np.clip(np.interp(share * below[-1], below, edges), self.low, self.high)) for share in shares]
