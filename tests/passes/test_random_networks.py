"""Random convolutional networks keep their values through ``optimize`` and through the decomposition for a poor target."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpumlir_core.ir import Operation, Value, top
from tpumlir_core.passes import decompose, run_pipeline

_WINDOW = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
_CHANNELS = 4


def _conv(g: Any, x: Value, n: int) -> Value:
    group = (1, 2, 4)[n % 3]
    bias = g.random(_CHANNELS) if n % 2 else None
    value: Value = g.op(top.Conv, x, g.random(_CHANNELS, _CHANNELS // group, 3, 3, low=-0.4, high=0.4), bias, **_WINDOW, group=group)
    return value


def _deconv(g: Any, x: Value, n: int) -> Value:
    group = (1, 2, 4)[n % 3]
    weights = g.random(_CHANNELS // group, _CHANNELS, 3, 3, low=-0.4, high=0.4)
    value: Value = g.op(top.Deconv, x, weights, None, **_WINDOW, group=group)
    return value


def _batch_norm(g: Any, x: Value, n: int) -> Value:
    positive = g.random(_CHANNELS, low=0.5, high=2.0)
    value: Value = g.op(top.BatchNorm, x, g.random(_CHANNELS), positive, g.random(_CHANNELS), g.random(_CHANNELS) if n % 2 else None)
    return value


def _pad_and_crop(g: Any, x: Value, n: int) -> Value:
    spread = g.op(top.Pad, x, paddings=(0, 0, 1, 1, 0, 0, 1, 1), mode=("constant", "reflect", "edge")[n % 3])
    cls = (top.MaxPool, top.AvgPool)[n % 2]
    value: Value = g.op(cls, spread, **{**_WINDOW, "pads": (0, 0, 0, 0)})
    return value


def _channelwise(g: Any, x: Value, n: int) -> Value:
    cls = (top.Mul, top.Add, top.Sub, top.Div)[n % 4]
    pair = [x, g.random(_CHANNELS, 1, 1, low=0.5, high=1.5)]
    value: Value = g.op(cls, *(pair[::-1] if n % 3 == 0 and cls is not top.Div else pair))
    return value


def _shuffle(g: Any, x: Value, n: int) -> Value:
    split = g.op(top.Reshape, x, shape=(2, 2, 2, 5, 6))
    value: Value = g.op(top.Reshape, g.op(top.Permute, split, order=(0, 2, 1, 3, 4)), shape=x.shape)
    return value


def _halves(g: Any, x: Value, n: int) -> Value:
    parts = g.op(top.Split, x, results=2, axis=1, num=2).owner.results
    value: Value = g.op(top.Concat, *(parts[::-1] if n % 2 else parts), axis=1)
    return value


def _gate(g: Any, x: Value, n: int) -> Value:
    mean = g.op(top.Reduce, x, axes=(2, 3), keepdims=True, mode="ReduceMean")
    value: Value = g.op(top.Mul, x, g.op((top.Sigmoid, top.Tanh)[n % 2], mean))
    return value


def _norm(g: Any, x: Value, n: int) -> Value:
    factors = (g.random(_CHANNELS), g.random(_CHANNELS))
    cls: type[Operation] = (top.InstanceNorm, top.GroupNorm, top.PixelNorm)[n % 3]
    value: Value = g.op(cls, x, *factors, eps=1e-3, **({"num_groups": 2} if cls is top.GroupNorm else {}))
    return value


def _relu(g: Any, x: Value, n: int) -> Value:
    value: Value = g.op(top.Relu, x, relu_limit=(-1.0, 6.0, 0.5)[n % 3])
    return value


def _activation(g: Any, x: Value, n: int) -> Value:
    kinds: tuple[tuple[type[Operation], dict[str, float]], ...] = (
        (top.SiLU, {}),
        (top.HardSwish, {}),
        (top.LeakyRelu, {"alpha": 0.1}),
        (top.MulConst, {"const_val": 0.5}),
        (top.Clip, {"min": 0.0, "max": 2.0}),
    )
    cls, attributes = kinds[n % 5]
    value: Value = g.op(cls, x, **attributes)
    return value


_UNARY = (_conv, _deconv, _batch_norm, _relu, _batch_norm, _pad_and_crop, _channelwise, _shuffle, _halves, _gate, _norm, _relu, _activation)


def _poor(op: Operation) -> bool:
    """No fused activations and few operations."""
    rich = (
        top.InstanceNorm,
        top.GroupNorm,
        top.PixelNorm,
        top.LayerNorm,
        top.Scale,
        top.SiLU,
        top.HardSwish,
        top.HardSigmoid,
        top.Sub,
        top.Rsqrt,
    )
    return not getattr(op, "do_relu", False) and not isinstance(op, rich)


def _network(g: Any, choices: list[tuple[int, int, int]]) -> list[Value]:
    values: list[Value] = [g.input(2, _CHANNELS, 5, 6)]
    for kind, first, variant in choices:
        x = values[-1 - first % min(3, len(values))]
        if kind < len(_UNARY):
            values.append(_UNARY[kind](g, x, variant))
        else:
            values.append(g.op((top.Add, top.Mul, top.Max)[variant % 3], x, values[-1]))
    return [v for v in values if not v.uses and v.owner is not None and v.owner.opcode != "top.Input"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.lists(st.tuples(st.integers(0, len(_UNARY) + 1), st.integers(0, 9), st.integers(0, 59)), min_size=1, max_size=10))
def test_random_networks_keep_their_values(choices: list[tuple[int, int, int]], graph_class: Any, same: Any) -> None:
    graph = graph_class()
    outputs = _network(graph, choices)
    module = graph.module(*outputs)
    with np.errstate(all="ignore"):
        same(graph, module, lambda m: run_pipeline("optimize", m), 2e-3)
        assert not run_pipeline("optimize", module)
        same(graph, module, lambda m: decompose(m, _poor), 2e-3)
    assert all(_poor(op) for op in module.function.operations)
