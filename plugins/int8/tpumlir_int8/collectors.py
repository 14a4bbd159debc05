"""What each method keeps of one tensor, and the range that it makes of it. Bytes do not depend on the number of samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import CalibratedRange

LEAST_THRESHOLD = 1e-5
"""The threshold of a tensor that is all zeros, as the reference writes it (tpu-mlir 1.30.2)."""


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
        """The magnitude that the method keeps; larger ones are cut to ``largest``."""

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
