"""A small model for the conformance kit and for trying things out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tpumlir_core.plugins.extension_points import Example

SHAPE = (1, 3, 9, 7)


def write_example(path: Path) -> Example:
    """A convolution, an activation and a residual addition; the same bytes every time."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    weights = numpy_helper.from_array(random.normal(size=(3, 3, 3, 3)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "second"),
        helper.make_node("Add", ["r", "x"], ["y"], "third"),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(SHAPE)) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "net", tensors[:1], tensors[1:], [weights]), ir_version=9)
    model.opset_import[0].version = 17
    path.write_bytes(model.SerializeToString())
    return Example(path, {"x": random.normal(size=SHAPE).astype(np.float32)})
