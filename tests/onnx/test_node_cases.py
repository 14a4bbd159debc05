"""The node cases of ONNX's own backend test: what imports computes the expected values, and enough of them import."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.verify import verify
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import import_graph, known_operators
from tpumlir_onnx.graph import read_graph
from tpumlir_onnx.interpreter import OnnxRuntimeInterpreter
from tpumlir_onnx.model import inlined, opset_versions

# ONNX divides by a fractional length here, onnxruntime by the real one; we follow onnxruntime.
NOT_AS_ONNXRUNTIME = ("test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners")
# Of 1466 cases with onnx 1.23.2, 935 were right with constant parameters, and 760 with all of them computed.
LEAST_CONSTANT, LEAST_COMPUTED = 900, 360


@cache
def cases() -> tuple[Any, ...]:
    """The cases, without those that only repeat one by its function body."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(c for c in collect_testcases(None) if not c.name.endswith("_expanded") and c.name not in NOT_AS_ONNXRUNTIME)


def array(value: Any) -> Array:
    found = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return found.astype(np.float32) if found.dtype.name == "bfloat16" else found


def outcome(case: Any, constant: bool, in_onnxruntime: bool) -> str:
    """"right", "refused", or what is wrong. ``constant``: all inputs but the first become initializers."""
    inputs, expected = case.data_sets[0]
    if any(isinstance(value, list | dict) or value is None for value in inputs):
        return "refused"
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    given = {declared.name: array(value) for declared, value in zip(model.graph.input, inputs, strict=False)}
    if constant:
        model.graph.initializer.extend(numpy_helper.from_array(given[i.name], i.name) for i in list(model.graph.input)[1:])
    try:
        module, feeds = imported(model, given)
    except InputError:
        return "refused"
    run = OnnxRuntimeInterpreter().run if in_onnxruntime else evaluate_module
    results = run(module, feeds)
    for value, reference in zip(module.function.outputs, map(array, expected), strict=False):
        found = results[value.name]
        half = reference.dtype == np.float16 or case.model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16
        tolerance = 1e-2 if half else max(case.rtol or 0, 1e-3)
        if found.shape != reference.shape:
            return f"{case.name}: shape {found.shape}, not {reference.shape}"
        close = np.allclose(found.astype(np.float64), reference.astype(np.float64), tolerance, 1e-2 if half else 2e-6, equal_nan=True)
        if not close:
            return f"{case.name}: {value.name} is wrong"
    return "right"


def imported(model: onnx.ModelProto, given: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
    """The module of a model in memory, and its inputs by our names."""
    opset_versions(model)
    model = inlined(model, known_operators())
    graph = read_graph(model.graph, opset_versions(model), None)
    options = ImportOptions(input_shapes=tuple(given[i.name].shape for i in graph.inputs))
    module, importer = import_graph(graph, options, "case")
    verify(module)
    return module, {importer.values[i.name].name: given[i.name] for i in graph.inputs}


@pytest.mark.parametrize(("constant", "step", "least"), [(True, 1, LEAST_CONSTANT), (False, 2, LEAST_COMPUTED)])
def test_cases_are_right_or_refused(constant: bool, step: int, least: int) -> None:
    found = [outcome(case, constant, in_onnxruntime=False) for case in cases()[::step]]
    assert [text for text in found if text not in ("right", "refused")] == []
    assert found.count("right") >= least


def test_the_interpreter_agrees() -> None:
    """Every fourth case, as sessions take their time."""
    found = [outcome(case, constant=True, in_onnxruntime=True) for case in cases()[::4]]
    assert [text for text in found if text not in ("right", "refused")] == []
    assert found.count("right") >= LEAST_CONSTANT // 5
