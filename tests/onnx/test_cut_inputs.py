"""Networks that begin at other tensors than their inputs, against onnxruntime; results called as the file's tensors and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import OnnxFrontend

SHAPE, PART = (1, 2, 5, 4), (1, 1, 5, 4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two inputs; a chain with a split in it: x -> r -> (a, b) -> s -> y, and z, which joins at y."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node("Split", ["r", "halves"], ["a", "b"], "split", axis=1),
        helper.make_node("Sub", ["a", "b"], ["s"], "sub"),
        helper.make_node("Mul", ["s", "z"], ["y"], "mul"),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", SHAPE), ("z", PART))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    weights = [numpy_helper.from_array(np.array([1, 1], np.int64), "halves")]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def options(*names: str, shapes: tuple[tuple[int, ...], ...] = (), outputs: tuple[str, ...] = (), bare: bool = False) -> ImportOptions:
    return ImportOptions(input_names=names, input_shapes=shapes, output_names=outputs, bare_names=bare)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (options("s", "z", shapes=(PART, PART)), ["s", "z"]),
        (options("z", "s_Sub", shapes=(PART, PART)), ["z", "s"]),
        (options("r", shapes=(SHAPE,), outputs=("s",)), ["r"]),
        (options("a", "b", shapes=(PART, PART), outputs=("s_Sub",)), ["a", "b"]),
        (options("x", outputs=("s",)), ["x"]),
    ],
)
def test_begins_at_tensors(model: Path, chosen: ImportOptions, names: list[str]) -> None:
    module = OnnxFrontend().load(model, chosen)
    given = [op.results[0] for op in module.function.operations if op.opcode == "top.Input"]
    assert [value.name for value in given] == names
    random = np.random.default_rng(0)
    inputs = {value.name: random.standard_normal(value.shape, np.float32) for value in given}
    theirs = OnnxFrontend().run(model, inputs, chosen)
    ours = NumpyInterpreter().run(module, inputs)
    for value in module.function.outputs:
        np.testing.assert_allclose(ours[value.name], theirs[value.name], rtol=1e-6)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (options("s", shapes=(PART,)), "needs the input z too; name it among them"),
        (options("nothing"), "nothing are no tensors of this model"),
        (options("s", "s"), "named once"),
        (options("halves"), "must be a tensor that is computed"),
        (options("s", "z"), "input s: its shape unknown is not fixed; pass --input-shapes"),
        (options("a", shapes=(PART,), outputs=("s",)), "needs the input x too"),
        (options("a", "x", shapes=(PART, SHAPE), outputs=("s",)), "cannot begin at one of its results and compute another"),
    ],
)
def test_what_cannot_be_is_told(model: Path, chosen: ImportOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        OnnxFrontend().load(model, chosen)


def test_bare_names_are_the_files(model: Path) -> None:
    module = OnnxFrontend().load(model, options(bare=True))
    assert {"x", "z", "r", "a", "b", "s", "y"} <= {value.name for op in module.function.operations for value in op.results}
    inputs = {"x": np.ones(SHAPE, np.float32), "z": np.ones(PART, np.float32)}
    assert set(OnnxFrontend().run(model, inputs, options(bare=True))) == {"r", "a", "b", "s", "y"}
