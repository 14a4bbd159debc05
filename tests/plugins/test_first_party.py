"""The plugins of this project keep the promises of the conformance kit, as those of third parties do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plugins.environments import ROOT, lay_out
from tpumlir_core.testing import State, conformance, run_kit

TestOnnx = conformance("frontend", "onnx")
TestTorch = conformance("frontend", "torch")
TestTflite = conformance("frontend", "tflite")
TestCaffe = conformance("frontend", "caffe")
TestTensorFlow = conformance("frontend", "tensorflow", quick=True)
TestPaddle = conformance("frontend", "paddle", quick=True)
TestFloat = conformance("quantizer", "float")
TestAciqGauss = conformance("calibrator", "aciq_gauss")
TestAciqLaplace = conformance("calibrator", "aciq_laplace")
TestKl = conformance("calibrator", "kl")
TestMax = conformance("calibrator", "max")
TestMse = conformance("calibrator", "mse")
TestPercentile = conformance("calibrator", "percentile")
TestNumpy = conformance("interpreter", "numpy")
TestOnnxRuntime = conformance("interpreter", "onnxruntime")
TestBm1684x = conformance("target", "bm1684x", quick=True)
TestBmrt = conformance("runner", "bmrt")
TestBmrtCommand = conformance("command", "bmrt")
TestExampleTarget = conformance("target", "example")
TestExampleRunner = conformance("runner", "example")


@pytest.mark.parametrize("name", ["swap-channel", "abs-add"])
def test_example_operators(name: str, site: Any) -> None:
    project: Path = ROOT / "plugins" / "example-op"
    lay_out(project, site.folder)
    outcomes = list(run_kit("op", name))
    assert [f"{outcome.check}: {outcome.message}" for outcome in outcomes if outcome.state is State.FAILED] == []
    assert sum(outcome.state is State.PASSED for outcome in outcomes) >= 8
