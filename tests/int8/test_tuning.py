"""Tuning against the same arithmetic written apart, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Command
from tpumlir_core import api
from tpumlir_core.calibration import Calibration
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, Function, Module, TensorType, WeightStore, top
from tpumlir_core.plugins.extension_points import CalibratedRange, Effort
from tpumlir_core.tables import read_calibration_table
from tpumlir_int8.tuning import alone, stored_values, tuned

random = np.random.default_rng(11)
FILTERS = random.integers(-127, 128, (6, 5, 1, 1)).astype(np.float32)
FILTERS[:, 0] = 127
FILTERS *= np.linspace(0.25, 2, 6, dtype=np.float32).reshape(6, 1, 1, 1) / 127
"""Multiples of a step for each output channel: however weights are rounded, these stay."""
UNEVEN = np.random.default_rng(3).standard_normal((6, 5, 1, 1)).astype(np.float32)
"""Between the steps."""
BIASES = random.standard_normal((1, 6, 1, 1)).astype(np.float32)


def network(relu: bool = True, filters: Array = FILTERS) -> Module:
    """y = relu(conv1x1(x)): a matrix product over channels."""
    fed = top.Input.create([], [("x", TensorType((1, 5, 4, 4)))])
    weights = [top.Weight.create([], [("f", TensorType(FILTERS.shape))]), top.Weight.create([], [("b", TensorType(BIASES.shape))])]
    operands = [fed.output, *(weight.output for weight in weights)]
    conv = top.Conv.create(operands, ["y"], kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), do_relu=relu)
    store = WeightStore()
    store["f"], store["b"] = filters.copy(), BIASES.copy()
    return Module("net", Function("main", [fed, *weights, conv], [conv.output]), store)


def samples(count: int = 4) -> list[dict[str, Array]]:
    """All tensors of some samples; a few values lie far out."""
    inputs = [random.standard_normal((1, 5, 4, 4)).astype(np.float32) for _ in range(count)]
    for array in inputs:
        array[0, 0, 0, 0] = 4.0
    return [NumpyInterpreter().run(network(), {"x": array}) for array in inputs]


def alike() -> list[dict[str, Array]]:
    """Samples whose channels are nearly multiples of each other, so that the errors of weights can make up for each other."""
    factors = np.array([1.0, -0.8, 0.6, -0.9, -0.5]).reshape(5, 1, 1)
    draw = np.random.default_rng(1)
    arrays = draw.standard_normal((12, 1, 1, 4, 4)) * factors + 0.01 * draw.standard_normal((12, 1, 5, 4, 4))
    return [{"x": array} for array in (np.rint(arrays / np.abs(arrays).max() * 127) / 127).astype(np.float32)]  # exact in 8 bits


def rounded(values: Array, step: float, least: int, most: int) -> Array:
    return np.clip(np.rint(values.astype(np.float64) / step), least, most) * step


def convolved(x: Array, threshold: float, biases: Array) -> Array:
    """The convolution of 8-bit numbers, before the ReLU."""
    return np.einsum("oc,nchw->nohw", FILTERS[:, :, 0, 0].astype(np.float64), rounded(x, threshold / 127, -128, 127)) + biases


def off(threshold: float, tensors: list[dict[str, Array]]) -> float:
    """How far the results are off, relative to themselves, summed over samples."""
    results = [np.maximum(convolved(sample["x"], threshold, BIASES), 0) for sample in tensors]
    return float(sum(np.linalg.norm(y - sample["y"]) / np.linalg.norm(sample["y"]) for y, sample in zip(results, tensors, strict=True)))


@pytest.mark.parametrize("threshold", [0.5, 2.0, 4.0])
def test_the_tuned_threshold_errs_least_of_all_that_are_tried(threshold: float) -> None:
    tensors = samples()
    low, high = min(float(s["x"].min()) for s in tensors), max(float(s["x"].max()) for s in tensors)
    ranges = {"x": CalibratedRange(threshold, low, high), "y": CalibratedRange(1.0, 0.0, 1.0)}
    found = tuned(network(), ranges, tensors, NumpyInterpreter())
    trials = [threshold, *np.linspace(0.7 * threshold, max(-low, high, threshold), 21)]
    assert off(found["x"].threshold, tensors) == pytest.approx(min(off(trial, tensors) for trial in trials), rel=1e-4)
    assert (found["x"].low, found["x"].high, found["y"]) == (low, high, ranges["y"])


def test_stored_values_are_those_of_eight_bits() -> None:
    values = np.array([-5.0, -1.0, 0.11, 0.52, 1.0, 7.0], np.float32)
    np.testing.assert_allclose(stored_values(values, CalibratedRange(1.0, -1.0, 1.0)), rounded(values, 1 / 127, -128, 127), rtol=1e-6)
    np.testing.assert_allclose(stored_values(values, CalibratedRange(1.0, 0.0, 1.0)), rounded(values, 1 / 255, 0, 255), rtol=1e-6)


def test_a_product_alone_is_what_it_was_in_the_network() -> None:
    (sample,) = samples(1)
    part = alone(network().function.operations[-1], network(), quantized=False)
    np.testing.assert_array_equal(NumpyInterpreter().run(part, {"x": sample["x"]})["y"], sample["y"])


@pytest.mark.parametrize(("effort", "changed"), [(Effort.LOW, False), (Effort.NORMAL, False), (Effort.HIGH, True)])
def test_weights_change_at_high_effort_only(effort: Effort, changed: bool) -> None:
    module = network(filters=UNEVEN)
    api.calibrate(module, Calibration(alike(), "max", effort=effort, tuned=9))
    assert [bool((module.weights[name] != array).any()) for name, array in (("f", UNEVEN), ("b", BIASES))] == [changed] * 2


def test_the_command_writes_what_it_changes(tmp_path: Path, tpumlir: Command) -> None:
    api.save_module(network(filters=UNEVEN), tmp_path / "work/net.mlir")
    (tmp_path / "work/data").mkdir()
    for index, sample in enumerate(alike()):
        np.save(tmp_path / f"work/data/{index}.npy", sample["x"])
    refused = tpumlir("calibrate", "net.mlir", "--dataset", "data", "--effort", "high", "-o", "table")
    assert (refused.returncode, "--save-mlir" in refused.stderr) == (2, True)
    wanted = ["--method", "max", "--effort", "high", "--tune-num", "9", "--save-mlir", "new.mlir"]
    done = tpumlir("calibrate", "net.mlir", "--dataset", "data", *wanted, "-o", "table")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "work/table").read_text()
    assert "# sample number: 12\n" in text
    assert "# tune number: 9\n" in text
    assert set(read_calibration_table(tmp_path / "work/table")) == {"x", "y"}
    assert np.abs(api.open_module(tmp_path / "work/new.mlir").weights["b"] - BIASES).max() > 0
