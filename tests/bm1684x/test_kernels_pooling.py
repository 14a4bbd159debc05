"""Pooling on the emulator."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SWEEP = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = ["tpu.MaxPool", "tpu.AvgPool"]


@st.composite
def poolings(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of a small pooling; no window lies wholly in the padding."""

    def integers(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    kernel = (integers(1, 6), integers(1, 6))
    pads = tuple(integers(0, k - 1) for k in kernel * 2)
    return {
        "shape": (integers(1, 2), integers(1, 100), kernel[0] + integers(0, 9), kernel[1] + integers(0, 9)),
        "attributes": {
            "kernel_shape": kernel, "strides": (integers(1, 3), integers(1, 3)), "pads": pads, "ceil_mode": draw(st.booleans()),
            "count_include_pad": draw(st.booleans()), "do_relu": draw(st.booleans()),
        },
        "cut": draw(st.sampled_from([(), (1, 64, 5, None), (None, 64, None, 4), (None, 128, 3, 5)])), "loose": draw(st.booleans()),
    }


@pytest.mark.parametrize("opcode", KINDS)
@given(case=poolings())
@SWEEP
def test_any_shape(runner: Any, normal: Any, opcode: str, case: dict[str, Any]) -> None:
    runner.check(opcode, [normal(*case["shape"])], cut=case["cut"], loose=case["loose"], **case["attributes"])


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("shape", "cut", "kernel", "strides", "pads"),
    [
        ((2, 100, 7, 7), (), (7, 7), (1, 1), (0, 0, 0, 0)),
        ((2, 100, 8, 8), (), (8, 8), (1, 1), (0, 0, 0, 0)),
        ((2, 100, 9, 8), (1, 64, None, None), (10, 9), (2, 2), (1, 1, 0, 1)),
        ((2, 30, 51, 47), (None, None, 2, None), (16, 20), (17, 16), (1, 1, 0, 0)),
        ((1, 3, 30, 47), (None, None, 2, None), (24, 23), (4, 5), (0, 0, 0, 0)),
        ((1, 3, 20, 21), (), (18, 17), (1, 1), (8, 8, 9, 8)),
        ((1, 3, 20, 21), (), (38, 37), (1, 1), (18, 17, 17, 18)),
    ],
    ids=["global 7x7", "global 8x8", "one padded window", "stride 17", "kernel 24", "kernel 18", "pads 18"],
)
def test_large_windows(
    runner: Any, normal: Any, opcode: str, loose: bool, shape: Any, cut: Any, kernel: Any, strides: Any, pads: Any
) -> None:
    runner.check(opcode, [normal(*shape)], cut=cut, loose=loose, kernel_shape=kernel, strides=strides, pads=pads)


@pytest.mark.parametrize("opcode", KINDS)
def test_one_spatial_axis(runner: Any, normal: Any, opcode: str) -> None:
    runner.check(opcode, [normal(2, 30, 51)], kernel_shape=(3,), strides=(2,), pads=(1, 1))


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("shape", [(2, 100, 3, 5), (1, 65, 12, 12)])
def test_everything_in_one_window(runner: Any, normal: Any, opcode: str, shape: Any) -> None:
    runner.check(opcode, [normal(*shape)], kernel_shape=(), strides=(), pads=(), keepdims=False)


def test_says_why_not(runner: Any, normal: Any) -> None:
    op, _ = runner.operation("tpu.MaxPool", [normal(1, 2, 3, 4, 5)], frozenset(), kernel_shape=(2, 2, 2), strides=(1, 1, 1), pads=(0,) * 6)
    assert runner.kernels["tpu.MaxPool"].supports(op) == "3 spatial axes"
    op, _ = runner.operation("tpu.AvgPool", [normal(1, 1, 300, 300)], frozenset(), kernel_shape=(300, 290), strides=(1, 1), pads=(0,) * 4)
    assert runner.kernels["tpu.AvgPool"].supports(op) == "a window of 300 x 290 elements, more than local memory holds"
