"""Convolution, transposed convolution, matrix product and pooling against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ir.onnx_node import assert_same, evaluate, normal, run_node
from tpumlir_core.errors import InputError
from tpumlir_core.ir import top

FEW = settings(max_examples=40, deadline=None)
SMALL = st.integers(1, 3)


@st.composite
def windows(draw: st.DrawFn, dims: st.SearchStrategy[int] = SMALL, dilate: bool = True) -> dict[str, Any]:
    n = draw(dims)
    kernel, strides, dilations, extra = (
        draw(st.lists(st.integers(low, high), min_size=n, max_size=n)) for low, high in ((1, 4), (1, 3), (1, 2 if dilate else 1), (0, 6))
    )
    begins = [draw(st.integers(0, k - 1)) for k in kernel]
    ends = [draw(st.integers(0, k - 1)) for k in kernel]
    spatial = [max(1, d * (k - 1) + 1 - b - e) + x for k, d, b, e, x in zip(kernel, dilations, begins, ends, extra, strict=True)]
    return {"spatial": spatial, "kernel_shape": kernel, "strides": strides, "pads": begins + ends, "dilations": dilations}


@FEW
@given(windows(), SMALL, SMALL, SMALL, st.integers(1, 2), st.booleans())
def test_conv(window: dict[str, Any], group: int, ic: int, oc: int, batch: int, bias: bool) -> None:
    spatial = window.pop("spatial")
    inputs = [normal(1, batch, group * ic, *spatial), normal(2, group * oc, ic, *window["kernel_shape"])]
    inputs += [normal(3, group * oc)] if bias else []
    assert_same(evaluate(top.Conv, inputs, group=group, **window), run_node("Conv", inputs, group=group, **window))


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad(auto_pad: str, kernel: int, stride: int) -> None:
    shape: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "auto_pad": auto_pad}
    image = normal(1, 2, 3, 7, 8)
    inputs = [image, normal(2, 4, 3, kernel, kernel)]
    assert_same(evaluate(top.Conv, inputs, pads=[], **shape), run_node("Conv", inputs, **shape))
    assert_same(evaluate(top.MaxPool, [image], pads=[], **shape), run_node("MaxPool", [image], **shape))
    assert_same(evaluate(top.AvgPool, [image], pads=[], **shape), run_node("AveragePool", [image], **shape))


def test_conv_activation() -> None:
    inputs = [normal(1, 1, 70, 5, 5), normal(2, 6, 70, 1, 1)]
    window: dict[str, Any] = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4}
    plain = run_node("Conv", inputs, **window)[0]
    assert_same(evaluate(top.Conv, inputs, do_relu=True, relu_limit=6.0, **window), [plain.clip(0, 6)])
    assert_same(evaluate(top.Conv, inputs, do_relu=True, **window), [np.maximum(plain, 0)])


def test_conv_inserts_are_the_zeros_of_a_transposed_convolution() -> None:
    image, weights = normal(1, 1, 3, 4, 5), normal(2, 3, 2, 3, 3)
    theirs = run_node("ConvTranspose", [image, weights], strides=[2, 3])
    turned = np.ascontiguousarray(weights.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    ours = evaluate(top.Conv, [image, turned], kernel_shape=[3, 3], strides=[1, 1], pads=[2] * 4, inserts=[1, 2])
    assert_same(ours, theirs)


def test_conv_rejects_a_filter_of_other_channels() -> None:
    with pytest.raises(InputError, match=r"top\.Conv: filter"):
        evaluate(top.Conv, [normal(1, 1, 4, 5, 5), normal(2, 6, 3, 1, 1)], kernel_shape=[1, 1], strides=[1, 1], pads=[0] * 4)


def test_conv_rejects_a_bias_of_other_filters() -> None:
    inputs = [normal(1, 1, 4, 5, 5), normal(2, 6, 4, 1, 1), normal(3, 4)]
    with pytest.raises(InputError, match=r"top\.Conv: bias"):
        evaluate(top.Conv, inputs, kernel_shape=[1, 1], strides=[1, 1], pads=[0] * 4)


@FEW
@given(windows(), SMALL, SMALL, SMALL, st.booleans(), st.data())
def test_deconv(window: dict[str, Any], group: int, ic: int, oc: int, bias: bool, data: st.DataObject) -> None:
    spatial = window.pop("spatial")
    window["output_padding"] = [data.draw(st.integers(0, s - 1)) for s in window["strides"]]
    image, weights = normal(1, 2, group * ic, *spatial), normal(2, group * ic, oc, *window["kernel_shape"])
    shape = weights.shape[2:]
    stored = np.moveaxis(weights.reshape(group, ic, oc, *shape), 2, 1).reshape(oc, group * ic, *shape)
    extra = [normal(3, group * oc)] if bias else []
    axes = zip(spatial, window["strides"], window["dilations"], shape, window["output_padding"], strict=True)
    sizes = [s * (n - 1) + d * (k - 1) + 1 + o for n, s, d, k, o in axes]
    if any(n <= b + e for n, b, e in zip(sizes, window["pads"], window["pads"][len(shape):], strict=False)):
        with pytest.raises(InputError):
            evaluate(top.Deconv, [image, stored, *extra], group=group, **window)
        return
    theirs = run_node("ConvTranspose", [image, weights, *extra], group=group, **window)
    assert_same(evaluate(top.Deconv, [image, stored, *extra], group=group, **window), theirs)


@FEW
@given(windows(dilate=False), st.booleans(), st.booleans())
def test_pools(window: dict[str, Any], ceil_mode: bool, count_include_pad: bool) -> None:
    spatial = window.pop("spatial")
    del window["dilations"]
    image = normal(4, 2, 3, *spatial)
    theirs = run_node("MaxPool", [image], ceil_mode=int(ceil_mode), **window)
    assert_same(evaluate(top.MaxPool, [image], ceil_mode=ceil_mode, **window), theirs)
    theirs = run_node("AveragePool", [image], opset=19, ceil_mode=int(ceil_mode), count_include_pad=int(count_include_pad), **window)
    assert_same(evaluate(top.AvgPool, [image], ceil_mode=ceil_mode, count_include_pad=count_include_pad, **window), theirs)


@FEW
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_global_pools(spatial: list[int]) -> None:
    image = normal(5, 2, 65, *spatial)
    every: dict[str, Any] = {"kernel_shape": [], "strides": [], "pads": []}
    assert_same(evaluate(top.AvgPool, [image], count_include_pad=True, **every), run_node("GlobalAveragePool", [image]))
    assert_same(evaluate(top.MaxPool, [image], **every), run_node("GlobalMaxPool", [image]))
    flat = evaluate(top.AvgPool, [image], keepdims=False, **every)
    assert_same(flat, [image.mean(tuple(range(2, image.ndim)))])


def test_adaptive_average_pool() -> None:
    ours = evaluate(top.AdaptiveAvgPool, [np.arange(10, dtype=np.float32).reshape(1, 1, 2, 5)], output_size=[1, 3])
    assert_same(ours, [np.array([[[[3, 4.5, 6]]]], np.float32)])


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    full = draw(st.lists(st.integers(1, 3), max_size=3))
    left, right = ([d if draw(st.booleans()) else 1 for d in full][draw(st.integers(0, len(full))) :] for _ in range(2))
    return left, right


@FEW
@given(batches(), st.integers(1, 7), st.integers(1, 70), st.integers(1, 7), st.booleans(), st.booleans())
def test_matmul(batch: tuple[list[int], list[int]], m: int, k: int, n: int, turn_left: bool, turn_right: bool) -> None:
    left, right = normal(1, *batch[0], m, k), normal(2, *batch[1], k, n)
    theirs = run_node("MatMul", [left, right])
    bias = normal(3, n)
    ours = evaluate(
        top.MatMul,
        [left.swapaxes(-1, -2) if turn_left else left, right.swapaxes(-1, -2) if turn_right else right, bias],
        left_transpose=turn_left, right_transpose=turn_right,
    )
    assert_same(ours, [theirs[0] + bias])


@pytest.mark.parametrize(("left", "right"), [((5,), (5,)), ((5,), (5, 3)), ((2, 4, 5), (5,)), ((5,), (2, 5, 3))])
def test_matmul_of_vectors(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    inputs = [normal(1, *left), normal(2, *right)]
    assert_same(evaluate(top.MatMul, inputs), run_node("MatMul", inputs))


def test_matmul_merges_rows_without_keep_dims() -> None:
    left, right = normal(1, 2, 3, 5), normal(2, 5, 4)
    assert_same(evaluate(top.MatMul, [left, right], keep_dims=False), [(left @ right).reshape(6, 4)])


def test_matmul_rejects_inner_dimensions_that_differ() -> None:
    with pytest.raises(InputError, match="inner dimensions"):
        evaluate(top.MatMul, [normal(1, 2, 3), normal(2, 4, 5)])
