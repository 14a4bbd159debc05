"""Convolutions on the emulator: whole, in pieces, and with operands that are parts of larger tiles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpumlir_bm1684x.kernels import winograd

WEIGHTS = frozenset({1, 2})
SWEEP = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of a small convolution whose kernel fits its input."""

    def integers(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    kernel = (integers(1, 4), integers(1, 4))
    dilations = (integers(1, 3), integers(1, 3))
    pads = tuple(integers(0, 3) for _ in range(4))
    room = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    group = draw(st.sampled_from([1, 1, 2, 5]))
    return {
        "batch": integers(1, 2), "inputs": group * integers(1, 40), "outputs": group * integers(1, 40),
        "extents": (room[0] + integers(0, 6), room[1] + integers(0, 6)), "bias": draw(st.booleans()),
        "attributes": {
            "kernel_shape": kernel, "strides": (integers(1, 3), integers(1, 3)), "pads": pads, "dilations": dilations,
            "group": group, "do_relu": draw(st.booleans()), "relu_limit": draw(st.sampled_from([-1.0, 1.5])),
        },
        "cut": draw(st.sampled_from([(), (1, 64, 5, None), (None, 64, None, 3), (None, 128, 4, 5)])), "loose": draw(st.booleans()),
    }


@given(case=convolutions())
@SWEEP
def test_any_shape(runner: Any, normal: Any, case: dict[str, Any]) -> None:
    group = case["attributes"]["group"]
    x = normal(case["batch"], case["inputs"], *case["extents"])
    filters = normal(case["outputs"], case["inputs"] // group, *case["attributes"]["kernel_shape"])
    bias = normal(case["outputs"]) if case["bias"] else None
    runner.check("tpu.Conv", [x, filters, bias], WEIGHTS, cut=case["cut"], loose=case["loose"], **case["attributes"])


def plain(**changes: Any) -> dict[str, Any]:
    return {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), **changes}


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("outputs", "per_filter", "cut", "attributes"),
    [
        (7, 5, (), plain(dilations=(18, 17), pads=(20, 17, 18, 19))),
        (70, 5, (1, 64, 13, None), plain(strides=(17, 20), pads=(20, 17, 18, 19))),
        (70, 5, (1, 64, 13, None), plain(pads=(20, 17, 18, 19))),
        (3, 5, (), plain(kernel_shape=(20, 21), strides=(16, 15), pads=(4, 3, 2, 1))),
        (5, 1, (), plain(group=5, strides=(17, 1))),
        (15, 1, (1, 64, 7, None), plain(group=5)),
        (3, 5, (None, None, None, 1), plain(kernel_shape=(2, 1), pads=(30, 30, 30, 30), strides=(40, 40))),
    ],
    ids=["dilation 18", "stride 20", "pads 20", "kernel 20", "depthwise stride 17", "depthwise times 3", "all padding"],
)
def test_beyond_the_instruction(
    runner: Any, normal: Any, loose: bool, outputs: int, per_filter: int, cut: Any, attributes: dict[str, Any]
) -> None:
    arrays = [normal(2, 5, 40, 38), normal(outputs, per_filter, *attributes["kernel_shape"]), normal(outputs)]
    runner.check("tpu.Conv", arrays, WEIGHTS, cut=cut, loose=loose, **attributes)


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("cut", [(), (1, 64, 7, None), (None, None, None, 8)])
@pytest.mark.parametrize(
    "attributes", [plain(strides=(2, 2)), plain(pads=(20, 0, 1, 2), dilations=(2, 1)), plain(do_relu=True, relu_limit=1.0)]
)
def test_depthwise(runner: Any, normal: Any, cut: Any, loose: bool, attributes: dict[str, Any]) -> None:
    arrays = [normal(2, 96, 13, 11), normal(96, 1, 3, 3), normal(96)]
    runner.check("tpu.Conv", arrays, WEIGHTS, cut=cut, loose=loose, group=96, **attributes)


