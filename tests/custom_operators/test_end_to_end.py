"""Custom operators from ONNX to the emulator: by file, by wheel, decomposed and with a kernel of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.custom_operators.models import ABS_ADD, EXAMPLES, IDENTITY, SWAP, normal, operator_in, save, save_op, save_swap, session_of
from tpumlir_core import api
from tpumlir_core.checks import Verification
from tpumlir_core.errors import UnsupportedError

EXACT = (1 - 1e-9, 1 - 1e-6)


@pytest.mark.parametrize("path", [SWAP, ABS_ADD])
def test_an_example_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


def test_by_file_every_command_knows_it(tpumlir: Any, tmp_path: Path) -> None:
    work = tmp_path / "work"
    save_swap(work)
    compiled = tpumlir("compile", "net.onnx", "-o", "a.bmodel", "--chip", "bm1684x", "--test-input", "x.npz", "--plugin", SWAP)
    assert compiled.returncode == 0, compiled.stderr
    assert tpumlir("transform", "net.onnx", "--mlir", "net.mlir", "--plugin", SWAP).returncode == 0
    assert '"acme.SwapChannel"(%3) {order = [2, 0, 1]} : (tensor<1x3x9x7xf32>) -> tensor<1x3x9x7xf32>' in (work / "net.mlir").read_text()
    deployed = tpumlir(
        "deploy", "net.mlir", "-o", "b.bmodel", "--chip", "bm1684x", "--test-input", "x.npz", TPUMLIR_PLUGIN_FILES=str(SWAP)
    )
    assert deployed.returncode == 0, deployed.stderr
    assert (work / "a.bmodel").read_bytes() == (work / "b.bmodel").read_bytes()
    for file in ("net.onnx", "net.mlir", "a.bmodel"):
        result = tpumlir("run", file, "--input", "x.npz", "--output", f"{file}.npz", "--plugin", SWAP)
        assert result.returncode == 0, result.stderr
        np.testing.assert_allclose(np.load(work / f"{file}.npz")["y_Add"], np.load(work / "net.onnx.npz")["y_Add"], atol=1e-5)
    assert "acme::SwapChannel" in tpumlir("ops", "--frontend", "onnx", "--plugin", SWAP).stdout
    assert "acme.SwapChannel  decomposition" in tpumlir("ops", "--chip", "bm1684x", "--plugin", SWAP).stdout
    assert "swap-py" in tpumlir("info", "a.bmodel").stdout


def test_without_its_plugin_it_is_named(tpumlir: Any, tmp_path: Path) -> None:
    save_swap(tmp_path / "work")
    result = tpumlir("compile", "net.onnx", "-o", "a.bmodel", "--chip", "bm1684x")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "SwapChannel (node second, domain acme)" in result.stderr
    assert tpumlir("transform", "net.onnx", "--mlir", "net.mlir", "--plugin", SWAP).returncode == 0
    result = tpumlir("deploy", "net.mlir", "-o", "a.bmodel", "--chip", "bm1684x")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "net.mlir:8: operation acme.SwapChannel is not known; no operator plugin brings it" in result.stderr


def test_a_kernel_of_its_own(tmp_path: Path) -> None:
    inputs = {"x": normal(2, 70, 5, 6), "b": normal(2, 1, 5, 1)}
    nodes = [
        helper.make_node("AbsAdd", ["x", "w"], ["c"], "channels", domain="acme"),
        helper.make_node("AbsAdd", ["c", "b"], ["y"], "broadcast", domain="acme"),
    ]
    path = save(tmp_path / "net.onnx", nodes, inputs, ["y"], {"w": normal(70, 1, 1)})
    session = session_of(ABS_ADD)
    first, second = (api.compile(path, chip="bm1684x", verification=Verification(inputs, EXACT), session=session) for _ in range(2))
    assert first.data == second.data
    assert first.facts["instructions"]["tiu"] >= 4


def test_a_chip_without_its_kernel_says_so(tmp_path: Path) -> None:
    path = save(tmp_path / "n.onnx", [helper.make_node("AbsAdd", ["x", "x"], ["y"], "n", domain="acme")], {"x": normal(2, 3)}, ["y"], {})
    with pytest.raises(UnsupportedError, match=r"y_AbsAdd \(acme\.AbsAdd\)"):
        api.compile(path, chip="example", session=session_of(ABS_ADD))


@pytest.mark.parametrize("chip", ["bm1684x", "example"])
def test_a_decomposition_does_for_every_chip(tmp_path: Path, chip: str) -> None:
    body = IDENTITY.replace("return x", "return x + x").replace("builder(top.Relu, self.input)", "builder(top.Add, self.input, self.input)")
    inputs = {"x": normal(4, 30)}
    path = save_op(tmp_path, inputs)
    api.compile(path, chip=chip, verification=Verification(inputs, EXACT), session=session_of(operator_in(tmp_path, body)))


def test_by_wheel(tmp_path: Path) -> None:
    """Built and installed beside the core, not an editable tree; the acceptance sweep does so in fresh environments."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip("building offline needs setuptools 77 here, as plugins' build requirements say")
    work = tmp_path / "work"
    work.mkdir()
    save_swap(work)
    source = shutil.copytree(EXAMPLES.parent, tmp_path / "source", ignore=shutil.ignore_patterns("*.egg-info", "build"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(tmp_path / "site"), str(source)], check=True, timeout=300)
    paths = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "tpumlir_core", "compile", "net.onnx", "-o", "a.bmodel", "--chip", "bm1684x", "--test-input", "x.npz"]
    environment = {**os.environ, "PYTHONPATH": paths}
    result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
