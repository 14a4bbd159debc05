"""The frontend: names, layouts, cuts, weights in every storage, custom operators."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tflite
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from tpumlir_core import api
from tpumlir_core.custom import Operator, operator
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, top
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.frontend import TfliteFrontend
from tpumlir_tflite.model import _Reader, parse_model
from tpumlir_tflite.tensors import Level, Scale, Sparsity, dense, stored_array
from tpumlir_tflite.writing import ModelWriter

IMAGE = (1, 6, 8, 4)
SINGLE = {"StrideH": 1, "StrideW": 1}
random = np.random.default_rng(2)


def save(path: Path, model: ModelWriter, inputs: list[int], outputs: list[int]) -> Path:
    path.write_bytes(model.data(inputs, outputs))
    return path


def test_recognizes_by_identifier_or_suffix(tmp_path: Path) -> None:
    frontend = TfliteFrontend()
    assert frontend.recognizes(Path("x.bin"), b"\x1c\0\0\0TFL3....")
    assert frontend.recognizes(Path("x.TFLITE"), b"")
    assert not frontend.recognizes(Path("x.onnx"), b"\x08\x07\x12\x04....")


def test_a_chain_of_images_is_transposed_at_its_ends_only(tmp_path: Path) -> None:
    """Convolution, activation, addition, concatenation, padding, mean over positions: 4 -> 8 channels."""
    model = ModelWriter()
    x, *steps = (model.tensor(name, IMAGE) for name in ("x", "c", "s", "a", "p"))
    joined = model.tensor("j", (1, 8, 8, 8))
    weights, bias = model.constant("w", random.normal(size=(4, 3, 3, 4)).astype(np.float32)), model.constant("b", np.zeros(4, np.float32))
    model.call("CONV_2D", [x, weights, bias], [steps[0]], "Conv2DOptions", **SINGLE)
    model.call("LOGISTIC", [steps[0]], [steps[1]])
    model.call("ADD", [steps[1], model.constant("v", random.normal(size=4).astype(np.float32))], [steps[2]], "AddOptions")
    model.call("PAD", [steps[2], model.constant("pads", np.array([[0, 0], [1, 1], [0, 0], [0, 0]], np.int32))], [steps[3]])
    model.call("CONCATENATION", [steps[3], steps[3]], [joined], "ConcatenationOptions", Axis=-1)
    module = api.transform(save(tmp_path / "net.tflite", model, [x], [joined]))
    orders = [op.order for op in module.function.operations if isinstance(op, top.Permute)]
    assert orders == [(0, 3, 1, 2), (0, 2, 3, 1)]
    assert [v.name for v in module.function.outputs] == ["j"]
    assert module.function.outputs[0].shape == (1, 8, 8, 8)


def test_a_flattened_image_costs_no_transposition(tmp_path: Path) -> None:
    """The filter of the product is rearranged instead."""
    model = ModelWriter()
    x, c, f, y = (model.tensor(name, shape) for name, shape in (("x", IMAGE), ("c", IMAGE), ("f", (1, 192)), ("y", (1, 5))))
    filters, matrix = random.normal(size=(4, 1, 1, 4)).astype(np.float32), random.normal(size=(5, 192)).astype(np.float32)
    zeros = model.constant("zeros", np.zeros(4, np.float32))
    model.call("CONV_2D", [x, model.constant("w", filters), zeros], [c], "Conv2DOptions", **SINGLE)
    model.call("RESHAPE", [c, model.constant("shape", np.array([1, -1], np.int32))], [f])
    model.call("FULLY_CONNECTED", [f, model.constant("m", matrix)], [y], "FullyConnectedOptions")
    module = api.transform(save(tmp_path / "net.tflite", model, [x], [y]))
    assert [op.order for op in module.function.operations if isinstance(op, top.Permute)] == [(0, 3, 1, 2)]
    image = random.normal(size=IMAGE).astype(np.float32)
    expected = (image @ filters.reshape(4, 4).T).reshape(1, 192) @ matrix.T
    np.testing.assert_allclose(evaluate_module(module, {"x": image})["y"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("storage", ["float16", "int8", "int8 a channel", "int4"])
def test_weights_in_every_storage(tmp_path: Path, storage: str) -> None:
    """A convolution of one position: what the stored numbers stand for, computed apart."""
    model, channels = ModelWriter(), 4
    x, y = model.tensor("x", IMAGE), model.tensor("y", IMAGE)
    if storage == "float16":
        half = random.normal(size=(4, 1, 1, 4)).astype(np.float16)
        weights = model.tensor("w", half.shape)
        model.call("DEQUANTIZE", [model.constant("w16", half)], [weights], "DequantizeOptions")
        real = half.astype(np.float32)
    else:
        least, most = (-8, 7) if storage == "int4" else (-127, 127)
        stored = random.integers(least, most, (4, 1, 1, 4), endpoint=True).astype(np.int8)
        scales = np.array([0.5, 0.25, 2.0, 1.0]) if storage == "int8 a channel" else np.array([0.25])
        weights = model.constant("w", stored, Scale(scales, np.zeros(scales.size, np.int64)))
        real = (stored * scales.reshape(-1, 1, 1, 1)).astype(np.float32)
        if storage == "int4":
            low, high = stored.reshape(-1)[::2], stored.reshape(-1)[1::2]
            packed = ((low & 15) | (high << 4)).astype(np.uint8).tobytes()
            np.testing.assert_array_equal(stored_array(packed, "INT4", stored.shape, "w"), stored)
    bias = model.constant("b", np.arange(channels, dtype=np.float32))
    model.call("CONV_2D", [x, weights, bias], [y], "Conv2DOptions", **SINGLE)
    module = api.transform(save(tmp_path / "net.tflite", model, [x], [y]))
    image = random.normal(size=IMAGE).astype(np.float32)
    expected = image @ real.reshape(4, 4).T + np.arange(channels)
    np.testing.assert_allclose(evaluate_module(module, {"x": image})["y"], expected, rtol=1e-4, atol=1e-4)


def test_sparse_weights_of_the_schemas_own_example() -> None:
    """The matrix in the schema's comment on SparsityParameters: rows of blocks of 2 x 2, of which two hold anything."""
    matrix = np.array([[1, 0, 2, 3], [0, 4, 0, 0], [0, 0, 5, 0], [0, 0, 0, 6]], np.float32)
    rows = Sparsity((0, 1), (), (Level(4), Level(0, (0, 3, 4, 5, 6), (0, 2, 3, 1, 2, 3))))
    np.testing.assert_array_equal(dense(np.array([1, 2, 3, 4, 5, 6], np.float32), (4, 4), rows, "w"), matrix)
    blocks = Sparsity((0, 1, 2, 3), (0, 1), (Level(2), Level(0, (0, 2, 3), (0, 1, 1)), Level(2), Level(2)))
    listed = np.array([1, 0, 0, 4, 2, 3, 0, 0, 5, 0, 0, 6], np.float32)
    np.testing.assert_array_equal(dense(listed, (4, 4), blocks, "w"), matrix)


