"""Fusion of batch normalization, scales, biases, padding and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import Operation, Value, top
from tpumlir_core.passes import run_pipeline

Build = Callable[[Any], Value]


def conv(g: Any, *, bias: bool = True, group: int = 1, **attributes: Any) -> Value:
    weights = g.random(6, 4 // group, 3, 3)
    attributes = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "group": group, **attributes}
    value: Value = g.op(top.Conv, g.input(2, 4, 5, 7), weights, g.random(6) if bias else None, **attributes)
    return value


def deconv(g: Any, group: int = 2) -> Value:
    attributes = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0,) * 4, "group": group}
    value: Value = g.op(top.Deconv, g.input(2, 4, 5, 3), g.random(6 // group, 4, 2, 2), None, **attributes)
    return value


def product(g: Any, *shape: int, **attributes: Any) -> Value:
    transposed = attributes.get("right_transpose", False)
    value: Value = g.op(top.MatMul, g.input(*shape), g.random(6, shape[-1]) if transposed else g.random(shape[-1], 6), **attributes)
    return value


def batch_norm(g: Any, x: Value, channels: int = 6) -> Value:
    positive = g.random(channels, low=0.5, high=2.0)
    value: Value = g.op(top.BatchNorm, x, g.random(channels), positive, g.random(channels), g.random(channels), epsilon=1e-3)
    return value


def channelwise(g: Any, cls: type[Operation], x: Value) -> Value:
    value: Value = g.op(cls, g.random(1, 6, *(1,) * (len(x.shape) - 2)), x)
    return value


def relu(g: Any, x: Value, limit: float = -1.0) -> Value:
    value: Value = g.op(top.Relu, x, relu_limit=limit)
    return value


def padded(
    g: Any, cls: type[Operation], value: float = 0.0, mode: str = "constant", above: Value | None = None, **attributes: Any
) -> Value:
    x = g.input(2, 4, 5, 7) if above is None else above
    spread = g.op(top.Pad, x, paddings=(0, 0, 1, 0, 0, 0, 2, 1), val=value, mode=mode)
    weights = (g.random(6, 4, 3, 3), None) if cls is top.Conv else ()
    result: Value = g.op(cls, spread, *weights, **{"kernel_shape": (3, 3), "strides": (2, 1), "pads": (0,) * 4, **attributes})
    return result


CASES: list[tuple[str, Build, list[str]]] = [
    ("batch norm", lambda g: batch_norm(g, g.input(2, 6, 3)), ["Scale"]),
    ("conv, batch norm, relu6", lambda g: relu(g, batch_norm(g, conv(g)), 6.0), ["Conv"]),
    ("conv without bias, batch norm", lambda g: batch_norm(g, conv(g, bias=False)), ["Conv"]),
    ("grouped conv, batch norm", lambda g: batch_norm(g, conv(g, group=2)), ["Conv"]),
    ("clamped conv, batch norm", lambda g: batch_norm(g, conv(g, do_relu=True)), ["Conv", "Scale"]),
    ("deconv, batch norm", lambda g: batch_norm(g, deconv(g)), ["Deconv"]),
    ("deconv, batch norm, no groups", lambda g: batch_norm(g, deconv(g, 1)), ["Deconv"]),
    ("matmul, batch norm", lambda g: batch_norm(g, product(g, 2, 5)), ["MatMul"]),
    ("transposed matmul, batch norm", lambda g: batch_norm(g, product(g, 2, 5, right_transpose=True)), ["MatMul"]),
    ("matmul of rank 3, batch norm", lambda g: batch_norm(g, product(g, 2, 6, 5)), ["MatMul", "Scale"]),
    ("conv, factor, term", lambda g: g.op(top.AddConst, g.op(top.MulConst, conv(g), const_val=2.0), const_val=1.0), ["Conv"]),
    ("conv, factor a channel", lambda g: channelwise(g, top.Mul, conv(g)), ["Conv"]),
    ("conv, term a channel", lambda g: channelwise(g, top.Add, conv(g, bias=False)), ["Conv"]),
    (
        "conv, reshape, batch norm, relu",
        lambda g: relu(g, batch_norm(g, g.op(top.Reshape, conv(g), shape=(2, 6, 35)))),
        ["Conv", "Reshape", "Relu"],
    ),
    (
        "conv, reshape of its channels, batch norm",
        lambda g: batch_norm(g, g.op(top.Reshape, conv(g), shape=(2, 3, 70)), 3),
        ["Conv", "Reshape", "Scale"],
    ),
    ("conv, factor a column", lambda g: g.op(top.Mul, conv(g), g.random(7)), ["Conv", "Mul"]),
    ("factor and term a channel", lambda g: channelwise(g, top.Add, channelwise(g, top.Mul, g.input(2, 6, 4))), ["Scale"]),
    ("factor a column of a matrix", lambda g: g.op(top.Mul, g.input(2, 6), g.random(6)), ["Mul"]),
    ("matmul, term", lambda g: relu(g, g.op(top.Add, g.random(6), product(g, 2, 3, 5))), ["MatMul"]),
    ("matmul, term of rank 3", lambda g: g.op(top.Add, product(g, 2, 3, 5), g.random(1, 1, 6)), ["MatMul"]),
    ("matmul, term a row", lambda g: g.op(top.Add, product(g, 2, 6, 5), g.random(6, 1)), ["MatMul", "Scale"]),
    ("matmul, factor", lambda g: g.op(top.MulConst, product(g, 2, 3, 5), const_val=0.125), ["MatMul"]),
    (
        "matmul of two tensors, factor",
        lambda g: g.op(top.MulConst, g.op(top.MatMul, g.input(2, 3), g.input(3, 4)), const_val=2.0),
        ["MatMul", "MulConst"],
    ),
    ("relu of a sum", lambda g: relu(g, g.op(top.Add, g.input(2, 3), g.input(3))), ["Add"]),
    ("relu of relu6", lambda g: relu(g, relu(g, conv(g), 6.0)), ["Conv"]),
    ("relu6 of relu", lambda g: relu(g, relu(g, conv(g)), 0.5), ["Conv"]),
    ("relu of softmax", lambda g: relu(g, g.op(top.Softmax, g.input(2, 3), axis=1)), ["Softmax", "Relu"]),
    ("pad, conv", lambda g: padded(g, top.Conv, pads=(1, 1, 1, 1)), ["Conv"]),
    ("pad of ones, conv", lambda g: padded(g, top.Conv, 1.0), ["Pad", "Conv"]),
    ("reflected pad, conv", lambda g: padded(g, top.Conv, mode="reflect"), ["Pad", "Conv"]),
    ("pad, average", lambda g: padded(g, top.AvgPool), ["AvgPool"]),
    ("pad, average of padded", lambda g: padded(g, top.AvgPool, pads=(1, 1, 1, 1), count_include_pad=True), ["AvgPool"]),
    ("pad, average, its own pads left out", lambda g: padded(g, top.AvgPool, pads=(1, 1, 1, 1)), ["Pad", "AvgPool"]),
    ("pad, maximum", lambda g: padded(g, top.MaxPool), ["Pad", "MaxPool"]),
    ("lowest pad, maximum", lambda g: padded(g, top.MaxPool, -np.inf), ["MaxPool"]),
    ("pad of relu, maximum", lambda g: padded(g, top.MaxPool, above=relu(g, g.input(2, 4, 5, 7))), ["Relu", "MaxPool"]),
]


@pytest.mark.parametrize(("build", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fusion(build: Build, expected: list[str], graph: Any, same: Any) -> None:
    module = graph.module(build(graph))
    assert same(graph, module, lambda m: run_pipeline("optimize", m), 2e-5) == expected
    assert not run_pipeline("optimize", module)


def test_the_result_takes_the_name_of_what_was_fused(graph: Any) -> None:
    value = relu(graph, batch_norm(graph, conv(graph)))
    module = graph.module(value)
    run_pipeline("optimize", module)
    (op,) = [o for o in module.function.operations if isinstance(o, top.Conv)]
    assert (op.name, op.do_relu) == (value.name, True)
    assert len(module.weights) == 2


def test_a_convolution_whose_result_is_used_twice_stays(graph: Any, same: Any) -> None:
    value = conv(graph)
    module = graph.module(batch_norm(graph, value), relu(graph, value))
    assert same(graph, module, lambda m: run_pipeline("optimize", m), 2e-5) == ["Conv", "Scale", "Relu"]


def test_a_returned_convolution_stays(graph: Any, same: Any) -> None:
    value = conv(graph)
    module = graph.module(value, relu(graph, value))
    assert same(graph, module, lambda m: run_pipeline("optimize", m)) == ["Conv", "Relu"]


def test_a_filter_shared_by_two_convolutions_is_rewritten_for_each(graph: Any, same: Any) -> None:
    filters, x = graph.random(4, 4, 1, 1), graph.input(1, 4, 3, 3)
    window = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0,) * 4}
    first, second = (graph.op(top.Conv, x, filters, None, **window) for _ in range(2))
    module = graph.module(graph.op(top.Add, batch_norm(graph, first, 4), batch_norm(graph, second, 4)))
    assert same(graph, module, lambda m: run_pipeline("optimize", m), 2e-5) == ["Conv", "Conv", "Add"]
