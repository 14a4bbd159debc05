"""Host steps: a custom operator at the end of a network, on two chips, by the commands; and notes that make no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tpumlir_core.container import read_container
from tpumlir_core.errors import InputError
from tpumlir_core.host import finish, host_note, network_outputs, noted_host, rejoined, split_host
from tpumlir_core.ir import Function, Module, TensorType, WeightStore, top
from tpumlir_core.ir.text import print_module

PLUGIN = '''
import numpy as np
from tpumlir_core.custom import Operator, operator


@operator("acme.Sorted", "input, order")
class Sorted(Operator):
    """Rows sorted, then their columns exchanged."""

    host = True
    sources = {"onnx": "acme::Sorted"}

    def infer(self, types):
        return [types[0]]

    def reference(self, x, order):
        return np.sort(x, axis=1)[:, order.astype(int)]
'''
SHAPE = (4, 6)
ORDER = np.array([5, 0, 4, 1, 3, 2], np.float32)


def save_network(path: Path, last: str = "Sorted") -> None:
    """x -> Add -> r, and r -> Sorted -> y (-> Relu -> z): outputs r and the last one."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["r"], "first"),
        helper.make_node("Sorted", ["r", "order"], ["y"], "steps", domain="acme"),
        *([helper.make_node("Relu", ["y"], ["z"], "after")] if last == "Relu" else []),
    ]
    tensors = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xryz"}
    outputs = [tensors["z" if last == "Relu" else "y"], tensors["r"]]
    graph = helper.make_graph(nodes, "net", [tensors["x"]], outputs, [numpy_helper.from_array(ORDER, "order")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "sorted.py").write_text(PLUGIN)
    np.savez(folder / "x.npz", x=np.random.default_rng(7).normal(size=SHAPE).astype(np.float32))
    return folder


@pytest.mark.parametrize("chip", ["bm1684x", "example"])
def test_an_operator_of_the_host_ends_a_network(chip: str, work: Path, tpumlir: Any) -> None:
    save_network(work / "net.onnx")
    plugin = ("--plugin", "sorted.py")
    compiled = tpumlir("compile", "net.onnx", "-o", "net.out", "--chip", chip, "--quantize", "F32", "--test-input", "x.npz", *plugin)
    assert compiled.returncode == 0, compiled.stderr
    ran = tpumlir("run", "net.out", "--input", "x.npz", "--output", "y.npz", *plugin)
    assert ran.returncode == 0, ran.stderr
    x, found = np.load(work / "x.npz")["x"], np.load(work / "y.npz")
    assert found.files == ["y_Sorted", "r_Add"]
    np.testing.assert_array_equal(found["r_Add"], x + x)
    np.testing.assert_array_equal(found["y_Sorted"], np.sort(x + x, axis=1)[:, ORDER.astype(int)])
    without = tpumlir("run", "net.out", "--input", "x.npz", "--output", "z.npz")
    assert (without.returncode, without.stderr.count("\n")) == (2, 1)
    assert "acme.Sorted" in without.stderr


def test_the_lowered_text_ends_in_the_steps(work: Path, tpumlir: Any) -> None:
    save_network(work / "net.onnx")
    plugin = ("--plugin", "sorted.py")
    assert tpumlir("transform", "net.onnx", "--mlir", "net.mlir", *plugin).returncode == 0
    deployed = tpumlir("deploy", "net.mlir", "-o", "net.out", "--chip", "bm1684x", "--quantize", "F16", "--save-mlir", "low.mlir", *plugin)
    assert deployed.returncode == 0, deployed.stderr
    assert tpumlir("run", "low.mlir", "--input", "x.npz", "--output", "low.npz", *plugin).returncode == 0
    assert tpumlir("run", "net.out", "--input", "x.npz", "--output", "chip.npz", *plugin).returncode == 0
    low, chip = np.load(work / "low.npz"), np.load(work / "chip.npz")
    assert low.files == chip.files == ["y_Sorted", "r_Add"]
    for name in low.files:
        np.testing.assert_array_equal(low[name], chip[name])


def test_in_the_middle_it_is_refused(work: Path, tpumlir: Any) -> None:
    save_network(work / "net.onnx", last="Relu")
    result = tpumlir("compile", "net.onnx", "-o", "net.out", "--chip", "bm1684x", "--plugin", "sorted.py")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "y_Sorted" in result.stderr


# --- the parts ------------------------------------------------------------------------------------------------------------
def detector() -> Module:
    """Two classes, three boxes: codes -> Add -> DetectionOutput with constant priors."""
    generator = np.random.default_rng(2)
    codes = top.Input.create([], [("codes", TensorType((1, 12)))])
    scores = top.Input.create([], [("scores", TensorType((1, 6)))])
    priors = top.Weight.create([], [("priors", TensorType((1, 2, 12)))])
    doubled = top.MulConst.create([codes.output], ["doubled"], const_val=2.0)
    detections = top.DetectionOutput.create(
        [doubled.output, scores.output, priors.output], ["found"], num_classes=2, nms_threshold=0.45, top_k=3, keep_top_k=3,
        code_type="CORNER", confidence_threshold=0.1,
    )
    weights = WeightStore()
    weights["priors"] = generator.random((1, 2, 12)).astype(np.float32)
    return Module("net", Function("main", [codes, scores, priors, doubled, detections], [detections.output]), weights)


def split() -> Module:
    module = detector()
    split_host(module, lambda op: op.opcode == "top.DetectionOutput")
    return module


def test_inputs_of_steps_that_are_inputs_of_the_network_stay_with_it() -> None:
    module = split()
    assert module.host is not None
    assert [value.name for value in module.function.outputs] == ["doubled"]
    assert "priors" not in module.weights
    assert [value.name for value in network_outputs(module)] == ["found"]


def test_steps_survive_their_note_and_compute_the_same() -> None:
    whole, module = detector(), split()
    assert module.host is not None
    host = noted_host(json.loads(json.dumps(host_note(module))))
    assert host is not None
    assert print_module(host) == print_module(module.host)
    generator = np.random.default_rng(3)
    fed = {"doubled": generator.random((1, 12)).astype(np.float32), "scores": generator.random((1, 6)).astype(np.float32)}
    expected = whole.function.operations[-1].evaluate([fed["doubled"], fed["scores"], whole.weights["priors"]])[0]
    np.testing.assert_array_equal(finish(host, fed)["found"], expected)


def test_rejoined_is_the_whole_again() -> None:
    joined = rejoined(split())
    assert [op.name for op in joined.function.operations] == ["codes", "scores", "doubled", "priors", "found"]
    assert "priors" in joined.weights


def test_nothing_is_split_that_leaves_nothing_for_the_chip() -> None:
    module = detector()
    module.function.operations[-1].set_operand(0, module.function.operations[0].output)
    split_host(module, lambda op: op.opcode == "top.DetectionOutput")
    assert module.host is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("module", "nonsense"), ("module", 3), ("weights", {}), ("weights", {"priors": "AAAA"}), ("weights", {"priors": "?"}), ("weights", 1)],
)
def test_a_note_that_makes_no_sense_is_an_input_error(key: str, value: object) -> None:
    note = host_note(split())["host"] | {key: value}
    with pytest.raises(InputError):
        noted_host({"host": note})


def test_a_note_with_other_operations_is_refused() -> None:
    module = split()
    assert module.host is not None
    text = print_module(detector())
    with pytest.raises(InputError, match=r"top\.MulConst is none"):
        noted_host({"host": {"module": text, "weights": host_note(module)["host"]["weights"]}})


def test_missing_and_wrong_tensors_are_named() -> None:
    module = split()
    assert module.host is not None
    with pytest.raises(InputError, match="doubled"):
        finish(module.host, {"scores": np.zeros((1, 6), np.float32)})


def test_files_without_the_note_are_as_before(work: Path, tpumlir: Any) -> None:
    save_network(work / "net.onnx")
    assert tpumlir("compile", "net.onnx", "-o", "net.out", "--chip", "example", "--output-names", "r_Add").returncode == 0
    assert "host" not in read_container((work / "net.out").read_bytes()).facts