def test_shapes_computed_by_the_graph_are_folded(tmp_path: Path) -> None:
    """SHAPE, STRIDED_SLICE, PACK, RESHAPE: the shape of the result follows the input's."""
    model = ModelWriter()
    x, y = model.tensor("x", (2, 3, 4)), model.tensor("y", (2, 12))
    shape, rows, target = (model.tensor(name, (n,), "INT32") for name, n in (("shape", 3), ("rows", 1), ("target", 2)))
    zero, one, rest = (model.constant(name, np.array([v], np.int32)) for name, v in (("zero", 0), ("one", 1), ("rest", -1)))
    model.call("SHAPE", [x], [shape], "ShapeOptions")
    model.call("STRIDED_SLICE", [shape, zero, one, one], [rows], "StridedSliceOptions", ShrinkAxisMask=1)
    last = model.tensor("last", (), "INT32")
    model.call("RESHAPE", [rest, model.constant("scalar", np.zeros(0, np.int32))], [last])
    model.call("PACK", [rows, last], [target], "PackOptions", ValuesCount=2, Axis=0)
    model.call("RESHAPE", [x, target], [y], "ReshapeOptions")
    path = save(tmp_path / "net.tflite", model, [x], [y])
    assert api.transform(path).function.outputs[0].shape == (2, 12)
    assert api.transform(path, options=ImportOptions(input_shapes=((5, 3, 4),))).function.outputs[0].shape == (5, 12)


def test_a_dilated_convolution_spelt_with_blocks_is_one(tmp_path: Path) -> None:
    model = ModelWriter()
    shapes = {"x": IMAGE, "s": (4, 4, 5, 4), "c": (4, 2, 3, 4), "y": (1, 4, 6, 4)}
    x, s, c, y = (model.tensor(name, shape) for name, shape in shapes.items())
    blocks, none = model.constant("blocks", np.array([2, 2], np.int32)), model.constant("crops", np.zeros((2, 2), np.int32))
    pads = model.constant("pads", np.array([[1, 1], [1, 1]], np.int32))
    weights, bias = model.constant("w", random.normal(size=(4, 3, 3, 4)).astype(np.float32)), model.constant("b", np.zeros(4, np.float32))
    model.call("SPACE_TO_BATCH_ND", [x, blocks, pads], [s])
    model.call("CONV_2D", [s, weights, bias], [c], "Conv2DOptions", **SINGLE, Padding=1)
    model.call("BATCH_TO_SPACE_ND", [c, blocks, none], [y])
    path = save(tmp_path / "net.tflite", model, [x], [y])
    module = api.transform(path)
    convolutions = [op for op in module.function.operations if isinstance(op, top.Conv)]
    assert [(op.dilations, op.pads) for op in convolutions] == [((2, 2), (1, 1, 1, 1))]
    assert not any(isinstance(op, top.Reshape) for op in module.function.operations)
    pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
    image = {"x": random.normal(size=IMAGE).astype(np.float32)}
    expected = TfliteFrontend().run(path, image, ImportOptions())["y"]
    np.testing.assert_allclose(evaluate_module(module, image)["y"], expected, rtol=1e-4, atol=1e-4)


