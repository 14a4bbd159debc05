"""The emulator in the tests' own process."""

from __future__ import annotations

from typing import Any

import numpy as np


def test_numbers_too_small_are_zero_on_the_emulator_only(runner: Any) -> None:
    small, factor = np.full((1, 1, 1, 4), 1e-30, np.float32), np.full((1, 1, 1, 4), 1e-10, np.float32)
    _, (found,) = runner.run("tpu.Mul", [small, factor])
    assert not found.any()
    np.testing.assert_allclose(small * factor, 1e-40, rtol=1e-4)
