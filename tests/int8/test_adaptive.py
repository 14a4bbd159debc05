"""Adaptive rounding: weights of whole steps that err less on what they meet than the nearest do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.conftest import Graph
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, ElementType, Module, Quantization, Value, top
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.storage_lowering import Storage
from tpumlir_int8.adaptive import round_for, round_weights
from tpumlir_int8.products import quantize
from tpumlir_int8.tuning import Tensors

random = np.random.default_rng(4)


def error(units: Array, rounded: Array, moments: Array) -> float:
    errors = rounded - units
    return float(np.einsum("goi,gij,goj->", errors, moments, errors))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(2, 24), st.integers(0, 2**32 - 1))
def test_whole_steps_that_keep_the_largest(groups: int, channels: int, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    units = draw.uniform(-127, 127, (groups, channels, count))
    units[:, :, 0] = 127
    places = draw.standard_normal((groups, 400, 1)) + 0.2 * draw.standard_normal((groups, 400, count))
    moments = np.swapaxes(places, 1, 2) @ places
    rounded = round_for(units, moments, 400)
    assert (rounded == np.rint(rounded)).all()
    assert np.abs(rounded).max() == 127
    assert (rounded[:, :, 0] == 127).all()
    np.testing.assert_array_equal(rounded, round_for(units, moments, 400))


def test_far_less_error_than_the_nearest_where_all_meet_the_same() -> None:
    draw = np.random.default_rng(8)
    units = draw.uniform(-120, 120, (1, 64, 32))
    places = draw.standard_normal((1, 1000, 1)) + 0.1 * draw.standard_normal((1, 1000, 32))
    moments = np.swapaxes(places, 1, 2) @ places
    assert error(units, round_for(units, moments, 1000), moments) < 0.1 * error(units, np.rint(units), moments)


def test_independent_operands_leave_the_nearest() -> None:
    units = random.uniform(-120, 120, (2, 5, 12))
    np.testing.assert_array_equal(round_for(units, np.eye(12)[None].repeat(2, 0), 10**6), np.rint(units))


def convolution(graph: Graph, group: int, dilation: int, stride: int) -> tuple[Value, Array]:
    source, filters = graph.input(1, 4, 9, 8), graph.random(6 if group == 1 else 8, 4 // group, 3, 2)
    attributes: dict[str, Any] = {"kernel_shape": (3, 2), "strides": (stride, 1), "pads": (1, 0, 2, 1), "dilations": (dilation, 1)}
    bias = graph.random(filters.shape[0])
    return graph.op(top.Conv, source, filters, bias, group=group, **attributes), graph.weights[filters.name].copy()


def product(graph: Graph, turned: bool) -> tuple[Value, Array]:
    source, weights = graph.input(3, 5, 7), graph.random(*((11, 7) if turned else (7, 11)))
    return graph.op(top.MatMul, source, weights, graph.random(11), right_transpose=turned), graph.weights[weights.name].copy()


def run(module: Module, bases: Array) -> list[Tensors]:
    return [NumpyInterpreter().run(module, {"x0": base}) for base in bases]


@pytest.mark.parametrize("make", [
    lambda g: convolution(g, 1, 1, 1), lambda g: convolution(g, 2, 1, 2), lambda g: convolution(g, 2, 2, 1),
    lambda g: product(g, False), lambda g: product(g, True),
])  # fmt: skip
def test_results_err_less_and_the_quantizer_keeps_the_steps(make: Any) -> None:
    random = np.random.default_rng(7)
    graph = Graph()
    value, before = make(graph)
    module, operation = graph.module(value), value.owner
    is_conv, shape = operation.opcode == "top.Conv", graph.inputs["x0"].shape
    axis = 2 if is_conv else len(shape)
    channels = [-1 if a == axis else 1 for a in range(len(shape) + 1)]
    alike = [1 if a == axis else n for a, n in enumerate((6, *shape))]
    bases = random.standard_normal(alike) * random.uniform(-1, 1, shape[axis - 1]).reshape(channels)
    bases = (bases + 0.02 * random.standard_normal(bases.shape) + 0.1).astype(np.float32)
    tensors = run(module, bases)
    most = float(np.abs(bases).max())
    means = bases.mean(tuple(a for a in range(bases.ndim) if a != axis))
    known = CalibratedRange(most, -most, most, means=tuple(map(float, means)))
    round_weights(module, {"x0": known}, tensors, NumpyInterpreter())
    weights = module.weights[operation.operands[1].name]
    assert (weights != before).any()
    channel = 0 if is_conv or operation.right_transpose else 1
    whole = Storage(ElementType.SI8, Quantization(1.0))
    found = quantize(weights, channel, None, whole, whole)
    scale = found.scale.reshape([-1 if axis == channel else 1 for axis in range(weights.ndim)])
    np.testing.assert_allclose(found.weights * scale, weights, rtol=1e-5, atol=1e-7)
    steps = np.abs(before).max(tuple(a for a in range(before.ndim) if a != channel)) / 127
    np.testing.assert_allclose(found.scale, steps, rtol=1e-6)


def test_without_means_nothing_changes() -> None:
    graph = Graph()
    value, before = product(graph, False)
    module = graph.module(value)
    tensors = run(module, random.standard_normal((3, 3, 5, 7)).astype(np.float32))
    round_weights(module, {"x0": CalibratedRange(3.0, -3.0, 3.0)}, tensors, NumpyInterpreter())
    np.testing.assert_array_equal(module.weights[value.owner.operands[1].name], before)
