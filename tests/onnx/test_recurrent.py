"""LSTM, GRU and RNN against onnxruntime: every result of every direction, with and without what is optional."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.onnx.onnx_models import check_node
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array

FEATURES, HIDDEN, STEPS, BATCH = 5, 4, 6, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def real(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).uniform(-0.7, 0.7, shape).astype(np.float32)


def run(
    path: Path, op_type: str, steps: int = STEPS, states: bool = False, peepholes: bool = False, bias: bool = True, **more: Any
) -> None:
    count = 2 if more.get("direction") == "bidirectional" else 1
    rows, lengths = GATES[op_type] * HIDDEN, None
    weights: list[Array | None] = [real(count, rows, FEATURES), real(count, rows, HIDDEN), real(count, 2 * rows) if bias else None]
    first = [real(count, BATCH, HIDDEN), real(count, BATCH, HIDDEN) / 2][: 2 if op_type == "LSTM" else 1] if states else []
    holes = [*[None] * (2 - len(first)), real(count, 3 * HIDDEN)] if peepholes else []
    check_node(
        path / "m.onnx", op_type, [real(steps, BATCH, FEATURES)], [*weights, lengths, *first, *holes],
        outputs=3 if op_type == "LSTM" else 2, hidden_size=HIDDEN, **more,
    )


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_directions(op_type: str, direction: str, tmp_path: Path) -> None:
    for options in ({}, {"states": True}, {"bias": False}, {"steps": 1}):
        run(tmp_path, op_type, direction=direction, **options)


def test_variants(tmp_path: Path) -> None:
    run(tmp_path, "GRU", linear_before_reset=1)
    run(tmp_path, "GRU", linear_before_reset=1, states=True, direction="bidirectional", activations=["Sigmoid", "Relu", "Sigmoid", "Tanh"])
    run(tmp_path, "LSTM", peepholes=True)
    run(tmp_path, "LSTM", peepholes=True, states=True, direction="bidirectional")
    run(tmp_path, "LSTM", input_forget=1)
    run(tmp_path, "RNN", activations=["Relu"])


def test_what_is_not_supported(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="activations"):
        run(tmp_path, "RNN", activations=["Elu"])
    with pytest.raises(UnsupportedError, match="clip"):
        run(tmp_path, "LSTM", clip=0.5)
    with pytest.raises(UnsupportedError, match="4000 time steps"):
        run(tmp_path, "RNN", steps=4000)
    with pytest.raises(InputError, match="do not fit 5 features"):
        check_node(tmp_path / "m.onnx", "RNN", [real(2, 1, 5)], [real(1, 4, 6), real(1, 4, 4)], outputs=2, hidden_size=4)
