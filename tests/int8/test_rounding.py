"""Balanced rounding and tables of runs, against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from tpumlir_int8.rounding import round_balanced

random = np.random.default_rng(3)


@pytest.mark.parametrize(("shape", "taps"), [((64, 27), 9), ((16, 9), 9), ((1, 1), 1), ((33, 500), 1), ((4, 0), 1)])
def test_sums_are_kept_and_no_weight_is_moved_further_than_to_its_other_neighbour(shape: tuple[int, int], taps: int) -> None:
    values = random.uniform(-127, 127, shape)
    rounded = round_balanced(values, taps)
    np.testing.assert_array_equal(rounded, np.rint(rounded))
    assert (np.abs(rounded - values) < 1.5).all()
    assert (np.abs((rounded - values).sum(1)) <= 0.5 + 1e-9).all()


def test_windows_are_balanced_before_rows() -> None:
    values = random.uniform(-127, 127, (200, 4 * 9))
    errors = round_balanced(values, 9) - values
    nearest = np.rint(values) - values
    spread = [np.abs(e.reshape(200, 4, 9).sum(2)).mean() for e in (errors, nearest)]
    assert spread[0] < 0.6 * spread[1]


def test_integers_stay() -> None:
    values = random.integers(-127, 128, (8, 18)).astype(np.float32)
    np.testing.assert_array_equal(round_balanced(values, 9), values)
