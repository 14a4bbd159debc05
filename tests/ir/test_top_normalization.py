"""Normalizations and reductions against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ir.onnx_node import assert_same, evaluate, normal, run_node
from tpumlir_core.errors import InputError
from tpumlir_core.ir import top

FEW = settings(max_examples=25, deadline=None)
SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4)
REDUCTIONS = ["ReduceMin", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2"]


@pytest.mark.parametrize(("log", "name"), [(False, "Softmax"), (True, "LogSoftmax")])
@FEW
@given(SHAPES, st.data())
def test_softmax(log: bool, name: str, shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    values = normal(1, *shape) * 5
    assert_same(evaluate(top.Softmax, [values], axis=axis, log=log), run_node(name, [values], axis=axis))


def test_softmax_beta_and_range() -> None:
    values = normal(1, 2, 70) * 100
    assert_same(evaluate(top.Softmax, [values], axis=1, beta=2.0), run_node("Softmax", [values * 2], axis=1))
    with pytest.raises(InputError, match="axis 2"):
        evaluate(top.Softmax, [values], axis=2)


@FEW
@given(SHAPES, st.data())
def test_layer_norm(shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    inner = shape[axis % len(shape) :]
    inputs = [normal(1, *shape), normal(2, *inner), normal(3, *inner)]
    theirs = run_node("LayerNormalization", inputs, axis=axis, epsilon=1e-3)
    assert_same(evaluate(top.LayerNorm, inputs, normalized_shape=(), axis=axis, eps=1e-3), theirs, 1e-4)


@FEW
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_channel_norms(batch: int, groups: int, per_group: int, spatial: list[int]) -> None:
    channels = groups * per_group
    values, weight, bias = normal(1, batch, channels, *spatial), normal(2, channels), normal(3, channels)
    theirs = run_node("InstanceNormalization", [values, weight, bias], epsilon=1e-2)
    assert_same(evaluate(top.InstanceNorm, [values, weight, bias], eps=1e-2), theirs, 1e-4)
    theirs = run_node("GroupNormalization", [values, weight, bias], opset=21, num_groups=groups, epsilon=1e-2)
    assert_same(evaluate(top.GroupNorm, [values, weight, bias], num_groups=groups, eps=1e-2), theirs, 1e-4)
    moved = np.moveaxis(values, 1, -1)
    theirs = run_node("LayerNormalization", [moved, weight, bias], axis=-1, epsilon=1e-2)
    assert_same(evaluate(top.PixelNorm, [values, weight, bias], eps=1e-2), [np.moveaxis(theirs[0], -1, 1)], 1e-4)
    mean, variance = normal(4, channels), np.abs(normal(5, channels)) + np.float32(0.1)
    theirs = run_node("BatchNormalization", [values, weight, bias, mean, variance], epsilon=1e-3)
    assert_same(evaluate(top.BatchNorm, [values, mean, variance, weight, bias], epsilon=1e-3), theirs, 1e-4)
    shaped = [f.reshape(1, -1, *[1] * len(spatial)) for f in (weight, bias)]
    assert_same(evaluate(top.Scale, [values, weight, bias]), [values * shaped[0] + shaped[1]])


def test_norms_without_weights() -> None:
    values = normal(1, 2, 6, 5)
    ones, zeros = np.ones(6, np.float32), np.zeros(6, np.float32)
    assert_same(evaluate(top.InstanceNorm, [values], eps=1e-5), run_node("InstanceNormalization", [values, ones, zeros]), 1e-4)
    theirs = evaluate(top.BatchNorm, [values, zeros, ones, ones, zeros])
    assert_same(evaluate(top.BatchNorm, [values, zeros, ones]), theirs)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_lrn(size: int) -> None:
    values = normal(1, 2, 7, 3, 4) * 3
    attributes: dict[str, Any] = {"size": size, "alpha": 0.2, "beta": 0.6, "bias": 1.5}
    if size % 2:
        assert_same(evaluate(top.LRN, [values], **attributes), run_node("LRN", [values], **attributes))
    squares = np.pad(values**2, ((0, 0), ((size - 1) // 2, size // 2), (0, 0), (0, 0)))
    sums = np.stack([squares[:, i : i + size].sum(1) for i in range(7)], 1)
    assert_same(evaluate(top.LRN, [values], **attributes), [values / (1.5 + 0.2 / size * sums) ** 0.6])


def test_rms_and_l2_norm() -> None:
    values, gamma = normal(1, 3, 6, 4), normal(2, 4)
    rms = values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-6) * gamma
    assert_same(evaluate(top.RMSNorm, [values, gamma], eps=1e-6), [rms])
    theirs = run_node("LpNormalization", [values], axis=1, p=2)[0]
    assert_same(evaluate(top.Normalize, [values, normal(3, 6)]), [theirs * normal(3, 6).reshape(6, 1)])
    theirs = run_node("LpNormalization", [values.reshape(3, -1)], axis=1, p=2)[0].reshape(values.shape)
    assert_same(evaluate(top.Normalize, [values, np.ones(1, np.float32)], across_spatial=True), [theirs])


@pytest.mark.parametrize("mode", REDUCTIONS)
@FEW
@given(SHAPES, st.booleans(), st.data())
def test_reduce(mode: str, shape: list[int], keepdims: bool, data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape), max_size=len(shape)))
    values = normal(1, *shape)
    theirs = run_node(mode, [values, np.array(axes, np.int64)], opset=18, keepdims=int(keepdims))
    assert_same(evaluate(top.Reduce, [values], axes=axes, keepdims=keepdims, mode=mode), theirs)


@FEW
@given(SHAPES, st.booleans(), st.booleans(), st.data())
def test_arg(shape: list[int], keepdims: bool, last: bool, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    values = np.rint(normal(1, *shape))
    for mode, extreme in (("ArgMax", np.max), ("ArgMin", np.min)):
        theirs = run_node(mode, [values], axis=axis, keepdims=int(keepdims), select_last_index=int(last))
        ours = evaluate(top.Arg, [values], 2, axis=axis, keepdims=keepdims, mode=mode, select_last_index=last)
        assert_same(ours, [*theirs, np.asarray(extreme(values, axis, keepdims=keepdims))])


def test_cumsum_topk_variance() -> None:
    values = normal(1, 4, 70, 3)
    assert_same(evaluate(top.CumSum, [values], axis=1), run_node("CumSum", [values, np.asarray(1, np.int64)]), 1e-4)
    for largest in (True, False):
        theirs = run_node("TopK", [values, np.array([5], np.int64)], 2, axis=1, largest=int(largest))
        assert_same(evaluate(top.TopK, [values], 2, axis=1, K=5, largest=largest), theirs)
    assert_same(evaluate(top.Variance, [values], reduce_list=[1], correction=1.0), [values.var(1, ddof=1)])
