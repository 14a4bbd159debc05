"""``model_runner.py``: a source model, .mlir at both stages and a compiled file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tests.compat.conftest import SHAPE, Tool
from tpumlir_core import api
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.verify import compare_arrays

OUTPUT = "p_Softmax"


@pytest.fixture
def deployed(transformed: Path, tool: Tool) -> Path:
    """out.bmodel and net_bm1684x_f16_tpu.mlir."""
    assert tool("model_deploy", "--mlir", "net.mlir", "--chip", "bm1684x", "--quantize", "F16", "--model", "out.bmodel").returncode == 0
    return transformed


@pytest.mark.parametrize("model", ["net.onnx", "net.mlir", "net_bm1684x_f16_tpu.mlir", "out.bmodel"])
def test_every_stage(model: str, deployed: Path, work: Path, tool: Tool) -> None:
    done = tool("model_runner", "--input", "net_in_f32.npz", "--model", model, "--output", "out.npz")
    assert (done.returncode, done.stdout) == (0, "Result saved to:out.npz\n"), done.stderr
    expected = np.asarray(ort.InferenceSession(work / "net.onnx").run(None, read_npz(work / "net_in_f32.npz"))[0])
    found = read_npz(work / "out.npz")
    assert list(found) == [OUTPUT]
    assert compare_arrays(found[OUTPUT], expected, (0.999, 0.99)).passed


@pytest.mark.parametrize("model", ["net.onnx", "net.mlir", "net_bm1684x_f16_tpu.mlir"])
def test_every_tensor(model: str, deployed: Path, work: Path, tool: Tool) -> None:
    tool("model_runner", "--input", "net_in_f32.npz", "--model", model, "--output", "out.npz", "--dump_all_tensors")
    assert {"hidden_Relu", OUTPUT} <= read_npz(work / "out.npz").keys()


@pytest.mark.parametrize("model", ["net.onnx", "net.mlir", "out.bmodel"])
def test_the_only_array_is_the_only_input(model: str, deployed: Path, work: Path, tool: Tool) -> None:
    np.savez(work / "other.npz", other=np.zeros(SHAPE, np.float32))
    done = tool("model_runner", "--input", "other.npz", "--model", model)
    assert done.returncode == 0, done.stderr
    assert list(read_npz(work / "_output.npz")) == [OUTPUT]


def test_weights_are_passed_on(network: Path, work: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ImportOptions] = []

    def stop(file: Path, inputs: object, *, options: ImportOptions, **more: object) -> None:
        seen.append(options)
        raise InputError("seen")

    monkeypatch.setattr(api, "run", stop)
    np.savez(work / "in.npz", a=np.zeros(1), b=np.zeros(1))
    tool("model_runner", "--input", "in.npz", "--model", "net.prototxt", "--weight", "net.caffemodel")
    assert seen == [ImportOptions(model_data=Path("net.caffemodel"))]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--input", "gone.npz", "--model", "net.mlir"), "gone.npz: cannot be read"),
        (("--input", "net_in_f32.npz", "--model", "gone.mlir"), "gone.mlir"),
        (("--input", "net_in_f32.npz"), "the following arguments are required: --model"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(flags: tuple[str, ...], told: str, transformed: Path, tool: Tool) -> None:
    failed = tool("model_runner", *flags)
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1
