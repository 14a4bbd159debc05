"""Every operator, imported, against TensorFlow Lite's own interpreter: by our numpy semantics and by our interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweeps.tflite.case import Case
from sweeps.tflite.cases import cases
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.verify import verify
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.interpreter import OnnxRuntimeInterpreter
from tpumlir_tflite.converters import CONVERTERS
from tpumlir_tflite.frontend import TfliteFrontend

pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
EACH = 4
"""Of the cases of an operator, the first and every so manieth more; the sweep runs them all."""
UNTRIED = {"DENSIFY", "DEQUANTIZE", "FILL", "QUANTIZE", "RANGE", "RANK", "SHAPE", "ZEROS_LIKE"}
"""Operators whose results are constants, or nothing at run time; other tests have them."""


def chosen() -> list[Case]:
    found, seen = [], dict[tuple[str, bool], int]()
    for case in cases():
        count = seen[case.operator, case.behind] = seen.get((case.operator, case.behind), -1) + 1
        if count % EACH == 0:
            found.append(case)
    return found


def test_every_operator_has_cases() -> None:
    assert {case.operator for case in cases()} == set(CONVERTERS) - UNTRIED


@pytest.mark.parametrize("case", chosen(), ids=lambda case: case.name)
def test_operator(case: Case, tmp_path: Path) -> None:
    path, inputs, frontend = tmp_path / "case.tflite", case.feeds(), TfliteFrontend()
    path.write_bytes(case.write())
    module = frontend.load(path, ImportOptions())
    verify(module)
    reference = frontend.run(path, inputs, ImportOptions())
    for results in (evaluate_module(module, inputs), OnnxRuntimeInterpreter().run(module, inputs)):
        for value in module.function.outputs:
            expected = reference[value.name]
            assert value.shape == expected.shape
            np.testing.assert_allclose(results[value.name], expected, rtol=1e-4, atol=1e-4, err_msg=value.name)
