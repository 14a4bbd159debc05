"""The installed command with the first-party plugins: from ONNX to the emulator and back (`make test` installs all of it)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.timing import assert_below, child_seconds
from tpumlir_core import api

COMMAND = str(Path(sys.executable).parent / "tpumlir")
START_SECONDS = {"--help": 0.2, "plugins list": 0.25}
"""Processor time that a start may take."""


def save_network(path: Path, operator: str = "Relu") -> None:
    """A convolution, an activation and a residual addition, [1, 3, 9, 7] in."""
    generator = np.random.default_rng(3)
    weights = numpy_helper.from_array(generator.normal(size=(3, 3, 3, 3)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "first", pads=[1, 1, 1, 1]),
        helper.make_node(operator, ["c"], ["r"], "second"),
        helper.make_node("Add", ["r", "x"], ["y"], "third"),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 9, 7]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "net", tensors[:1], tensors[1:], [weights]), ir_version=9)
    model.opset_import[0].version = 17
    path.write_bytes(model.SerializeToString())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that the command runs in, with a network and inputs."""
    folder = tmp_path / "work"
    folder.mkdir()
    save_network(folder / "net.onnx")
    np.savez(folder / "x.npz", x=np.random.default_rng(4).normal(size=(1, 3, 9, 7)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The network's bmodel."""
    path = tmp_path_factory.mktemp("compiled") / "net.onnx"
    save_network(path)
    return api.compile(path, chip="bm1684x").data


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def test_from_onnx_to_the_emulator(work: Path, tpumlir: Any) -> None:
    compiled = tpumlir("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x", "--test-input", "x.npz", "--json")
    assert compiled.returncode == 0, compiled.stderr
    assert json.loads(compiled.stdout)["bytes"] == (work / "net.bmodel").stat().st_size < 100_000
    for file, output in (("net.bmodel", "ours.npz"), ("net.onnx", "reference.npz")):
        assert tpumlir("run", file, "--input", "x.npz", "--output", output).returncode == 0
    compared = tpumlir("compare", "ours.npz", "reference.npz", "--tolerance", "0.9999,0.999")
    assert compared.returncode == 0, compared.stdout


def test_by_way_of_mlir_the_same_bytes(work: Path, tpumlir: Any, compiled: bytes) -> None:
    assert tpumlir("transform", "net.onnx", "--mlir", "net.mlir").returncode == 0
    deployed = tpumlir("deploy", "net.mlir", "--chip", "bm1684x", "--quantize", "F32", "-o", "again.bmodel")
    assert deployed.returncode == 0, deployed.stderr
    assert (work / "again.bmodel").read_bytes() == compiled


def test_the_same_bytes_in_any_process_and_folder(work: Path, tmp_path: Path, compiled: bytes) -> None:
    other = tmp_path / "other folder"
    other.mkdir()
    (other / "net.onnx").write_bytes((work / "net.onnx").read_bytes())
    for folder, seed in ((work, "1"), (other, "2")):
        result = run(folder, "compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x", PYTHONHASHSEED=seed)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert (folder / "net.bmodel").read_bytes() == compiled


def test_a_look_inside(work: Path, tpumlir: Any, compiled: bytes) -> None:
    (work / "net.bmodel").write_bytes(compiled)
    (network,) = json.loads(tpumlir("info", "net.bmodel", "--json").stdout)["networks"]
    (stage,) = network["stages"]
    assert stage["made_by"] == {f"tpumlir-{name}": version(f"tpumlir-{name}") for name in ("bm1684x", "core", "float", "sophgo")}
    assert [(tensor["name"], tensor["shape"]) for tensor in stage["inputs"]] == [("x", [1, 3, 9, 7])]
    lines = [json.loads(line) for line in tpumlir("disasm", "net.bmodel", "--json").stdout.splitlines()]
    assert len(lines) == stage["tiu_commands"] + stage["dma_commands"]
    assert {line["layer"] for line in lines if "CONV" in line["name"]} == {"r_Relu"}
    (convolution,) = (line for line in tpumlir("disasm", "net.bmodel").stdout.splitlines() if "CONV" in line)
    assert convolution.startswith("net/0/0 tiu 0 [r_Relu]: sCONV.normal cmd_short=1, cmd_id=1, ")
    assert "=0," not in convolution
    profile = json.loads(tpumlir("profile", "net.bmodel", "--json").stdout)
    assert max(profile["engines"].values()) <= profile["cycles"] <= sum(profile["engines"].values())
    assert [(layer["name"], layer["operation"]) for layer in profile["layers"]] == [("x", "Input"), ("r_Relu", "Conv"), ("y_Add", "Add")]
    for engine, cycles in profile["engines"].items():
        assert sum(layer["engines"][engine] for layer in profile["layers"]) == cycles
    assert sum(layer["bytes"] for layer in profile["layers"]) == profile["bytes"]
    assert all(layer["start"] + layer["cycles"] <= profile["cycles"] for layer in profile["layers"])
    text = tpumlir("profile", "net.bmodel").stdout
    assert [line.split()[:2] for line in text.splitlines()[-3:]] == [["x", "Input"], ["r_Relu", "Conv"], ["y_Add", "Add"]]


def test_a_reader_may_stop_reading(work: Path, compiled: bytes) -> None:
    (work / "net.bmodel").write_bytes(compiled)
    reader, writer = os.pipe()
    os.close(reader)  # a pipe that nobody reads, as after `| head`
    result = subprocess.run([COMMAND, "disasm", "net.bmodel"], cwd=work, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_supported_operators_are_listed(tpumlir: Any) -> None:
    assert {"Conv", "Gemm", "Softmax"} <= set(json.loads(tpumlir("ops", "--frontend", "onnx", "--json").stdout)["operators"])
    assert json.loads(tpumlir("ops", "--chip", "bm1684x", "--json").stdout)["operators"]["Conv"]["F32"]["by"] == "kernel"


@pytest.mark.parametrize("size", [0, 1, 10, 100, -10])
def test_a_cut_off_model_is_one_line(work: Path, tpumlir: Any, size: int) -> None:
    (work / "net.onnx").write_bytes((work / "net.onnx").read_bytes()[:size])
    result = tpumlir("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x")
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("tpumlir: error: ")
    assert result.stderr.count("\n") == 1
    assert "net.onnx" in result.stderr
    assert not (work / "net.bmodel").exists()


@pytest.mark.parametrize("size", [0, 30, 64, 200, 5000])
@pytest.mark.parametrize("command", ["info", "disasm", "profile"])
def test_a_cut_off_bmodel_is_one_line(work: Path, tpumlir: Any, compiled: bytes, command: str, size: int) -> None:
    (work / "net.bmodel").write_bytes(compiled[:size])
    result = tpumlir(command, "net.bmodel")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "net.bmodel" in result.stderr


def test_an_unknown_operator_is_named_with_its_node(work: Path, tpumlir: Any) -> None:
    model = onnx.load(work / "net.onnx")
    model.graph.node[1].op_type = "NoSuchOperator"
    (work / "net.onnx").write_bytes(model.SerializeToString())
    result = tpumlir("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x")
    assert result.returncode == 2
    assert "NoSuchOperator" in result.stderr
    assert "second" in result.stderr


def test_wrong_inputs_are_named(work: Path, tpumlir: Any, compiled: bytes) -> None:
    (work / "net.bmodel").write_bytes(compiled)
    np.savez(work / "wrong.npz", z=np.zeros(3, np.float32))
    for file in ("net.onnx", "net.bmodel"):
        result = tpumlir("run", file, "--input", "wrong.npz", "--output", "y.npz")
        assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
        assert "x" in result.stderr


@pytest.mark.parametrize("arguments", START_SECONDS)
def test_start_up(arguments: str, tmp_path: Path) -> None:
    limit = START_SECONDS[arguments]
    assert_below(limit, lambda: child_seconds(lambda: run(tmp_path, *arguments.split()).check_returncode()))
