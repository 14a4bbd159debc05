"""The example target, as installed: what users type, against onnxruntime, over shapes, and with damaged files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tpumlir_core import api
from tpumlir_core.container import read_container, write_container
from tpumlir_core.errors import InputError, InternalError, UnsupportedError
from tpumlir_example_target.chip import Command, chip
from tpumlir_example_target.runner import ExampleRunner
from tpumlir_example_target.schedule import schedule
from tpumlir_example_target.simulator import Machine


def save_network(path: Path, rows: int = 5, features: int = 30, hidden: int = 70, last: str = "Relu") -> dict[str, Any]:
    """A multilayer perceptron [rows, features] with a transposed weight, biases and a residual addition; its inputs."""
    generator = np.random.default_rng(rows + features + hidden)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(generator.normal(size=shape).astype(np.float32) / np.float32(shape[0] ** 0.5), name)

    weights = [weight("w1", hidden, features), weight("b1", hidden), weight("w2", hidden, features), weight("b2", features)]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "activation"),
        helper.make_node("MatMul", ["r", "w2"], ["m"], "second"),
        helper.make_node("Add", ["m", "b2"], ["a"], "bias"),
        helper.make_node("Add", ["a", "x"], ["s"], "residual"),
        helper.make_node(last, ["s"], ["y"], "last"),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, features]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "mlp", tensors[:1], tensors[1:], weights), ir_version=9)
    model.opset_import[0].version = 17
    path.write_bytes(model.SerializeToString())
    return {"x": generator.normal(size=(rows, features)).astype(np.float32)}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    np.savez(folder / "x.npz", **save_network(folder / "mlp.onnx"))
    return folder


def test_every_command_knows_the_chip(work: Path, tpumlir: Any) -> None:
    compiled = tpumlir("compile", "mlp.onnx", "-o", "mlp.ex", "--chip", "example", "--quantize", "F32", "--test-input", "x.npz", "--json")
    assert compiled.returncode == 0, compiled.stderr
    assert tpumlir("run", "mlp.ex", "--input", "x.npz", "--output", "ours.npz").returncode == 0
    assert tpumlir("run", "mlp.onnx", "--input", "x.npz", "--output", "theirs.npz").returncode == 0
    compared = tpumlir("compare", "ours.npz", "theirs.npz", "--tolerance", "0.9999999,0.999999")
    assert compared.returncode == 0, compared.stdout
    (network,) = json.loads(tpumlir("info", "mlp.ex", "--json").stdout)["networks"]
    assert [tensor["shape"] for tensor in network["stages"][0]["inputs"]] == [[5, 30]]
    assert {"tpumlir-core", "tpumlir-float", "tpumlir-example-target"} <= network["stages"][0]["made_by"].keys()
    assert "for example" in tpumlir("info", "mlp.ex").stdout
    lines = [json.loads(line) for line in tpumlir("disasm", "mlp.ex", "--json").stdout.splitlines()]
    assert len(lines) == json.loads(compiled.stdout)["instructions"]
    assert {line["name"] for line in lines} == {"LOAD", "MATMUL", "ADD", "RELU", "STORE"}
    profile = json.loads(tpumlir("profile", "mlp.ex", "--json").stdout)
    assert profile["cycles"] == sum(profile["engines"].values()) == sum(layer["cycles"] for layer in profile["layers"])
    table = json.loads(tpumlir("ops", "--chip", "example", "--json").stdout)["operators"]
    assert {name for name, modes in table.items() if modes["F32"]["by"] == "kernel"} == {"MatMul", "Add", "Relu"}
    assert {name for name, modes in table.items() if modes["F32"]["by"] == "decomposition"} == {"AddConst", "SubConst"}


def test_estimate_of_a_network_by_hand(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 100])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 100])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y]), ir_version=9)
    (tmp_path / "relu.onnx").write_bytes(model.SerializeToString())
    artifact = api.compile(tmp_path / "relu.onnx", chip="example")
    target = api.Session().plugins.get(api.TARGET, "example")
    profile = target.profile(artifact.data)
    # 800 bytes in and out at 16 a cycle after 24 cycles each; 200 elements on 64 lanes after 8
    assert (profile.engines, profile.cycles, profile.bytes) == ({"dma": 2 * (24 + 50), "compute": 8 + 4}, 160, 1600)


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(1, 300), st.integers(1, 300))
def test_any_shape_in_any_number_of_tiles(tmp_path_factory: pytest.TempPathFactory, rows: int, features: int, hidden: int) -> None:
    path = tmp_path_factory.mktemp("net") / "mlp.onnx"
    inputs = save_network(path, rows, features, hidden)
    compiled = path.with_suffix(".ex")
    compiled.write_bytes(api.compile(path, chip="example").data)
    (ours,) = api.run(compiled, inputs).values()
    (theirs,) = api.run(path, inputs).values()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_the_chip_cannot_do_is_decomposed_or_refused_by_name(work: Path, tpumlir: Any) -> None:
    save_network(work / "soft.onnx", last="Exp")
    result = tpumlir("compile", "soft.onnx", "-o", "soft.ex", "--chip", "example")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.endswith("example cannot do: y_Exp (top.Exp): no kernel\n")
    save_network(work / "soft.onnx", last="Sigmoid")
    told = tpumlir("compile", "soft.onnx", "-o", "soft.ex", "--chip", "example").stderr
    assert "cannot do: y_Sigmoid (top.Sigmoid): no kernel, and of its parts top.Mul: no kernel, top.Exp: no kernel, " in told
    assert "F16" in tpumlir("compile", "mlp.onnx", "-o", "mlp.ex", "--chip", "example", "--quantize", "F16").stderr
    save_network(work / "wide.onnx", 1, 20_000, 2)
    with pytest.raises(UnsupportedError, match="more than the 65536 bytes of local memory"):
        api.compile(work / "wide.onnx", chip="example")


def test_a_network_larger_than_memory_is_refused(work: Path) -> None:
    module = api.transform(work / "mlp.onnx")
    with pytest.raises(InputError, match=r"mlp: its tensors are \d+ bytes, the chip has 1000"):
        schedule(dataclasses.replace(chip(), global_bytes=1000), module)


@pytest.mark.parametrize("size", [0, 4, 40, 60, 500, 10_000, -1])
@pytest.mark.parametrize("command", ["info", "disasm", "profile", "run"])
def test_a_cut_off_file_is_one_line(work: Path, tpumlir: Any, command: str, size: int) -> None:
    data = api.compile(work / "mlp.onnx", chip="example").data
    (work / "cut.ex").write_bytes(data[:size])
    result = tpumlir(command, "cut.ex", *(("--input", "x.npz", "--output", "y.npz") if command == "run" else ()))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "cut.ex" in result.stderr


@pytest.mark.parametrize("fault", [{"memory_bytes": 8}, {"memory_bytes": 1 << 60}, {"memory_bytes": None}, {"layers": [["a", "b", 1]]},
                                   {"layers": 3}, {"layers": [[1]]}])
def test_a_file_that_lies_is_one_line(work: Path, tpumlir: Any, fault: dict[str, Any]) -> None:
    container = read_container(api.compile(work / "mlp.onnx", chip="example").data)
    lying = dataclasses.replace(container, facts={**container.facts, **fault})
    (work / "lie.ex").write_bytes(write_container(lying))
    result = tpumlir("run", "lie.ex", "--input", "x.npz", "--output", "y.npz")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "lie.ex" in result.stderr


def test_wrong_inputs_are_named(work: Path) -> None:
    (work / "mlp.ex").write_bytes(api.compile(work / "mlp.onnx", chip="example").data)
    with pytest.raises(InputError, match="input x is missing; given are z"):
        ExampleRunner().run(work / "mlp.ex", {"z": np.zeros(1)})
    with pytest.raises(InputError, match=r"input x has the shape \(1,\); it must be \(5, 30\)"):
        ExampleRunner().run(work / "mlp.ex", {"x": np.zeros(1)})


@pytest.mark.parametrize(
    "command",
    [
        Command("LOAD", {"address": 0, "local": 65_532, "rows": 1, "row_bytes": 8, "stride": 8}),
        Command("LOAD", {"address": 1020, "local": 0, "rows": 2, "row_bytes": 4, "stride": 4}),
        Command("STORE", {"address": 2, "local": 0, "rows": 1, "row_bytes": 4, "stride": 4}),
        Command("STORE", {"address": 0, "local": 0, "rows": 2, "row_bytes": 4, "stride": (1 << 32) - 4}),
        Command("MATMUL", {"left": 0, "right": 0, "result": 0, "m": 1 << 31, "k": 1 << 31, "n": 1}),
        Command("ADD", {"left": 0, "right": 0, "result": 0, "rows": 3, "columns": 1, "right_rows": 2, "right_columns": 1}),
        Command("RELU", {"source": 0, "result": (1 << 32) - 4, "count": 1}),
    ],
)
def test_the_simulator_stays_within_its_memories(command: Command) -> None:
    with pytest.raises(InputError, match=f"instruction 0, {command.name}"):
        Machine(chip(), 1024).run([command])


def test_instructions_are_encoded_as_the_data_file_says() -> None:
    relu = Command("RELU", {"source": 4, "result": 0x1234, "count": 7})
    assert chip().encode(relu) == bytes.fromhex("05000000 04000000 34120000 07000000") + bytes(16)
    assert list(chip().decode(chip().encode(relu) * 2)) == [relu, relu]
    for wrong in ({"source": 0}, {"source": 0, "result": 0, "count": 1 << 32}, {"source": 0, "result": -4, "count": 1}):
        with pytest.raises(InternalError):
            chip().encode(Command("RELU", wrong))
