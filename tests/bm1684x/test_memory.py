"""What a whole `tpumlir compile` process takes of memory, of which weights are the most: the file, arrays, images, the output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bench.children import run
from tpumlir_core import api
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.tables import TableOrigin, write_calibration_table

ALLOWANCE = 30_000_000
"""Bytes besides: what the layout of a constant at a time takes, what the allocator keeps."""


def _write(path: Path, channels: int, columns: int) -> int:
    """A network of two convolutions of 3 x 3 and a matrix product, which differ in how their weights are laid out; bytes of those."""
    random = np.random.default_rng(0)
    shapes = {"a": (channels, channels, 3, 3), "b": (channels, channels, 3, 3), "c": (channels * 64, columns)}
    weights = [numpy_helper.from_array(random.standard_normal(shape, np.float32) / 64, name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["y"], pads=[1] * 4), helper.make_node("Conv", ["y", "b"], ["z"], pads=[1] * 4),
        helper.make_node("Flatten", ["z"], ["f"]), helper.make_node("MatMul", ["f", "c"], ["out"]),
    ]
    ends = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [1, channels, 8, 8]), ("out", [1, columns]))]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return sum(len(tensor.raw_data) for tensor in weights)


def _peak(model: Path, mode: str) -> int:
    """Peak memory of compiling, bytes."""
    folder = model.parent
    more: list[str | Path] = []
    if mode == "INT8":
        module = api.transform(model)
        ranges = {value.name: CalibratedRange(2.0, -2.0, 2.0) for value in module.function.values() if value.name not in module.weights}
        more = ["--calibration-table", folder / "table"]
        write_calibration_table(folder / "table", ranges, TableOrigin("net", "max", 1))
    command = [sys.executable, "-m", "tpumlir_core", "compile", model, "-o", folder / "net.bmodel", "--chip", "bm1684x", "--quantize", mode]
    return run([*command, *more], folder, os.environ).peak


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Peak memory of compiling a network of the same operations with hardly any weights, bytes."""
    model = tmp_path_factory.mktemp("small") / "net.onnx"
    _write(model, 8, 8)
    return _peak(model, "F32")


@pytest.mark.parametrize("mode", ["F32", "F16", "INT8"])
def test_the_weights_lie_in_memory_at_most_twice(tmp_path: Path, small: int, mode: str) -> None:
    weights = _write(tmp_path / "net.onnx", 512, 320)
    assert weights > 60_000_000
    assert _peak(tmp_path / "net.onnx", mode) - small < 2 * weights + ALLOWANCE
