"""What these tests share: the commands, run in a folder of their own, and a small network with images."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.conftest import Result

Tool = Callable[..., Result]
SHAPE = (1, 3, 16, 24)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that the commands run in."""
    (tmp_path / "work").mkdir(exist_ok=True)
    return tmp_path / "work"


@pytest.fixture
def tool(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """Runs a command by its name, without ``.py``, as its console script does."""

    def run(name: str, *arguments: str | Path) -> Result:
        with monkeypatch.context() as patch:
            patch.chdir(work)
            with pytest.raises(SystemExit) as ended:
                import_module(f"tpumlir_compat.{name}").main([str(argument) for argument in arguments])
        assert isinstance(ended.value.code, int)
        printed = capsys.readouterr()
        return Result(ended.value.code, printed.out, printed.err)

    return run


def save_network(path: Path, shape: tuple[int, ...] = SHAPE) -> None:
    """p = softmax(fc(global average of conv2(relu(conv1(x))))), with weights of a fixed seed; ``hidden`` is the relu's result."""
    chance = np.random.default_rng(3)
    weights = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (16, 8, 3, 3), "b2": (16,), "w3": (16, 10), "b3": (10,)}
    initial = [numpy_helper.from_array((chance.standard_normal(size) * 0.3).astype(np.float32), name) for name, size in weights.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["hidden"]),
        helper.make_node("Conv", ["hidden", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c2"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["fc"]),
        helper.make_node("Softmax", ["fc"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, (shape[0], 10))], initial,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def save_images(folder: Path, count: int) -> None:
    """Images of soft waves, ``0.png`` and so on."""
    folder.mkdir(exist_ok=True)
    rows, columns = np.mgrid[0:40, 0:60]
    for i in range(count):
        waves = [128 + 100 * np.sin(rows / (5 + i) + columns / period + i) for period in (6, 9, 13)]
        Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def network(work: Path) -> Path:
    """net.onnx, image.png and photos/ in the working folder."""
    save_network(work / "net.onnx")
    save_images(work / "photos", 6)
    (work / "photos/0.png").rename(work / "image.png")
    return work / "net.onnx"


TRANSFORM = ("--model_name", "net", "--model_def", "net.onnx", "--mlir", "net.mlir")
IMAGES = ("--mean", "127.5,127.5,127.5", "--scale", "0.0078125,0.0078125,0.0078125", "--pixel_format", "rgb")
CHECKED = ("--test_input", "image.png", "--test_result", "net_top_outputs.npz")


@pytest.fixture
def transformed(network: Path, tool: Tool) -> Path:
    """net.mlir, net_in_f32.npz and net_top_outputs.npz beside the network."""
    done = tool("model_transform", *TRANSFORM, *IMAGES, *CHECKED)
    assert done.returncode == 0, done.stderr
    return network.with_name("net.mlir")


