"""Calibrators against brute force on the values themselves, which they do not keep."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, TensorType
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_int8.calibrators import (
    AciqGaussCalibrator,
    AciqLaplaceCalibrator,
    KlCalibrator,
    MaxCalibrator,
    MseCalibrator,
    PercentileCalibrator,
    StreamingCalibrator,
)
from tpumlir_int8.divergence import least_divergence
from tpumlir_int8.histogram import CAPACITY, LEAST_BINS, Histogram, Magnitudes, bin_counts
from tpumlir_int8.ranges import storage_of

ALL = (AciqGaussCalibrator, AciqLaplaceCalibrator, KlCalibrator, MaxCalibrator, MseCalibrator, PercentileCalibrator)
random = np.random.default_rng(5)
NORMAL = random.standard_normal((4, 50_000)).astype(np.float32)
HEAVY = random.standard_t(3, (4, 50_000)).astype(np.float32)
POSITIVE = np.maximum(NORMAL, 0)


def calibrate(calibrator: StreamingCalibrator, samples: Array) -> CalibratedRange:
    return calibrator.calibrate({"x": sample} for sample in samples)["x"]


def quantization_error(values: Array, threshold: float, signed: bool) -> float:
    """Mean squared error of 8 bits, by quantizing."""
    levels = 127 if signed else 255
    step = threshold / levels
    stored = np.clip(np.rint(values / step), -levels if signed else 0, levels)
    return float(np.mean((values - stored * step) ** 2))


@pytest.mark.parametrize(("samples", "signed"), [(NORMAL, True), (HEAVY, True), (POSITIVE, False)], ids=["normal", "heavy", "positive"])
def test_mse_finds_the_least_error(samples: Array, signed: bool) -> None:
    largest = float(np.abs(samples).max())
    best = min(quantization_error(samples, largest * share, signed) for share in np.linspace(0.05, 1, 200))
    found = calibrate(MseCalibrator(), samples).threshold
    assert quantization_error(samples, found, signed) <= best * 1.02


@pytest.mark.parametrize("samples", [NORMAL, HEAVY, POSITIVE])
def test_max_clips_nothing(samples: Array) -> None:
    found = calibrate(MaxCalibrator(), samples)
    assert found == CalibratedRange(float(np.abs(samples).max()), float(samples.min()), float(samples.max()))


def test_gauss_and_laplace_know_their_distributions() -> None:
    laplace = random.laplace(0, 0.5, (4, 50_000)).astype(np.float32)
    assert calibrate(AciqLaplaceCalibrator(), laplace).threshold == pytest.approx(9.89675982 * 0.5, rel=0.02)
    extremes = [float(np.ptp(sample)) for sample in NORMAL]
    deviations = [e * 0.175 * (1 + math.sqrt(math.pi * math.log(4))) / math.sqrt(2 * math.log(50_000)) for e in extremes]
    assert calibrate(AciqGaussCalibrator(), NORMAL).threshold == pytest.approx(3.92403337 * sum(deviations) / 4, rel=1e-6)


@pytest.mark.parametrize("samples", [NORMAL, HEAVY])
def test_percentile_of_the_first_tensor_and_of_the_last(samples: Array) -> None:
    """Or as far as the least squared error reaches, where that is farther."""
    found = PercentileCalibrator().calibrate({"x": sample, "y": sample} for sample in samples)
    least_error = MseCalibrator().calibrate({"x": sample} for sample in samples)["x"].threshold
    ordered, width = np.sort(samples.reshape(-1)), float(np.abs(samples).max()) / LEAST_BINS
    for name, kept in (("x", 0.9999), ("y", 0.9999 + (0.99999999 - 0.9999) / 2)):
        for sign, reached in ((-1, -found[name].low), (1, found[name].high)):
            ends = np.sort(sign * ordered)
            rank = kept * samples.size
            least, most = ends[max(int(rank) - 2, 0)], ends[min(int(rank) + 2, samples.size - 1)]
            wider = min(least_error, float(ends[-1]))
            assert max(least, wider) - width <= reached <= max(most, wider) + width


def test_percentile_keeps_few_large_values_that_are_most_of_the_signal() -> None:
    """One in 20,000 is 40 times as large as the rest reach: cut off they would be lost, kept they cost less."""
    values = np.random.default_rng(0).normal(size=100000).astype(np.float32)
    values[::20000] = 160.0
    found = PercentileCalibrator().calibrate([{"x": values}])["x"]
    step, clipped = found.threshold / 127, np.clip(values, -found.threshold, found.threshold)
    error = np.rint(clipped / step) * step - values
    assert found.threshold > 40
    assert np.square(error).sum() < 0.3 * np.square(values - np.clip(values, -4, 4)).sum()


@pytest.mark.parametrize("offset", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("calibrator", [PercentileCalibrator(), MseCalibrator(), KlCalibrator()])
def test_the_loss_is_what_8_bits_lose(calibrator: StreamingCalibrator, offset: float) -> None:
    values = np.maximum(np.random.default_rng(1).standard_t(4, 100000).astype(np.float32) + np.float32(offset), np.float32(-0.5))
    values[::3] = 0
    found = calibrator.calibrate([{"x": values}])["x"]
    storage = storage_of(found, asymmetric=False)
    stored = TensorType(values.shape, storage.element, quantization=storage.quantization)
    kept = to_real(to_stored(values, stored), stored)
    assert found.loss == pytest.approx(np.sqrt(np.square(kept - values).sum() / np.square(values).sum()), rel=0.05)


def test_zeros_lose_nothing() -> None:
    values = np.zeros(1 << 20, np.float32)
    values[:2] = 1.0, 0.5  # no step is finer than a bin of the histogram, and a million zeros outweigh what they are beside
    assert PercentileCalibrator().calibrate([{"x": values}])["x"].loss < 0.005
    assert PercentileCalibrator().calibrate([{"x": values * 0}])["x"].loss == 0


def divergence(counts: Array, cut: int) -> float:
    """Kullback-Leibler divergence from a histogram of what 128 even runs of its first ``cut`` bins tell, bin by bin."""
    real = [*counts[: cut - 1], sum(counts[cut - 1 :])]
    held, length = [0.0] * 128, [0] * 128
    for place in range(cut):
        held[place * 128 // cut] += counts[place]
        length[place * 128 // cut] += 1
    spread = [held[place * 128 // cut] / length[place * 128 // cut] for place in range(cut)]
    return sum(p * math.log(p / max(q, 1e-9)) for p, q in zip(real, spread, strict=True) if p > 0)


@pytest.mark.parametrize("values", [NORMAL[0], HEAVY[0], POSITIVE[0]], ids=["normal", "heavy", "positive"])
def test_kl_diverges_least(values: Array) -> None:
    histogram = Histogram()
    histogram.add(values, float(np.abs(values).max()))
    seen = histogram.magnitudes()
    at = {cut: divergence(seen.counts.astype(float), cut) for cut in range(128, len(seen.counts) + 1, 16)}
    found = round(least_divergence(seen) / seen.width)
    assert at[found] <= min(at.values()) * (1 + 1e-9)
    assert calibrate(KlCalibrator(), values[None]).threshold == min(found * seen.width, float(np.abs(values).max()))


@pytest.mark.parametrize("calibrator", [kind() for kind in ALL], ids=lambda calibrator: type(calibrator).__name__)
def test_zeros_and_samples_of_zeros(calibrator: StreamingCalibrator) -> None:
    zeros = np.zeros((2, 100), np.float32)
    assert calibrate(calibrator, zeros) == CalibratedRange(1e-5, 0.0, 1e-5)
    found = calibrate(calibrator, np.concatenate([zeros, NORMAL[:2, :100]]))
    assert 1 < found.threshold <= float(np.abs(NORMAL[:2, :100]).max())


@pytest.mark.parametrize("calibrator", [kind() for kind in ALL], ids=lambda calibrator: type(calibrator).__name__)
def test_memory_does_not_grow_with_the_samples(calibrator: StreamingCalibrator) -> None:
    def samples(count: int) -> Iterator[Mapping[str, Array]]:
        for seed in range(count):
            yield {"x": np.random.default_rng(seed).standard_normal(20_000).astype(np.float32) * (1 + seed)}

    def peak(count: int) -> int:
        tracemalloc.start()
        calibrator.calibrate(samples(count))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(200) - peak(10) < 10 * 80_000  # bytes of ten samples: a histogram may be in wider use


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(InputError, match="tensor x holds infinities"):
        calibrate(KlCalibrator(), np.array([[1.0, np.nan]], np.float32))


@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), min_size=1, max_size=8))
def test_a_histogram_loses_nothing_and_stays_ordered(batches: list[list[float]]) -> None:
    arrays = [np.array(batch, np.float32) for batch in batches]
    histogram = Histogram()
    for array in arrays:
        histogram.add(array, float(np.abs(array).max()))
    values = np.concatenate(arrays)
    assert histogram.counts.sum() == values.size
    if not histogram.width:
        return
    exact = np.floor(values.astype(np.float64) / histogram.width).astype(int) + CAPACITY
    moved = np.abs(np.cumsum(histogram.counts) - np.cumsum(np.bincount(exact, minlength=2 * CAPACITY)))
    near = np.abs(values / histogram.width - np.rint(values / histogram.width)) < 1e-2  # float32 may put these next door
    assert moved.max() <= near.sum()
    assert LEAST_BINS * histogram.width <= float(np.abs(values).max()) * 2.001


def test_magnitudes_have_at_least_the_bins_of_the_reference() -> None:
    histogram = Histogram()
    for factor in (1, 1.5, 2, 40):
        histogram.add(NORMAL[0] * np.float32(factor), float(np.abs(NORMAL[0]).max()) * factor)
        seen = histogram.magnitudes()
        assert isinstance(seen, Magnitudes)
        assert LEAST_BINS <= len(seen.counts) <= CAPACITY


def test_counts_are_numpys() -> None:
    values = np.rint(HEAVY[0] * 64) / np.float32(64)  # exact in float32, as are their places
    np.testing.assert_array_equal(bin_counts(values, 0.125, 4096), np.histogram(values, bins=8192, range=(-512, 512))[0])