def test_a_network_cut_at_an_inner_tensor(tmp_path: Path) -> None:
    example = TfliteFrontend().examples(tmp_path)[0]
    module = api.transform(example.path, options=ImportOptions(output_names=("c",)))
    assert [value.name for value in module.function.outputs] == ["c"]
    with pytest.raises(InputError, match="nowhere are no tensors"):
        api.transform(example.path, options=ImportOptions(output_names=("nowhere",)))


def test_every_tensor_of_the_source_under_our_names(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
    example = TfliteFrontend().examples(tmp_path)[0]
    module = TfliteFrontend().load(example.path, ImportOptions())
    tensors = TfliteFrontend().run(example.path, example.inputs, ImportOptions())
    found = evaluate_module(module, example.inputs)
    assert {"x", "x_nchw", "c", "y", "y_nchw"} <= set(tensors)
    for name in set(tensors) & set(found):
        np.testing.assert_allclose(found[name], tensors[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_operators_that_are_not_supported_are_listed_at_once(tmp_path: Path) -> None:
    model = ModelWriter()
    x, a, b, y = (model.tensor(name, IMAGE) for name in ("x", "a", "b", "y"))
    model.call("Strange", [x], [a])
    model.call("RELU", [a], [b])
    model.call("WHERE", [b], [y])
    with pytest.raises(UnsupportedError) as caught:
        api.transform(save(tmp_path / "net.tflite", model, [x], [y]))
    assert caught.value.items == ("Strange (node a, a custom operator)", "WHERE (node y)")


@operator("acme.Rotate")
class Rotate(Operator):
    """The channels of an image, rotated by ``by``."""

    by: int
    sources = {"tflite": "acme::Rotate"}

    def infer(self, types):  # type: ignore[no-untyped-def]
        return types[:1]

    def reference(self, image: Array) -> Array:
        return np.roll(image, self.by, -1)

    def decompose(self, builder):  # type: ignore[no-untyped-def]
        extent = self.input.shape[-1]
        spans = (extent - self.by, extent), (0, extent - self.by)
        parts = [builder(top.Slice, self.input, axes=(3,), offset=(start,), ends=(end,), steps=(1,)) for start, end in spans]
        return builder(top.Concat, *parts, axis=3)


def test_a_custom_operator_with_options(tmp_path: Path) -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("by")
        builder.Int(1)
    model = ModelWriter()
    x, y = model.tensor("x", IMAGE), model.tensor("y", IMAGE)
    model.call("acme::Rotate", [x], [y], custom=bytes(builder.Finish()))
    path = save(tmp_path / "net.tflite", model, [x], [y])
    options = ImportOptions(operators=OperatorSet(lambda: ([Rotate], ())))
    image = random.normal(size=IMAGE).astype(np.float32)
    module = TfliteFrontend().load(path, options)
    np.testing.assert_array_equal(evaluate_module(module, {"x": image})["y"], np.roll(image, 1, -1))
    with pytest.raises(UnsupportedError, match=r"acme.Rotate"):
        TfliteFrontend().run(path, {"x": image}, options)


def test_an_input_of_strings_is_refused(tmp_path: Path) -> None:
    model = ModelWriter()
    x, y = model.tensor("words", (3,), "STRING"), model.tensor("y", (3,))
    model.call("CAST", [x], [y], "CastOptions")
    with pytest.raises(UnsupportedError, match="input words of type STRING"):
        api.transform(save(tmp_path / "net.tflite", model, [x], [y]))


def test_without_the_interpreter_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = TfliteFrontend().examples(tmp_path)[0]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'tpumlir-tflite\[framework\]'"):
        TfliteFrontend().run(example.path, example.inputs, ImportOptions())
    assert api.transform(example.path).function.outputs


def test_numbers_behind_the_tables_of_a_large_file(tmp_path: Path) -> None:
    """A buffer may say where in the file its numbers are, instead of holding them; an end beyond the file is told."""
    values = np.arange(6, dtype=np.float32)
    model = ModelWriter()
    x, y = model.tensor("x", (6,)), model.tensor("y", (6,))
    model.call("ADD", [x, model.constant("c", values)], [y], "AddOptions")
    whole = model.data([x], [y])
    graph = parse_model(whole)
    assert graph.tensors[2].stored is not None
    reader = _Reader(whole + values[::-1].tobytes(), tflite.Model.GetRootAs(whole))
    buffer = SimpleNamespace(Offset=lambda: len(whole), Size=lambda: values.nbytes)
    np.testing.assert_array_equal(np.frombuffer(reader._bytes(buffer, "c"), np.float32), values[::-1])
    with pytest.raises(InputError, match="outside the file"):
        reader._bytes(SimpleNamespace(Offset=lambda: len(whole), Size=lambda: values.nbytes + 1), "c")
