"""Kernels that compute in F16 and BF16, on the emulator against numpy, of operands rounded to 16 bits first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bm1684x.test_kernels_convolution import SWEEP, WEIGHTS, convolutions, plain, transpositions
from tpumlir_bm1684x.kernels import folded_rows, winograd
from tpumlir_bm1684x.kernels.convolution import joined_groups
from tpumlir_bm1684x.kernels.filters import problem
from tpumlir_core.ir import ElementType

NARROW = [ElementType.F16, ElementType.BF16]
BOTH = pytest.mark.parametrize("element", NARROW)
SUMS = 1.05  # sums are F32 inside: one rounding, and what F32 loses


@given(case=convolutions(), element=st.sampled_from(NARROW))
@SWEEP
def test_convolutions_of_any_shape(runner: Any, normal: Any, case: dict[str, Any], element: ElementType) -> None:
    group = case["attributes"]["group"]
    x = normal(case["batch"], case["inputs"], *case["extents"])
    filters = normal(case["outputs"], case["inputs"] // group, *case["attributes"]["kernel_shape"])
    bias = normal(case["outputs"]) if case["bias"] else None
    op, _ = runner.operation("tpu.Conv", [x, filters, bias], WEIGHTS, element=element, **case["attributes"])
    widened = not runner.kernels["tpu.Conv"].takes(op)
    options = {"cut": case["cut"], "loose": case["loose"], "widened": widened, **case["attributes"]}
    runner.check_narrow(element, "tpu.Conv", [x, filters, bias], WEIGHTS, roundings=SUMS, **options)


@BOTH
@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("cut", [(), (1, 64, 7, None), (None, None, None, 8)])
@pytest.mark.parametrize("attributes", [plain(strides=(2, 2)), plain(dilations=(2, 1)), plain(do_relu=True, relu_limit=6.0)])
def test_depthwise(runner: Any, normal: Any, element: ElementType, cut: Any, loose: bool, attributes: dict[str, Any]) -> None:
    arrays = [normal(2, 96, 13, 11), normal(96, 1, 3, 3), normal(96)]
    runner.check_narrow(element, "tpu.Conv", arrays, WEIGHTS, roundings=SUMS, cut=cut, loose=loose, widened=True, group=96, **attributes)


@BOTH
@pytest.mark.parametrize("opcode", ["tpu.Conv", "tpu.Deconv"])
def test_depthwise_with_taps_that_cancel(runner: Any, normal: Any, element: ElementType, opcode: str) -> None:
    """An edge filter on a bright image leaves a thousandth of its products, and no more noise than one rounding of that."""
    bright = 100 + normal(1, 64, 20, 20) / 8
    edge = np.array([[1, -2, 1], [2, -4, 2], [1, -2, 1]], np.float32)
    edges = np.tile(edge, (1, 64, 1, 1) if opcode == "tpu.Deconv" else (64, 1, 1, 1))
    pads = (2, 2, 2, 2) if opcode == "tpu.Deconv" else (0, 0, 0, 0)  # only where all taps meet the image
    inside = {"widened": True, **plain(pads=pads, group=64)}
    runner.check_narrow(element, opcode, [bright, edges], WEIGHTS, roundings=SUMS, **inside)


@BOTH
@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs", "cut", "attributes"),
    [
        (3, 70, (), plain(kernel_shape=(7, 7), strides=(2, 2), pads=(3, 3, 3, 3))),
        (3, 70, (1, 64, 5, None), plain(do_relu=True)),
        (1, 20, (None, None, 7, 9), plain(kernel_shape=(5, 3), dilations=(3, 2), pads=(6, 2, 6, 2))),
        (2, 5, (), plain(kernel_shape=(9, 9), pads=(20, 17, 18, 19))),
        (6, 130, (None, 64, None, None), plain(kernel_shape=(3, 1), pads=(0, 0, 2, 0), do_relu=True, relu_limit=6.0)),
    ],
    ids=["7 x 7", "3 x 3", "dilations", "pads 20", "columns of one"],
)
def test_few_input_channels(
    runner: Any, normal: Any, element: ElementType, inputs: int, outputs: int, cut: Any, attributes: dict[str, Any], loose: bool
) -> None:
    """The rows of the kernel are folded into the channels."""
    kernel = attributes["kernel_shape"]
    arrays = [normal(2, inputs, 26, 31), normal(outputs, inputs, *kernel), normal(outputs)]
    op, _ = runner.operation("tpu.Conv", arrays, WEIGHTS, element=element, **attributes)
    assert folded_rows.pays(op)
    runner.check_narrow(element, "tpu.Conv", arrays, WEIGHTS, roundings=SUMS, cut=cut, loose=loose, **attributes)


@BOTH
@pytest.mark.parametrize(
    ("inputs", "outputs", "extents", "cut", "attributes"),
    [
        (128, 70, (34, 32), (), plain()),
        (130, 130, (33, 31), (), plain(do_relu=True, relu_limit=90.0, pads=(1, 0, 2, 1))),
        (100, 200, (45, 31), (1, 64, 17, 15), plain(do_relu=True)),
    ],
    ids=["even", "odd", "odd pieces"],
)
def test_minimal_filtering(
    runner: Any, normal: Any, element: ElementType, inputs: int, outputs: int, extents: Any, cut: Any, attributes: dict[str, Any]
) -> None:
    """Patches and filters are rounded after their transformation."""
    arrays = [normal(2, inputs, *extents), normal(outputs, inputs, 3, 3), normal(outputs)]
    op, _ = runner.operation("tpu.Conv", arrays, WEIGHTS, element=element, **attributes)
    assert winograd.pays(op)
    runner.check_narrow(element, "tpu.Conv", arrays, WEIGHTS, roundings=3, cut=cut, loose=True, **attributes)


@given(case=transpositions(), element=st.sampled_from(NARROW))
@SWEEP
def test_transposed(runner: Any, normal: Any, case: dict[str, Any], element: ElementType) -> None:
    filters = normal(case["outputs"], case["inputs"], *case["attributes"]["kernel_shape"])
    bias = normal(case["outputs"] * case["group"]) if case["bias"] else None
    arrays = [normal(case["batch"], case["inputs"], *case["extents"]), filters, bias]
    op, _ = runner.operation("tpu.Deconv", arrays, WEIGHTS, element=element, **case["attributes"])
    widened = not runner.kernels["tpu.Deconv"].takes(op)
    options = {"cut": case["cut"], "loose": case["loose"], "widened": widened, **case["attributes"]}
    runner.check_narrow(element, "tpu.Deconv", arrays, WEIGHTS, roundings=SUMS, **options)


@st.composite
def products(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes of a small matrix product: the right matrix a weight, or of each batch."""
    rows, inner, columns = (draw(st.integers(1, high)) for high in (150, 200, 90))
    batch = draw(st.sampled_from([(), (2,), (3, 1)]))
    shared = draw(st.booleans())
    turned = (draw(st.booleans()), draw(st.booleans()))
    left = (*batch, inner, rows) if turned[0] and batch else (*batch, rows, inner)
    right = (columns, inner) if turned[1] else (inner, columns)
    return {
        "left": left, "right": right if shared else (*batch, *right), "bias": columns if draw(st.booleans()) else 0,
        "weights": frozenset({1, 2} if shared else {2}), "pieces": draw(st.sampled_from([1, 2])),
        "attributes": {
            "left_transpose": turned[0] and bool(batch), "right_transpose": turned[1], "do_relu": draw(st.booleans()),
        },
    }


