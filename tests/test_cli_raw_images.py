"""``--fuse-preprocess`` from the command line: compiled, verified with an image, and run on the emulator with the image as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.preprocess.images import pixels, raw
from tests.test_cli_first_party import save_network

PREPROCESS = ("--mean", "123.7,110.25,20", "--scale", "0.017,0.03,0.011", "--pixel-format", "rgb")
FUSED = ("--chip", "bm1684x", "--fuse-preprocess", "--customization-format", "BGR_PACKED")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that the command runs in, with a network of [1, 3, 9, 7] and an image of its size."""
    folder = tmp_path / "work"
    folder.mkdir()
    save_network(folder / "net.onnx")
    Image.fromarray(pixels(1, 9, 7, 3)[0]).save(folder / "a.png")
    return folder


def test_an_image_into_the_compiled_file(work: Path, tpumlir: Any) -> None:
    compiled = tpumlir("compile", "net.onnx", "-o", "net.bmodel", *PREPROCESS, *FUSED, "--test-input", "a.png")
    assert compiled.returncode == 0, compiled.stderr
    (network,) = json.loads(tpumlir("info", "net.bmodel", "--json").stdout)["networks"]
    (fed,) = network["stages"][0]["inputs"]
    assert (fed["name"], fed["shape"], fed["type"]) == ("x_raw", [1, 9, 7, 3], "ui8")
    np.savez(work / "raw.npz", x_raw=raw(pixels(1, 9, 7, 3), "BGR_PACKED"))
    for file, given, output, more in (
        ("net.bmodel", "a.png", "image.npz", ()),
        ("net.bmodel", "raw.npz", "raw_out.npz", ()),
        ("net.onnx", "a.png", "float.npz", PREPROCESS),
    ):
        done = tpumlir("run", file, "--input", given, "--output", output, *more)
        assert done.returncode == 0, done.stderr
    results = [np.load(work / name)["y_Add"] for name in ("image.npz", "raw_out.npz", "float.npz")]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], rtol=0, atol=1e-5 * np.abs(results[2]).max())


def test_images_become_what_a_float_file_says(work: Path, tpumlir: Any) -> None:
    for name, arguments in (("noted", PREPROCESS), ("plain", ())):
        compiled = tpumlir("compile", "net.onnx", "-o", f"{name}.bmodel", "--chip", "bm1684x", *arguments)
        assert compiled.returncode == 0, compiled.stderr
    for name, arguments in (("noted", ()), ("plain", PREPROCESS)):
        done = tpumlir("run", f"{name}.bmodel", "--input", "a.png", "--output", f"{name}.npz", *arguments)
        assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(work / "noted.npz")["y_Add"], np.load(work / "plain.npz")["y_Add"])


def test_deployed_with_raw_arrays(work: Path, tpumlir: Any) -> None:
    assert tpumlir("transform", "net.onnx", "--mlir", "net.mlir", *PREPROCESS).returncode == 0
    np.savez(work / "raw.npz", x_raw=raw(pixels(1, 9, 7, 3), "BGR_PACKED"))
    deployed = tpumlir("deploy", "net.mlir", "-o", "net.bmodel", *FUSED, "--quantize", "F16", "--test-input", "raw.npz")
    assert deployed.returncode == 0, deployed.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*PREPROCESS, "--fuse-preprocess", "--customization-format", "YUV_NV21"), "YUV_NV21: chroma is subsampled"),
        ((*PREPROCESS, "--customization-format", "RGB_PLANAR"), "--fuse-preprocess"),
        (("--fuse-preprocess",), "net: no input records preprocessing"),
        ((*PREPROCESS, "--fuse-preprocess", "--test-input", "x.npy"), "x.npy: to verify fused preprocessing give an image for x_raw"),
    ],
)
def test_what_cannot_be_is_one_line(work: Path, tpumlir: Any, arguments: tuple[str, ...], told: str) -> None:
    np.save(work / "x.npy", np.zeros((1, 3, 9, 7), np.float32))
    result = tpumlir("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert told in result.stderr
    assert not (work / "net.bmodel").exists()
