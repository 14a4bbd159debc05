"""``model_transform.py``: the arrays that the reference makes of images, its files, and every flag that acts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.compat.conftest import CHECKED, IMAGES, SHAPE, TRANSFORM, Tool, save_network
from tpumlir_core import api, checks
from tpumlir_core.errors import AbsentFrameworkError, InputError
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array
from tpumlir_core.ir.text import read_module
from tpumlir_core.plugins.extension_points import ImportOptions

REFERENCE = Path(__file__).parent / "reference"
CASES: dict[str, Any] = json.loads((REFERENCE / "cases.json").read_text())


def save_relu(path: Path, shape: list[int], names: tuple[str, ...] = ("x",), kind: int = TensorProto.FLOAT) -> None:
    """y = relu(x) for each input."""
    graph = helper.make_graph(
        [helper.make_node("Relu", [name], [f"{name}_y"]) for name in names], "relu",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info(f"{name}_y", kind, shape) for name in names],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)


# --- images -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
def test_images_become_the_arrays_of_the_reference(name: str, work: Path, tool: Tool) -> None:
    save_relu(work / "net.onnx", CASES[name]["shape"])
    done = tool("model_transform", *TRANSFORM, *CASES[name]["flags"], "--test_input", REFERENCE / "image.jpg", "--test_result", "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(REFERENCE / "inputs.npz") as expected:
        found = read_npz(work / "net_in_f32.npz")["x"]
        assert (found.dtype, found.shape) == (expected[name].dtype, expected[name].shape)
        np.testing.assert_array_equal(found, expected[name])


def test_preprocessing_is_recorded_in_inputs_that_are_images(work: Path, tool: Tool) -> None:
    save_relu(work / "net.onnx", [1, 3, 8, 8], ("a", "b"))
    tool("model_transform", *TRANSFORM, "--mean", "1,2,3", "--preprocess_list", "2")
    inputs = [op for op in read_module(work / "net.mlir").function.operations if op.opcode == "top.Input"]
    assert [op.attributes().get("mean") for op in inputs] == [None, (1.0, 2.0, 3.0)]
    save_relu(work / "net.onnx", [1, 12, 8, 8])
    tool("model_transform", *TRANSFORM)
    assert not read_module(work / "net.mlir").function.operations[0].attributes()["do_preprocess"]


def test_no_images(work: Path, tool: Tool) -> None:
    save_relu(work / "net.onnx", [1, 3, 8, 8])
    Image.new("RGB", (8, 8)).save(work / "image.png")
    failed = tool("model_transform", *TRANSFORM, "--channel_format", "none", "--mean", "1,2,3", *CHECKED)
    assert not read_module(work / "net.mlir").function.operations[0].attributes()["do_preprocess"]
    assert failed.returncode == 0
    assert read_npz(work / "net_in_f32.npz")["x"].max() == 0  # no mean is taken off


# --- files --------------------------------------------------------------------------------------------------------------
def test_files_are_called_as_the_reference_calls_them(network: Path, work: Path, tool: Tool) -> None:
    before = {path.name for path in work.iterdir()}
    done = tool("model_transform", *TRANSFORM, *IMAGES, *CHECKED)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in work.iterdir()} - before
    assert made == {"net.mlir", "net_top_f32_all_weight.npz", "net_in_f32.npz", "net_top_outputs.npz"}
    assert "npz compare PASSED." in done.stdout


def test_the_result_is_what_onnxruntime_computes(transformed: Path) -> None:
    fed = read_npz(transformed.with_name("net_in_f32.npz"))
    expected = ort.InferenceSession(transformed.with_name("net.onnx")).run(None, fed)[0]
    found = read_npz(transformed.with_name("net_top_outputs.npz"))
    np.testing.assert_allclose(found["p_Softmax"], expected, rtol=1e-4)
    assert {"x", "hidden_Relu", "g_GlobalAveragePool", "p_Softmax"} <= found.keys()
    assert not {"w1", "b1"} & found.keys()


def test_weights_are_called_after_the_network(network: Path, work: Path, tool: Tool) -> None:
    (work / "sub").mkdir()
    tool("model_transform", "--model_name", "other", "--model_def", "net.onnx", "--mlir", "sub/some.mlir")
    assert {path.name for path in (work / "sub").iterdir()} == {"some.mlir", "other_top_f32_all_weight.npz"}
    assert read_module(work / "sub/some.mlir").name == "other"


def test_debug_keeps_what_the_framework_computes(network: Path, work: Path, tool: Tool) -> None:
    tool("model_transform", *TRANSFORM, *CHECKED, "--debug")
    assert "p_Softmax" in read_npz(work / "net_ref_outputs.npz")


# --- what is imported ---------------------------------------------------------------------------------------------------
def test_shapes_and_outputs(network: Path, work: Path, tool: Tool) -> None:
    assert tool("model_transform", *TRANSFORM, "--input_shapes", "[[2,3,32,20]]", "--output_names", "hidden").returncode == 0
    module = read_module(work / "net.mlir")
    assert [(value.name, value.shape) for value in module.function.outputs] == [("hidden_Relu", (2, 8, 32, 20))]


def test_types_and_weights_are_passed_on(network: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ImportOptions] = []

    def stop(model: Path, *, options: ImportOptions, session: object) -> None:
        seen.append(options)
        raise InputError("seen")

    monkeypatch.setattr(api, "transform", stop)
    tool("model_transform", *TRANSFORM, "--input_types", "float32,int32", "--model_data", "net.caffemodel")
    assert seen == [ImportOptions(input_types=("float32", "int32"), model_data=Path("net.caffemodel"), name="net")]


def test_a_name_is_kept_as_it_is(network: Path, work: Path, tool: Tool) -> None:
    tool("model_transform", "--model_name", "net-v2.1", "--model_def", "net.onnx", "--mlir", "net.mlir")
    assert read_module(work / "net.mlir").name == "net-v2.1"
    assert (work / "net-v2.1_top_f32_all_weight.npz").exists()


def test_a_top_mlir_is_optimized_again(transformed: Path, work: Path, tool: Tool) -> None:
    again = tool("model_transform", "--model_name", "net", "--model_def", "net.mlir", "--mlir", "again.mlir", *CHECKED)
    assert again.returncode == 0, again.stderr
    assert (work / "again.mlir").read_text() == transformed.read_text()
    wrong = tool("model_transform", "--model_name", "x", "--model_def", "net.mlir", "--mlir", "again.mlir")
    assert "net.mlir: the network is called net; --model_name has to say so" in wrong.stderr


# --- checks -------------------------------------------------------------------------------------------------------------
def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on every tensor that the interpreter computes is off."""
    computed = checks.interpret
    monkeypatch.setattr(checks, "interpret", lambda *given: {name: array + 1 for name, array in computed(*given).items()})