def test_one_spatial_axis(runner: Any, normal: Any) -> None:
    arrays = [normal(2, 12, 50), normal(8, 12, 5), normal(8)]
    runner.check("tpu.Conv", arrays, WEIGHTS, kernel_shape=(5,), strides=(2,), pads=(2, 2))


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs", "extents", "cut", "attributes"),
    [
        (64, 64, (14, 14), (), plain()),
        (70, 130, (15, 13), (), plain(do_relu=True, relu_limit=3.0, pads=(1, 0, 2, 1))),
        (33, 20, (29, 30), (1, 64, 7, 11), plain(do_relu=True)),
        (200, 70, (12, 12), (None, 64, None, None), plain()),
    ],
    ids=["even", "odd", "odd pieces", "pieces of channels"],
)
def test_minimal_filtering(
    runner: Any, normal: Any, inputs: int, outputs: int, extents: Any, cut: Any, attributes: dict[str, Any], loose: bool
) -> None:
    """3 x 3 kernels of stride 1 over many channels; a bit less exact than the direct way."""
    arrays = [normal(2, inputs, *extents), normal(outputs, inputs, 3, 3), normal(outputs)]
    op, _ = runner.operation("tpu.Conv", arrays, WEIGHTS, **attributes)
    assert winograd.pays(op)
    runner.check("tpu.Conv", arrays, WEIGHTS, tolerance=5e-5, cut=cut, loose=loose, **attributes)


@st.composite
def transpositions(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of a small transposed convolution with a result."""

    def integers(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    kernel = (integers(2, 5), integers(2, 5))
    strides = (integers(1, 4), integers(1, 4))
    group = draw(st.sampled_from([1, 3, 70]))
    depthwise = group == 70
    return {
        "batch": integers(1, 2), "inputs": group * (1 if depthwise else integers(1, 20)), "group": group,
        "outputs": 1 if depthwise else integers(1, 30), "extents": (integers(2, 7), integers(2, 7)), "bias": draw(st.booleans()),
        "attributes": {
            "kernel_shape": kernel, "strides": strides, "pads": tuple(integers(0, 1) for _ in range(4)), "group": group,
            "dilations": (integers(1, 2), integers(1, 2)), "output_padding": (integers(0, strides[0] - 1), integers(0, strides[1] - 1)),
            "do_relu": draw(st.booleans()), "relu_limit": draw(st.sampled_from([-1.0, 1.5])),
        },
        "cut": draw(st.sampled_from([(), (1, 64, 7, None), (None, 64, 5, 9)])), "loose": draw(st.booleans()),
    }


@given(case=transpositions())
@SWEEP
def test_transposed(runner: Any, normal: Any, case: dict[str, Any]) -> None:
    filters = normal(case["outputs"], case["inputs"], *case["attributes"]["kernel_shape"])
    bias = normal(case["outputs"] * case["group"]) if case["bias"] else None
    arrays = [normal(case["batch"], case["inputs"], *case["extents"]), filters, bias]
    runner.check("tpu.Deconv", arrays, WEIGHTS, cut=case["cut"], loose=case["loose"], **case["attributes"])


def test_transposed_with_long_strides(runner: Any, normal: Any) -> None:
    arrays = [normal(1, 4, 3, 2), normal(5, 4, 20, 18), normal(5)]
    runner.check("tpu.Deconv", arrays, WEIGHTS, kernel_shape=(20, 18), strides=(17, 18), pads=(3, 1, 2, 0))


@pytest.mark.parametrize(
    ("opcode", "weights", "attributes", "reason"),
    [
        ("tpu.Conv", frozenset({1}), plain(), "a filter or bias that is computed"),
        ("tpu.Conv", WEIGHTS, plain(inserts=(1, 1)), "zeros inserted into its input"),
        ("tpu.Deconv", WEIGHTS, plain(dilations=(20, 1)), "taps more than 16 apart"),
    ],
)
def test_says_why_not(runner: Any, normal: Any, opcode: str, weights: frozenset[int], attributes: dict[str, Any], reason: str) -> None:
    op, _ = runner.operation(opcode, [normal(1, 4, 9, 9), normal(4, 4, 3, 3), normal(4)], weights, **attributes)
    assert runner.kernels[opcode].supports(op) == reason