@given(case=products(), element=st.sampled_from(NARROW))
@SWEEP
def test_matrix_products(runner: Any, normal: Any, case: dict[str, Any], element: ElementType) -> None:
    bias = normal(case["bias"]) if case["bias"] else None
    arrays = [normal(*case["left"]), normal(*case["right"]), bias]
    options = {"pieces": case["pieces"], **case["attributes"]}
    runner.check_narrow(element, "tpu.MatMul", arrays, case["weights"], roundings=2.5, **options)


@BOTH
@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("opcode", ["tpu.Add", "tpu.Sub", "tpu.Mul", "tpu.Max", "tpu.Min"])
def test_arithmetic(runner: Any, normal: Any, element: ElementType, opcode: str, pieces: int) -> None:
    wide, channel, single = normal(2, 70, 5, 7), normal(1, 70, 1, 1), normal(2, 1, 5, 7)
    activation = {"do_relu": True} if opcode in ("tpu.Add", "tpu.Sub", "tpu.Mul") else {}
    runner.check_narrow(element, opcode, [wide, normal(2, 70, 5, 7)], pieces=pieces, **activation)
    runner.check_narrow(element, opcode, [wide, channel], frozenset({1}), pieces=pieces)
    runner.check_narrow(element, opcode, [single, wide], pieces=pieces)