def test_a_failed_comparison_ends_with_1_and_leaves_the_result(
    network: Path, work: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch)
    failed = tool("model_transform", *TRANSFORM, *IMAGES, *CHECKED)
    assert failed.returncode == 1
    assert "net_top_outputs.npz differs from net_ref_outputs.npz in " in failed.stderr
    assert "npz compare FAILED." in failed.stdout
    assert (work / "net.mlir").exists()
    assert "p_Softmax" in read_npz(work / "net_top_outputs.npz")
    assert tool("model_transform", *TRANSFORM, *IMAGES, *CHECKED, "--tolerance", "-1,-9").returncode == 0


def test_without_the_framework_the_result_stands_alone(network: Path, work: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*given: object, **more: object) -> None:
        raise AbsentFrameworkError("net.onnx: it takes a framework")

    monkeypatch.setattr(api, "run", absent)
    done = tool("model_transform", *TRANSFORM, *CHECKED, "--debug")
    assert done.returncode == 0
    assert "warning: the result is not compared: net.onnx: it takes a framework" in done.stderr
    assert "p_Softmax" in read_npz(work / "net_top_outputs.npz")


def test_plugins_in_files_are_taken(network: Path, work: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "own.py").write_text("print('own plugin')\nraise OSError('no')\n")
    monkeypatch.setenv("TPUMLIR_PLUGIN_FILES", "own.py")
    failed = tool("model_transform", *TRANSFORM)
    assert failed.returncode == 2
    assert "own.py" in failed.stderr


