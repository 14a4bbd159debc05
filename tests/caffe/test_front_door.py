"""The commands on Caffe networks: compiled, run on the emulator, compared with OpenCV; and damaged files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.caffe_mutants import MODELS, damaged, mutants, originals, verdicts
from tests.caffe.caffe_models import INPUT, layer, needs_opencv, save
from tpumlir_caffe.frontend import CaffeFrontend
from tpumlir_core.errors import UnsupportedError

COUNT = 60
SHAPES = {"convolution": (1, 2, 8, 8), "detector": (1, 3, 16, 16), "old": (2, 3, 6, 6)}


def write_model(folder: Path, name: str) -> None:
    """net.prototxt, net.caffemodel and x.npz of one of the networks that the mutants are made of."""
    text, weights = originals(name)
    (folder / "net.prototxt").write_bytes(text)
    (folder / "net.caffemodel").write_bytes(weights)
    np.savez(folder / "x.npz", data=np.random.default_rng(4).random(SHAPES[name]).astype(np.float32))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@needs_opencv
@pytest.mark.parametrize("name", MODELS)
def test_compiled_and_run_it_gives_what_opencv_does(name: str, work: Path, tpumlir: Any) -> None:
    write_model(work, name)
    model = ("net.prototxt", "--model-data", "net.caffemodel")
    compiled = tpumlir("compile", *model, "-o", "net.bmodel", "--chip", "bm1684x", "--quantize", "F32", "--test-input", "x.npz")
    assert compiled.returncode == 0, compiled.stderr
    assert tpumlir("run", "net.bmodel", "--input", "x.npz", "--output", "chip.npz").returncode == 0
    assert tpumlir("run", *model, "--input", "x.npz", "--output", "opencv.npz").returncode == 0
    chip, opencv = np.load(work / "chip.npz"), np.load(work / "opencv.npz")
    assert sorted(chip.files) == sorted(opencv.files)
    for output in opencv.files:
        assert chip[output].shape == opencv[output].shape
        np.testing.assert_allclose(chip[output], opencv[output], rtol=1e-4, atol=1e-5)


@needs_opencv
def test_16_bits_end_in_detections_too(work: Path, tpumlir: Any) -> None:
    write_model(work, "detector")
    model = ("net.prototxt", "--model-data", "net.caffemodel")
    compiled = tpumlir("compile", *model, "-o", "net.bmodel", "--chip", "bm1684x", "--quantize", "F16")
    assert compiled.returncode == 0, compiled.stderr
    assert tpumlir("run", "net.bmodel", "--input", "x.npz", "--output", "chip.npz").returncode == 0
    found = np.load(work / "chip.npz")["detections"]
    assert found.shape == (1, 1, 5, 7)
    assert (found[0, 0, 0, 1:3] > 0).all()


@needs_opencv
def test_intermediate_tensors_come_with_dump_all(work: Path, tpumlir: Any) -> None:
    write_model(work, "convolution")
    ran = tpumlir("run", "net.prototxt", "--model-data", "net.caffemodel", "--input", "x.npz", "--output", "all.npz", "--dump-all")
    assert ran.returncode == 0, ran.stderr
    assert {"conv/3", "conv/2", "conv/1", "conv", "pool", "up", "cut"} <= set(np.load(work / "all.npz").files)


@needs_opencv
def test_detections_without_a_limit_are_not_handed_to_opencv(tmp_path: Path) -> None:
    text = 'input: "a" input_shape { dim: 1 dim: 8 } input: "b" input_shape { dim: 1 dim: 4 } '
    text += 'input: "c" input_shape { dim: 1 dim: 2 dim: 8 }\n'
    path, options = save(tmp_path, text + layer("d", "DetectionOutput", "a b c", "d", "detection_output_param { num_classes: 2 }"))
    arrays = {"a": np.zeros((1, 8)), "b": np.zeros((1, 4)), "c": np.zeros((1, 2, 8))}
    with pytest.raises(UnsupportedError, match="keep_top_k"):
        CaffeFrontend().run(path, arrays, options)


def test_without_opencv_the_line_to_install_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    path, options = save(tmp_path, INPUT + layer("relu", "ReLU", "data", "out"))
    with pytest.raises(UnsupportedError, match=r"pip install 'tpumlir-caffe\[framework\]'"):
        CaffeFrontend().run(path, {"data": np.zeros((1, 2, 6, 5), np.float32)}, options)


@pytest.mark.parametrize(
    ("head", "ours"),
    [
        (b'name: "x"\nlayer {\n', True), (b'layers { type: RELU }', True), (b'input: "data"\n', True), (b"input_dim: 1", True),
        (b"# net\nlayer{ }", True), (b"hello", False), (b"\x08\x07layer {", False), (b"layers are fine", False), (b"", False),
    ],
)
def test_files_are_recognized_by_content(head: bytes, ours: bool) -> None:
    assert CaffeFrontend().recognizes(Path("net.txt"), head) is ours
    assert CaffeFrontend().recognizes(Path("net.prototxt"), head)


def test_mutants_compile_or_are_refused_in_one_line() -> None:
    found = verdicts(COUNT)
    assert [verdict for verdict in found if verdict.fault] == []
    assert {verdict.exit_code for verdict in found} == {0, 2}


def test_mutants_differ_and_come_again() -> None:
    made = [damaged(mutant) for mutant in mutants(COUNT)]
    assert made == [damaged(mutant) for mutant in mutants(COUNT)]
    assert len(set(made)) > 0.8 * COUNT


PLUGIN = '''
import numpy as np
from tpumlir_core.custom import Operator, operator


@operator("acme.Last", "input, factor")
class Last(Operator):
    """The largest number of every row, times a blob."""

    host = True
    sources = {"caffe": "caffe::Last"}

    def infer(self, types):
        return [types[0].with_shape((types[0].shape[0], 1))]

    def reference(self, x, factor):
        return x.max(1, keepdims=True) * factor
'''


def test_a_layer_type_of_one_s_own(work: Path, tpumlir: Any) -> None:
    text = 'input: "data" input_shape { dim: 3 dim: 4 }\n' + layer("relu", "ReLU", "data", "r") + layer("last", "Last", "r", "out")
    save(work, text, {"last": [np.array([2.5], np.float32)]})
    (work / "last.py").write_text(PLUGIN)
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    np.savez(work / "x.npz", data=x)
    options = ("--model-data", "net.caffemodel", "-o", "net.bmodel", "--chip", "bm1684x")
    unknown = tpumlir("compile", "net.prototxt", *options)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "Last (node last)" in unknown.stderr
    compiled = tpumlir("compile", "net.prototxt", *options, "--plugin", "last.py")
    assert compiled.returncode == 0, compiled.stderr
    ran = tpumlir("run", "net.bmodel", "--input", "x.npz", "--output", "y.npz", "--plugin", "last.py")
    assert ran.returncode == 0, ran.stderr
    np.testing.assert_array_equal(np.load(work / "y.npz")["out"], np.maximum(x, 0).max(1, keepdims=True) * np.float32(2.5))
