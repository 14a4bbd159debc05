"""The emulator in the tests' own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_sophgo.testing.cmodel import Machine


def test_the_emulator_at_rest_takes_no_processor(machine: Machine) -> None:
    running = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    assert [name for name in running if name.startswith("TPU_")] == []


def test_numbers_too_small_are_zero_on_the_emulator_only(runner: Any) -> None:
    small, factor = np.full((1, 1, 1, 4), 1e-30, np.float32), np.full((1, 1, 1, 4), 1e-10, np.float32)
    _, (found,) = runner.run("tpu.Mul", [small, factor])
    assert not found.any()
    np.testing.assert_allclose(small * factor, 1e-40, rtol=1e-4)