@BOTH
@pytest.mark.parametrize(
    ("opcode", "attributes"),
    [
        ("tpu.AddConst", {"const_val": 1.25}), ("tpu.SubConst", {"const_val": 0.5, "is_reverse": True}),
        ("tpu.MulConst", {"const_val": -3.0}), ("tpu.MaxConst", {"const_val": 0.25}), ("tpu.MinConst", {"const_val": 0.25}),
        ("tpu.Relu", {}), ("tpu.Relu", {"relu_limit": 1.0}), ("tpu.LeakyRelu", {"alpha": 0.25}), ("tpu.Abs", {}),
        ("tpu.Clip", {"min": -1.0, "max": 3.4e38}), ("tpu.HardSigmoid", {"alpha": 0.25, "beta": 0.5}), ("tpu.HardSwish", {}),
    ],
)
def test_functions_of_one_operand(runner: Any, normal: Any, element: ElementType, opcode: str, attributes: dict[str, Any]) -> None:
    runner.check_narrow(element, opcode, [normal(2, 70, 5, 7)], roundings=4, pieces=2, **attributes)


@BOTH
def test_slopes_and_scales_of_each_channel(runner: Any, normal: Any, element: ElementType) -> None:
    x, a, b = normal(2, 130, 5, 7), normal(130), normal(130)
    runner.check_narrow(element, "tpu.PRelu", [x, a.reshape(1, 130, 1, 1)], frozenset({1}), pieces=2)
    runner.check_narrow(element, "tpu.Scale", [x, a, b], WEIGHTS, roundings=2, pieces=2)


@BOTH
@pytest.mark.parametrize("value", [1e-6, 1e6])
def test_constants_beyond_f16_are_left_to_f32(runner: Any, normal: Any, element: ElementType, value: float) -> None:
    op, _ = runner.operation("tpu.MulConst", [normal(3, 4)], element=element, const_val=value)
    assert runner.kernels["tpu.MulConst"].takes(op) == (element is ElementType.BF16)


@BOTH
@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("opcode", ["tpu.MaxPool", "tpu.AvgPool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 0, 1, 1)}, plain(),
        plain(kernel_shape=(4, 4), strides=(17, 3)), plain(kernel_shape=(1, 5), pads=(0, 2, 0, 2), do_relu=True),
    ],
)
def test_pooling(runner: Any, normal: Any, element: ElementType, opcode: str, loose: bool, attributes: dict[str, Any]) -> None:
    if opcode == "tpu.AvgPool":
        attributes = {"count_include_pad": False, **attributes}
    runner.check_narrow(element, opcode, [normal(2, 70, 29, 23)], roundings=8, pieces=2, loose=loose, **attributes)


WHOLE = plain(kernel_shape=(13, 11), pads=(0, 0, 0, 0))


@BOTH
def test_a_single_large_window(runner: Any, normal: Any, element: ElementType) -> None:
    runner.check_narrow(element, "tpu.MaxPool", [normal(2, 70, 13, 11)], **WHOLE)
    op, _ = runner.operation("tpu.AvgPool", [normal(2, 70, 13, 11)], element=element, **WHOLE)
    assert not runner.kernels["tpu.AvgPool"].takes(op)


@BOTH
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [2.0, 1.5])
def test_resizing(runner: Any, normal: Any, element: ElementType, mode: str, scale: float) -> None:
    x = normal(2, 70, 6, 8)
    shape = (2, 70, int(6 * scale), int(8 * scale))
    options = {"mode": mode, "scale_h": scale, "scale_w": scale, "coord_mode": "half_pixel"}
    runner.check_narrow(element, "tpu.Interp", [x, None], roundings=8, results=shape, pieces=2, **options)


@BOTH
@pytest.mark.parametrize("cut", [(), (1, 64, 3, None)])
@pytest.mark.parametrize(
    ("group", "inputs", "outputs", "joined"), [(4, 6, 28, 2), (32, 4, 4, 8), (2, 48, 40, 1), (6, 3, 50, 6), (3, 10, 7, 3)]
)
def test_groups_are_joined(
    runner: Any, normal: Any, element: ElementType, group: int, inputs: int, outputs: int, joined: int, cut: Any
) -> None:
    """Groups of few channels together, as far as they fill the multipliers."""
    arrays = [normal(2, group * inputs, 9, 8), normal(group * outputs, inputs, 3, 3), normal(group * outputs)]
    op, _ = runner.operation("tpu.Conv", arrays, WEIGHTS, element=element, group=group, **plain())
    assert joined_groups(problem(op), element) == joined
    runner.check_narrow(element, "tpu.Conv", arrays, WEIGHTS, roundings=SUMS, cut=cut, group=group, **plain())
