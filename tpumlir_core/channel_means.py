"""The mean of every channel of those tensors that products with weights take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tpumlir_core.ir import Array, Module, Operation
from tpumlir_core.ir.top import Conv, MatMul, Weight
from tpumlir_core.plugins.extension_points import CalibratedRange


class ChannelMeans:
    """Means over all samples, gathered while they pass by."""

    def __init__(self, module: Module) -> None:
        self._axes = dict(filter(None, map(_channels, module.function.operations)))
        self._sums: dict[str, Array] = {}
        self._samples = 0

    def watched(self, tensors: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """The same samples, each counted before it is handed on."""
        for sample in tensors:
            self._samples += 1
            for name, axis in self._axes.items():
                if name in sample:
                    rest = tuple(other for other in range(sample[name].ndim) if other != axis)
                    self._sums[name] = self._sums.get(name, np.zeros(())) + _mean(sample[name], rest)
            yield sample
            del sample  # so that it can go before the next is made

    def added(self, ranges: Mapping[str, CalibratedRange]) -> dict[str, CalibratedRange]:
        """Ranges with the means of those tensors that have some."""
        means = {name: tuple(map(float, sums / self._samples)) for name, sums in self._sums.items() if np.isfinite(sums).all()}
        return {name: dataclasses.replace(found, means=means.get(name, ())) for name, found in ranges.items()}


def _mean(array: Array, axes: tuple[int, ...]) -> Array:
    """The mean over some axes as float64; summed as float32, which is twice as fast; 8 bits do not see how it errs."""
    found: Array = array.sum(axes).astype(np.float64) / max(math.prod(array.shape[axis] for axis in axes), 1)
    return found


def _channels(operation: Operation) -> tuple[str, int] | None:
    """The operand of a product with weights, and its axis of channels."""
    source, weight = operation.operands[:2] if isinstance(operation, (Conv, MatMul)) else (None, None)
    if source is None or weight is None or isinstance(source.owner, Weight) or not isinstance(weight.owner, Weight):
        return None
    return source.name, 1 if isinstance(operation, Conv) else len(source.shape) - 1
