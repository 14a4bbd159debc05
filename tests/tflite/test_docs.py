"""The page of the frontend: its command lines run, or can be read where they need what is not there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tflite.quantized import write_quantized
from tpumlir_tflite.writing import ModelWriter

PAGE = Path(__file__).parents[2] / "docs" / "frontends" / "tflite.md"


def lines() -> list[list[str]]:
    blocks = re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The files that the page names, in the folder in which the command runs."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    model = ModelWriter()
    x, scores = model.tensor("x", (1, 224, 224, 3)), model.tensor("scores", (1, 56, 56, 3))
    y = model.tensor("y", (1, 56, 56, 3))
    model.call("AVERAGE_POOL_2D", [x], [scores], "Pool2DOptions", StrideH=4, StrideW=4, FilterHeight=4, FilterWidth=4)
    model.call("LOGISTIC", [scores], [y])
    (folder / "model.tflite").write_bytes(model.data([x], [y]))
    write_quantized(folder / "quantized.tflite")
    np.savez(folder / "input.npz", x=np.random.default_rng(0).random((1, 224, 224, 3), np.float32))
    return folder


@pytest.mark.parametrize("line", lines(), ids=lambda line: " ".join(line)[:60])
def test_command_lines_run(line: list[str], work: Path, tpumlir: Any) -> None:
    if line[0] == "run" or "--test-input" in line:
        pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
    result = tpumlir(*line)
    assert result.returncode == 0, result.stderr


def test_every_unsupported_operator_of_the_page_is_unsupported() -> None:
    from tpumlir_tflite.converters import CONVERTERS

    section = PAGE.read_text().partition("## What is not supported")[2].partition("* Shapes,")[0]
    assert not {name for name in re.findall(r"`([A-Z_0-9]+)`", section) if name in CONVERTERS}
