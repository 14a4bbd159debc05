"""The calibrators: each keeps statistics of every tensor, sample by sample, and chooses the ranges from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import CalibratedRange, Calibrator, Effort, Interpreter
from tpumlir_int8.adaptive import round_weights
from tpumlir_int8.collectors import Collector, Divergence, Gauss, Laplace, Largest, Percentile, SquaredError
from tpumlir_int8.equalization import equalize
from tpumlir_int8.tuning import tuned


class StreamingCalibrator(Calibrator):
    """Keeps a collector for each tensor while it walks over the samples, and no tensor. Thresholds are tuned at normal effort;
    at high effort channels are equalized before, and afterwards weights are rounded by what they meet."""

    def calibrate(self, tensors: Iterable[Mapping[str, Array]]) -> Mapping[str, CalibratedRange]:
        kept: dict[str, Collector] = {}
        for sample in tensors:
            for name, array in sample.items():
                if name not in kept:
                    kept[name] = self.collector()
                try:
                    kept[name].add(array)
                except ValueError as error:
                    raise InputError(f"tensor {name} {error}; look at the sample or the network that makes it") from None
            del sample  # so that it can go before the next is made
        if not kept:
            raise InputError("there is no sample to calibrate on; give at least one input")
        return {name: found.range(place / len(kept)) for place, (name, found) in enumerate(kept.items())}

    def refine(
        self,
        module: Module,
        ranges: Mapping[str, CalibratedRange],
        samples: Sequence[Mapping[str, Array]],
        interpreter: Interpreter,
        effort: Effort,
    ) -> Mapping[str, CalibratedRange]:
        if effort is not Effort.HIGH:
            return tuned(module, ranges, samples, interpreter)
        equalized, tensors = equalize(module, ranges, samples, interpreter, self.calibrate)
        better = tuned(module, equalized, tensors, interpreter)
        round_weights(module, better, tensors, interpreter)
        return better

    @abstractmethod
    def collector(self) -> Collector:
        """The statistics of a tensor of which nothing has been seen."""


class MaxCalibrator(StreamingCalibrator):
    """The largest magnitude seen: nothing is clipped."""

    def collector(self) -> Collector:
        return Largest()


class KlCalibrator(StreamingCalibrator):
    """Least divergence of the quantized values' distribution from the real one."""

    def collector(self) -> Collector:
        return Divergence()


class MseCalibrator(StreamingCalibrator):
    """Least squared error of the quantized values, over all samples."""

    def collector(self) -> Collector:
        return SquaredError()


class PercentileCalibrator(StreamingCalibrator):
    """The share of 0.9999 of the values on one side at the network's first tensor, rising to 0.99999999; low and high are cut too."""

    def collector(self) -> Collector:
        return Percentile()


class AciqGaussCalibrator(StreamingCalibrator):
    """The best threshold if values were normally distributed, the mean over the samples."""

    def collector(self) -> Collector:
        return Gauss()


class AciqLaplaceCalibrator(StreamingCalibrator):
    """The best threshold if values had a Laplace distribution, the mean over the samples."""

    def collector(self) -> Collector:
        return Laplace()
