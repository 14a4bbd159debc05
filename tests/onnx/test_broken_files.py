"""Broken ONNX files: every mutant gives a module or one line of a known error, never a traceback or a hang."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweeps.mutants import broken_bytes
from tpumlir_core.errors import InputError, TpumlirError, UnsupportedError
from tpumlir_core.ir import Module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import OnnxFrontend

MUTANTS = 600


def small_model() -> onnx.ModelProto:
    """A network with a convolution, a pool, a computed shape and a product: most kinds of field occur in it."""
    rng = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(rng.standard_normal((4, 2, 3, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(rng.standard_normal(4).astype(np.float32), "b"),
        numpy_helper.from_array(rng.standard_normal((36, 5)).astype(np.float32), "m"),
        numpy_helper.from_array(np.array([-1, 36], np.int64), "shape"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["p", "", "scales"], ["u"], mode="nearest"),
        helper.make_node("Slice", ["u", "zero", "three", "last"], ["s"]),
        helper.make_node("Reshape", ["s", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "m"], ["y"], alpha=0.5),
    ]
    weights += [
        numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales"),
        *(numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("zero", 0), ("three", 3), ("last", -1))),
    ]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def load(path: Path, data: bytes) -> Module:
    path.write_bytes(data)
    return OnnxFrontend().load(path, ImportOptions())


def test_the_model_itself_imports(tmp_path: Path) -> None:
    module = load(tmp_path / "m.onnx", small_model().SerializeToString())
    assert [value.name for value in module.function.outputs] == ["y_Gemm"]


def error_of(path: Path, data: bytes) -> TpumlirError | None:
    """The error that a file gives; any other exception fails the test."""
    try:
        load(path, data)
    except TpumlirError as error:
        return error
    return None


def test_mutants_give_a_module_or_a_known_error(tmp_path: Path) -> None:
    data = small_model().SerializeToString()
    # Aim at the structure too: without it most mutants only change weights.
    model = small_model()
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 64:
            tensor.dims[:] = [1] * len(tensor.dims)
            tensor.raw_data = tensor.raw_data[:4]
    lean = model.SerializeToString()
    mutants = [broken_bytes(lean if seed % 3 else data, np.random.default_rng(seed)) for seed in range(MUTANTS)]
    errors = [error_of(tmp_path / "m.onnx", mutant) for mutant in mutants]
    refused = [error for error in errors if error is not None]
    assert all(error.exit_code == 2 and "\n" not in str(error) for error in refused)
    assert all("m.onnx" in str(error) or isinstance(error, UnsupportedError) for error in refused)
    assert MUTANTS // 4 < len(refused) < MUTANTS


def refused(tmp_path: Path, model: onnx.ModelProto, match: str) -> None:
    with pytest.raises(InputError, match=match):
        load(tmp_path / "m.onnx", model.SerializeToString())


def test_structural_faults_are_named(tmp_path: Path) -> None:
    cyclic = small_model()
    cyclic.graph.node[0].input[0] = "u"
    refused(tmp_path, cyclic, "cycle")
    missing = small_model()
    missing.graph.node[1].input[0] = "nowhere"
    refused(tmp_path, missing, "'nowhere' is made by no node")
    doubled = small_model()
    doubled.graph.node[1].output[0] = "c"
    refused(tmp_path, doubled, "made twice")
    short = small_model()
    short.graph.initializer[0].raw_data = b"abc"
    refused(tmp_path, short, "initializer w")
    negative = small_model()
    negative.graph.initializer[0].dims[0] = -4
    refused(tmp_path, negative, "impossible")
    huge = small_model()
    huge.graph.initializer[0].dims[0] = 1 << 60
    refused(tmp_path, huge, "impossible")
    old = small_model()
    old.opset_import[0].version = 3
    refused(tmp_path, old, "opset 3")
    open_shape = small_model()
    open_shape.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    refused(tmp_path, open_shape, "input x.*--input-shapes")


def test_not_onnx_at_all(tmp_path: Path) -> None:
    for data in (b"", b"\x00" * 100, b"hello, world", b"\x7fELF" + b"\x02" * 64):
        with pytest.raises(InputError, match=r"m\.onnx"):
            load(tmp_path / "m.onnx", data)
    with pytest.raises(InputError, match="cannot be read"):
        OnnxFrontend().load(tmp_path / "absent.onnx", ImportOptions())


def huge_constant() -> onnx.ModelProto:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20, 1 << 20], np.int64), "shape")
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    graph = helper.make_graph(
        nodes, "huge", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [shape],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_huge_constants_are_refused_before_they_are_made(tmp_path: Path) -> None:
    refused(tmp_path, huge_constant(), "too large")


def external(location: str, offset: int = 0, length: int | None = None) -> onnx.ModelProto:
    """A model whose only weight, 2 x 2, lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    entries = {"location": location, "offset": str(offset)} | ({} if length is None else {"length": str(length)})
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])], [tensor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_external_data_is_read_beside_the_model(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(values.tobytes())
    path = tmp_path / "m.onnx"
    path.write_bytes(external("w.bin", offset=16).SerializeToString())
    module = OnnxFrontend().load(path, ImportOptions())
    assert np.array_equal(module.weights["w"], values[4:].reshape(2, 2))
    result = OnnxFrontend().run(path, {"x": np.eye(2, dtype=np.float32)}, ImportOptions())
    assert np.array_equal(result["y_MatMul"], values[4:].reshape(2, 2))


def test_external_data_outside_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(16))
    (inside / "link.bin").symlink_to(secret)
    for location in ("../secret.bin", str(secret), "link.bin", "a/../../secret.bin"):
        with pytest.raises(InputError, match="outside the model's folder"):
            load(inside / "m.onnx", external(location).SerializeToString())
    (inside / "w.bin").write_bytes(bytes(16))
    for model in (external("none.bin"), external(""), external("w.bin", offset=4), external("w.bin", -8), external("w.bin", 0, 8)):
        with pytest.raises(InputError, match="initializer w"):
            load(inside / "m.onnx", model.SerializeToString())
