"""Some of ONNX's node cases on the emulator, and what compares them; `make sweep` runs all."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from sweeps.conformance import Case, judge, sweep
from sweeps.onnx_backend import Bm1684xBackend
from tpumlir_core.errors import InputError

MODULES = ("batch_normalization", "concat", "conv", "gemm", "layernormalization", "matmul", "softmax", "transpose", "where")
PREFIXES = ("test_batchnorm", "test_layer_norm", *(f"test_{name}" for name in MODULES))
EVERY = 2
LEAST = 55
"""Cases of these that pass at least, of every second one; 61 of 63 with onnx 1.23.2."""


@pytest.fixture(scope="module")
def cases() -> Sequence[Case]:
    """The cases of a few modules: importing a module makes its cases; asking for all takes long."""
    node = importlib.import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in MODULES:
            importlib.import_module(f"onnx.backend.test.case.node.{name}")
    found = [c for c in node._NodeTestCases if c.name.startswith(PREFIXES)]
    return [Case(c.name, c.model.SerializeToString(), *c.data_sets[0]) for c in found[::EVERY]]


@pytest.mark.usefixtures("emulator")
def test_cases_pass_or_are_refused(cases: Sequence[Case]) -> None:
    tasks = [replace(c, runtime=index == 0) for index, c in enumerate(cases)]
    verdicts = sweep(tasks, workers=2, seconds=30)
    kinds = [verdict.kind for verdict in verdicts]
    assert [v for v in verdicts if v.kind not in ("passed", "passed with constants", "refused", "deviation")] == []
    assert sum(kind.startswith("passed") for kind in kinds) >= LEAST


@pytest.mark.usefixtures("emulator")
def test_a_wrong_expectation_is_found(cases: Sequence[Case]) -> None:
    case = next(c for c in cases if c.name.startswith("test_transpose"))
    assert judge(case).kind == "passed"
    verdict = judge(replace(case, expected=[case.expected[0] + 0.01]))
    assert verdict.kind == "wrong"
    assert "differs by up to 0.01" in verdict.reason


@pytest.mark.usefixtures("emulator")
def test_the_backend_gives_the_declared_types() -> None:
    tensors = [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [2, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "net", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    x = np.arange(6).reshape(2, 3)
    (found,) = Bm1684xBackend.run_model(model, [x])
    assert found.dtype == np.int64
    assert np.array_equal(found, -x)
    with pytest.raises(InputError, match="2 inputs are given"):
        Bm1684xBackend.run_model(model, [x, x])