def test_excepted_tensors_are_not_compared(network: Path, work: Path, tool: Tool) -> None:
    done = tool("model_transform", *TRANSFORM, *CHECKED, "--excepts", "hidden_Relu,p_Softmax")
    assert done.returncode == 0
    assert "[hidden_Relu" not in done.stdout
    assert "[c2_Conv" in done.stdout


def test_not_inference(network: Path, work: Path, tool: Tool) -> None:
    assert tool("model_transform", *TRANSFORM, *CHECKED, "--not_inference").returncode == 0
    assert not (work / "net_in_f32.npz").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--test_input", "image.png"), "--test_input: name the file for the result with --test_result"),
        (("--test_input", "gone.png", "--test_result", "o.npz"), "gone.png"),
        (("--test_input", "a.npy,b.npy", "--test_result", "o.npz"), "2 files for the 1 inputs x"),
        (("--test_input", "two.npz", "--test_result", "o.npz"), "two.npz: no array for the input x; there is a, b"),
        (("--mlir", "net.txt"), "--mlir net.txt: the name has to end with .mlir"),
        (("--model_name", "../up"), "--model_name ../up: files cannot be named after it"),
        (("--model_def", "gone.onnx"), "gone.onnx"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(flags: tuple[str, ...], told: str, network: Path, work: Path, tool: Tool) -> None:
    np.savez(work / "two.npz", a=np.zeros(1), b=np.zeros(1))
    failed = tool("model_transform", *TRANSFORM, *flags)
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


# --- inputs to check with -----------------------------------------------------------------------------------------------
def fed(work: Path) -> dict[str, Array]:
    return read_npz(work / "net_in_f32.npz")


def test_inputs_in_arrays(network: Path, work: Path, tool: Tool) -> None:
    array = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.savez(work / "in.npz", whatever=array)
    np.save(work / "in.npy", array)
    for name in ("in.npz", "in.npy"):
        done = tool("model_transform", *TRANSFORM, "--test_input", name, "--test_result", "out.npz")
        assert done.returncode == 0, done.stderr
        np.testing.assert_array_equal(fed(work)["x"], array)


def test_an_item_serves_a_whole_batch(work: Path, tool: Tool) -> None:
    save_network(work / "net.onnx", (3, 3, 16, 24))
    array = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.savez(work / "in.npz", x=array)
    done = tool("model_transform", *TRANSFORM, "--test_input", "in.npz", "--test_result", "out.npz")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(fed(work)["x"], np.concatenate([array] * 3))


def test_one_image_serves_all_inputs(work: Path, tool: Tool) -> None:
    save_relu(work / "net.onnx", [1, 3, 8, 8], ("a", "b"))
    Image.new("RGB", (8, 8), (1, 2, 3)).save(work / "one.png")
    Image.new("RGB", (8, 8), (4, 5, 6)).save(work / "two.png")
    tool("model_transform", *TRANSFORM, "--test_input", "one.png", "--test_result", "out.npz")
    assert [array[0, :, 0, 0].tolist() for array in fed(work).values()] == [[3, 2, 1], [3, 2, 1]]
    tool("model_transform", *TRANSFORM, "--test_input", "one.png,two.png", "--test_result", "out.npz")
    assert [array[0, :, 0, 0].tolist() for array in fed(work).values()] == [[3, 2, 1], [6, 5, 4]]
