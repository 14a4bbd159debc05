"""Converters against onnxruntime, over shapes and parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.onnx.onnx_models import check, check_node, model_of, save
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Module

quick = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def node(op_type: str, *arguments: Any, **attributes: Any) -> Module:
    with TemporaryDirectory() as folder:
        return check_node(Path(folder) / "m.onnx", op_type, *arguments, **attributes)


def real(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


@quick
@given(st.data())
def test_convolution(data: st.DataObject) -> None:
    draw = data.draw
    axes, group = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 3]))
    inner, outer = group * draw(st.integers(1, 3)), group * draw(st.integers(1, 2))
    kernel = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    spatial = draw(st.lists(st.integers(5, 9), min_size=axes, max_size=axes))
    attributes: dict[str, Any] = {
        "strides": draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)), "group": group,
    }
    if draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    else:
        attributes["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes))
        attributes["dilations"] = draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))
    bias = real(outer) if draw(st.booleans()) else None
    node("Conv", [real(2, inner, *spatial)], [real(outer, inner // group, *kernel), bias], **attributes)


@quick
@given(st.data())
def test_transposed_convolution(data: st.DataObject) -> None:
    draw = data.draw
    group, inner, outer = draw(st.sampled_from([1, 2])), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    strides = draw(st.lists(st.integers(1, 3), min_size=2, max_size=2))
    kernel = draw(st.lists(st.integers(2, 4), min_size=2, max_size=2))
    attributes: dict[str, Any] = {"strides": strides, "group": group}
    kind = draw(st.sampled_from(["pads", "auto", "shape"]))
    if kind == "pads":
        attributes["pads"] = draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
        attributes["dilations"] = draw(st.lists(st.integers(1, 2), min_size=2, max_size=2))
    elif kind == "auto":
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        # onnxruntime refuses the negative pads that a small kernel would need.
        assume(all(k >= s for k, s in zip(kernel, strides, strict=True)))
    else:
        attributes["output_shape"] = [3 * s + max(k - s, 0) - draw(st.integers(0, 1)) for s, k in zip(strides, kernel, strict=True)]
        assume(all(2 * s + k >= o for s, k, o in zip(strides, kernel, attributes["output_shape"], strict=True)))
    node("ConvTranspose", [real(1, inner * group, 3, 3)], [real(inner * group, outer, *kernel), real(outer * group)], **attributes)


@quick
@given(st.data())
def test_pools(data: st.DataObject) -> None:
    draw = data.draw
    axes = draw(st.integers(1, 2))
    kernel = draw(st.lists(st.integers(1, 4), min_size=axes, max_size=axes))
    attributes: dict[str, Any] = {
        "kernel_shape": kernel, "strides": draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)),
        "ceil_mode": draw(st.integers(0, 1)), "pads": [draw(st.integers(0, k - 1)) for k in kernel + kernel],
    }
    x = real(1, 3, *draw(st.lists(st.integers(5, 9), min_size=axes, max_size=axes)))
    node("MaxPool", [x], **attributes)
    node("AveragePool", [x], opset=19, count_include_pad=draw(st.integers(0, 1)), **attributes)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 70, 3, 5), (1, 3, 7)])
def test_global_pools(op_type: str, shape: tuple[int, ...]) -> None:
    node(op_type, [real(*shape)])


@quick
@given(st.booleans(), st.booleans(), st.sampled_from([1.0, 0.5]), st.sampled_from([1.0, 2.0]), st.integers(0, 5), st.booleans())
def test_gemm(left: bool, right: bool, alpha: float, beta: float, kind: int, constant: bool) -> None:
    a, b = real(*((4, 3) if left else (3, 4))), real(*((5, 4) if right else (4, 5)))
    c = (None, real(5), real(1, 5), real(1), real(3, 1), real(3, 5))[kind]
    inputs: list[list[Array | None]] = [[a], [b, c]] if constant else [[a, b, c]]
    node("Gemm", *inputs, transA=int(left), transB=int(right), alpha=alpha, beta=beta)


MATRICES = [((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2))]


@pytest.mark.parametrize(("a", "b"), MATRICES)
@pytest.mark.parametrize("constant", [False, True])
def test_matmul(a: tuple[int, ...], b: tuple[int, ...], constant: bool) -> None:
    node("MatMul", *(([real(*a)], [real(*b)]) if constant else ([real(*a), real(*b)],)))


BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Mod")
SHAPES = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((3, 1), (2, 1, 4)), ((2, 3), ()), ((4,), (1, 1)), ((1, 65, 1, 3), (65, 2, 1))]


@pytest.mark.parametrize("op_type", BINARY)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_binary(op_type: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    attributes: dict[str, Any] = {"fmod": 1} if op_type == "Mod" else {}
    x, y = np.abs(real(*a)) + np.float32(0.5), np.abs(real(*b, seed=1)) + np.float32(0.5)
    node(op_type, [x, y], **attributes)
    node(op_type, [x], [y], **attributes)
    with TemporaryDirectory() as folder:
        swapped = model_of([helper.make_node(op_type, ["w", "x"], ["y"], **attributes)], {"x": x}, ["y"], {"w": y})
        check(save(Path(folder) / "m.onnx", swapped), {"x": x})


@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_integer_division_rounds_towards_zero(op_type: str) -> None:
    node(op_type, [np.array([7, -7, 8, -1], np.int32), np.array([2, 2, -3, 5], np.int32)])


UNARY = (
    "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Neg", "Relu",
    "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Softsign", "Tanh", "Celu", "ThresholdedRelu", "Asinh", "Atan",
    "Sinh", "Cosh", "Identity", "Reciprocal", "Tan", "Shrink",
)


@pytest.mark.parametrize("op_type", UNARY)
def test_unary(op_type: str) -> None:
    opset = 15 if op_type != "Mish" else 18
    node(op_type, [real(2, 66, 3)], opset=opset)


@pytest.mark.parametrize("op_type", ["Sqrt", "Log", "Acos", "Asin", "Atanh", "Acosh"])
def test_unary_on_its_domain(op_type: str) -> None:
    unit = np.random.default_rng(3).random((3, 5), np.float32) * np.float32(0.98)
    node(op_type, [unit + 1 if op_type == "Acosh" else unit])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    node("Gelu", [real(2, 3, 4)], opset=20, approximate=approximate)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_softmax(op_type: str, axis: int, opset: int) -> None:
    node(op_type, [real(2, 3, 4, 5)], opset=opset, axis=axis)


@pytest.mark.parametrize(("low", "high"), [(0, 6), (0, None), (None, 1), (-1, 1), (0.5, 2)])
def test_clip(low: float | None, high: float | None) -> None:
    bounds = [None if v is None else np.array(v, np.float32) for v in (low, high)]
    node("Clip", [real(3, 4)], bounds)
    node("Clip", [real(3, 4), *bounds])
    node("Clip", [real(3, 4)], opset=10, **{k: float(v) for k, v in (("min", low), ("max", high)) if v is not None})


@pytest.mark.parametrize("slope", [(1,), (5, 1, 1), (1, 5, 1, 1), (4, 3), (3,)])
def test_prelu(slope: tuple[int, ...]) -> None:
    node("PRelu", [real(2, 5, 4, 3)], [np.abs(real(*slope))])


REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("axes", "keep"), [((1,), 1), ((0, 2), 0), ((-1,), 0), (None, 1)])
def test_reductions(name: str, axes: tuple[int, ...] | None, keep: int) -> None:
    x = np.abs(real(2, 3, 4)) + np.float32(0.1)
    node(f"Reduce{name}", [x], [None if axes is None else integers(*axes)], opset=18, keepdims=keep)
    if name != "Sum" and axes is not None:
        node(f"Reduce{name}", [x], opset=13, keepdims=keep, axes=list(axes))


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_positions_of_extremes(op_type: str, last: int) -> None:
    x = np.random.default_rng(0).integers(0, 3, (2, 5, 6)).astype(np.float32)
    node(op_type, [x], axis=1, keepdims=0, select_last_index=last)
    node(op_type, [x], axis=-1, select_last_index=last)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_sum(exclusive: int, reverse: int) -> None:
    node("CumSum", [real(3, 4)], [np.array(1, np.int64)], exclusive=exclusive, reverse=reverse)


def test_normalizations() -> None:
    x, row = real(2, 6, 4, 5), np.abs(real(6))
    node("BatchNormalization", [x], [row, real(6), real(6), row], epsilon=1e-3)
    node("InstanceNormalization", [x], [row, real(6)])
    node("LayerNormalization", [x], [real(5), real(5)])
    node("LayerNormalization", [x], [real(4, 5)], axis=2)
    node("LayerNormalization", [x, real(4, 5)], axis=2)
    node("LRN", [x], size=3)
    node("LRN", [x], size=5, alpha=0.5, beta=0.6, bias=2.0)
    node("LpNormalization", [x], axis=1, p=1)
    node("MeanVarianceNormalization", [x])
    node("GroupNormalization", [x], [real(3), real(3)], opset=18, num_groups=3)
    node("GroupNormalization", [x], [row, real(6)], opset=21, num_groups=3)


def test_movement() -> None:
    x = real(2, 3, 4, 5)
    node("Transpose", [x], perm=[0, 2, 3, 1])
    node("Transpose", [x])
    node("Reshape", [x], [integers(0, -1, 5)])
    node("Flatten", [x], axis=2)
    node("Flatten", [x], axis=-1)
    node("Concat", [x, x], [real(2, 1, 4, 5)], axis=1)
    node("Split", [x], axis=1, outputs=3)
    node("Split", [x], [integers(1, 3)], axis=2, outputs=2)
    node("Split", [x], axis=3, outputs=2, opset=11, split=[2, 3])
    node("Split", [x], axis=3, outputs=3, opset=18, num_outputs=3)
    node("Expand", [real(3, 1, 5)], [integers(2, 1, 4, 1)])
    node("Tile", [x], [integers(1, 2, 1, 3)])
    node("Squeeze", [real(1, 3, 1)], [integers(0, -1)])
    node("Squeeze", [real(1, 3, 1)], opset=11)
    node("Unsqueeze", [x], [integers(0, 3)])
    node("Unsqueeze", [x], opset=11, axes=[0, -1])
    node("Trilu", [real(2, 4, 5)], [np.array(1, np.int64)], upper=0)
    node("Dropout", [x])
    node("Cast", [x * 3], to=7)
    node("Cast", [x], to=9)


@quick
@given(st.data())
def test_slice(data: st.DataObject) -> None:
    draw = data.draw
    axes = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    steps = [draw(st.sampled_from([1, 2, 3, -1, -2])) for _ in axes]
    ranges = [(draw(st.integers(0, 2)), draw(st.sampled_from([5, 6, 100]))) for _ in axes]
    starts = [b if s > 0 else e for (b, e), s in zip(ranges, steps, strict=True)]
    ends = [e if s > 0 else b for (b, e), s in zip(ranges, steps, strict=True)]
    ends = [draw(st.sampled_from([e, -1 if s > 0 else -(1 << 62)])) for e, s in zip(ends, steps, strict=True)]
    node("Slice", [real(7, 7, 7)], [integers(*starts), integers(*ends), integers(*axes), integers(*steps)])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(mode: str) -> None:
    x = real(1, 2, 4, 5)
    node("Pad", [x], [integers(0, 0, 1, 2, 0, 0, 3, 0)], mode=mode, opset=19)
    node("Pad", [x], [integers(1, 2, 0, 1), None, integers(3, -2)], mode=mode, opset=19)
    if mode == "constant":
        node("Pad", [x], [integers(0, 0, -1, 2, 0, 0, 3, -2), np.array(1.5, np.float32)])
        node("Pad", [x], opset=10, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=2.0)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode: str) -> None:
    node("DepthToSpace", [real(2, 12, 3, 2)], blocksize=2, mode=mode)
    node("SpaceToDepth", [real(1, 3, 4, 6)], blocksize=2)


def test_gathers() -> None:
    x = real(4, 5, 6)
    node("Gather", [x], [integers(0, -1, 2)], axis=1)
    node("Gather", [x], [np.array(-2, np.int64)], axis=2)
    node("Gather", [x], [integers(1, 0).reshape(2, 1)])
    node("Gather", [x, np.array([[1, 2], [3, 0]], np.int32)])
    node("GatherElements", [x], [np.random.default_rng(0).integers(-5, 5, (4, 3, 6))], axis=1)
    node("GatherND", [x], [np.array([[0, 1], [-1, 2]], np.int64)])
    node("GatherND", [x], [np.array([[1], [2], [0], [4]], np.int64)], batch_dims=1)
    node("OneHot", [np.array([[0, 3], [-1, 2]], np.int64)], [np.array(4, np.int64), np.array([0, 1], np.float32)], axis=1)


COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("coordinates", [*COORDINATES, "half_pixel_symmetric"])
@pytest.mark.parametrize("scales", [(2, 2), (1.5, 0.7), (3, 1), (0.5, 2.3)])
def test_resize_by_scales(coordinates: str, scales: tuple[float, float]) -> None:
    given_scales = np.array([1, 1, *scales], np.float32)
    for mode in ("nearest", "linear"):
        node("Resize", [real(1, 2, 5, 6)], [None, given_scales], opset=19, mode=mode, coordinate_transformation_mode=coordinates)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scales", [(2, 2), (1.5, 0.7), (0.5, 2.3)])
def test_cubic_resize(coordinates: str, scales: tuple[float, float]) -> None:
    given_scales = np.array([1, 1, *scales], np.float32)
    for more in ({}, {"cubic_coeff_a": -0.5}, {"exclude_outside": 1}):
        node("Resize", [real(1, 2, 5, 6)], [None, given_scales], mode="cubic", coordinate_transformation_mode=coordinates, **more)


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_by_sizes(rounding: str) -> None:
    for coordinates in COORDINATES:
        attributes = {"mode": "nearest", "nearest_mode": rounding, "coordinate_transformation_mode": coordinates}
        node("Resize", [real(2, 3, 4, 5)], [None, None, integers(2, 3, 7, 3)], **attributes)
    policy: dict[str, Any] = {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger", "mode": "linear"}
    node("Resize", [real(2, 3, 4, 5)], [None, None, integers(9, 9)], opset=18, **policy)


def test_resize_of_other_ranks_and_old_opsets() -> None:
    node("Resize", [real(2, 3, 6)], [None, np.array([1, 1, 2.5], np.float32)], mode="linear")
    node("Resize", [real(1, 2, 3, 4)], [np.array([1, 1, 2, 3], np.float32)], opset=10, mode="nearest")
    node("Upsample", [real(1, 2, 3, 4)], [np.array([1, 1, 2, 2], np.float32)], opset=9, mode="linear")
    node("Upsample", [real(1, 2, 3, 4)], opset=7, scales=[1.0, 1.0, 2.0, 2.0])


def test_resize_refuses_what_it_does_not_know() -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    with pytest.raises(InputError, match="cubic_coeff_a"):
        node("Resize", [real(1, 1, 4, 4)], [None, scales], mode="cubic", cubic_coeff_a=1e30)
    with pytest.raises(InputError, match="too large"):
        node("Resize", [real(1, 1, 1, 100_000)], [None, scales], mode="cubic")
    with pytest.raises(UnsupportedError, match="antialias"):
        node("Resize", [real(1, 1, 4, 4)], [None, scales], opset=18, mode="linear", antialias=1)


COMPARISONS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("Equal", np.equal), ("Greater", np.greater), ("GreaterOrEqual", np.greater_equal), ("Less", np.less), ("LessOrEqual", np.less_equal),
)


@pytest.mark.parametrize("op_type", [name for name, _ in COMPARISONS])
def test_comparisons(op_type: str) -> None:
    x = np.random.default_rng(0).integers(-1, 2, (3, 4)).astype(np.float32)
    node(op_type, [x, x[::-1].copy()])
    node(op_type, [x], [np.array(0, np.float32)])


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor"])
def test_logic(op_type: str) -> None:
    rng = np.random.default_rng(0)
    node(op_type, [rng.random((3, 4)) > 0.5, rng.random(4) > 0.5])


def test_selection() -> None:
    condition = np.random.default_rng(0).random((3, 4)) > 0.5
    node("Not", [condition])
    node("Where", [condition, real(3, 4), real(4)])
    node("Where", [condition], [np.array(-1e9, np.float32), real(3, 1)])
    node("Where", [condition], [np.array(1, np.float32), np.array(0, np.float32)])
    node("IsNaN", [np.array([1, np.nan, np.inf], np.float32)])
    node("IsInf", [np.array([1, -np.inf, np.inf], np.float32)], detect_negative=0, opset=20)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("i,j->ij", (3,), (4,)), ("ij,ij->i", (3, 4), (3, 4)), ("ij,jk", (2, 3), (3, 4)),
    ("bchw,bkc->bkhw", (1, 3, 2, 4), (1, 5, 3)), ("abc,cd->adb", (2, 3, 4), (4, 5)),
]


@pytest.mark.parametrize(("equation", "a", "b"), EQUATIONS)
def test_einsum(equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    node("Einsum", [real(*a), real(*b)], equation=equation)


@pytest.mark.parametrize("equation", ["ij->ji", "ijk->j", "ij->", "...j->..."])
def test_einsum_of_one(equation: str) -> None:
    shape = (2, 3, 4) if "k" in equation else (2, 3)
    node("Einsum", [real(*shape)], equation=equation)
