"""Small ONNX models for tests, and the comparison of our import with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tpumlir_core.ir import Array, Module
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.verify import verify
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import OnnxFrontend
from tpumlir_onnx.interpreter import OnnxRuntimeInterpreter


def model_of(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Array], outputs: Sequence[str], constants: Mapping[str, Array], opset: int = 17
) -> onnx.ModelProto:
    """A model whose inputs have the types and shapes of these arrays."""
    declared = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()]
    weights = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(list(nodes), "g", declared, [onnx.ValueInfoProto(name=o) for o in outputs], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def check(path: Path, inputs: Mapping[str, Array], options: ImportOptions | None = None, tolerance: float = 1e-4) -> Module:
    """Import a file and compare every tensor that both have: numpy semantics and our interpreter against onnxruntime."""
    frontend, options = OnnxFrontend(), options or ImportOptions()
    module = frontend.load(path, options)
    verify(module)
    reference = frontend.run(path, inputs, options)
    for results in (evaluate_module(module, inputs), OnnxRuntimeInterpreter().run(module, inputs)):
        common = set(results) & set(reference)
        assert {value.name for value in module.function.outputs} <= common
        for name in sorted(common):
            expected = reference[name]
            assert results[name].shape == expected.shape, name
            scale = tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(results[name], expected, rtol=tolerance, atol=scale, err_msg=name)
    return module


def check_node(
    path: Path, op_type: str, inputs: Sequence[Array | None], constants: Sequence[Array | None] = (), opset: int = 17,
    outputs: int = 1, **attributes: Any,
) -> Module:
    """One node with run-time ``inputs`` first and constant ones after; None is absent."""
    arrays = {f"x{i}": a for i, a in enumerate(inputs) if a is not None}
    weights = {f"w{i}": a for i, a in enumerate(constants) if a is not None}
    names = ["" if a is None else f"{kind}{i}" for kind, group in (("x", inputs), ("w", constants)) for i, a in enumerate(group)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, results, **attributes)
    return check(save(path, model_of([node], arrays, results, weights, opset)), arrays)
