"""A one-node ONNX model run by onnxruntime: the independent side of the Top dialect's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value


def run_node(op_type: str, inputs: Sequence[Array | None], outputs: int = 1, opset: int = 17, **attributes: Any) -> list[Array]:
    """onnxruntime's results of one node; ``None`` inputs are absent."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    feeds = {name: np.asarray(x) for name, x in zip(names, inputs, strict=True) if x is not None}
    graph = helper.make_graph(
        [helper.make_node(op_type, names, results, **attributes)],
        "one",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()],
        [onnx.ValueInfoProto(name=r) for r in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def evaluate(kind: type[Operation], inputs: Sequence[Array | None], results: int = 1, **attributes: Any) -> list[Array]:
    """Our results; inferred shapes and float32 are checked on the way."""
    operands = [None if x is None else Value(f"x{i}", TensorType(x.shape, ElementType.F32)) for i, x in enumerate(inputs)]
    operation = kind.create(operands, [f"y{i}" for i in range(results)], **attributes)
    outputs = operation.evaluate(inputs)
    assert [o.shape for o in outputs] == [r.shape for r in operation.results]
    assert operation.flops() >= 0
    return outputs


def assert_same(ours: Sequence[Array], theirs: Sequence[Array], tolerance: float = 1e-5) -> None:
    """Equal shapes, and values within ``tolerance`` (absolute, and relative)."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance)


def normal(seed: int, *shape: int) -> Array:
    """Repeatable standard normal float32 values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
