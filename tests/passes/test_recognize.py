"""Recognition: the ways exporters write an operation, and near misses that must stay."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tpumlir_core.ir import Value, top
from tpumlir_core.passes import run_pipeline

Build = Callable[[Any, Value], Value]


def times(g: Any, value: Value, factor: float) -> Value:
    result: Value = g.op(top.Mul, value, g.weight(factor))
    return result


def plus(g: Any, value: Value, term: float) -> Value:
    result: Value = g.op(top.Add, g.weight(term), value)
    return result


def gelu_torch(g: Any, x: Value) -> Value:
    gate = plus(g, g.op(top.Erf, g.op(top.Div, x, g.weight(math.sqrt(2)))), 1.0)
    return times(g, g.op(top.Mul, x, gate), 0.5)


def gelu_half_first(g: Any, x: Value) -> Value:
    gate = plus(g, g.op(top.Erf, times(g, x, math.sqrt(0.5))), 1.0)
    result: Value = g.op(top.Mul, times(g, x, 0.5), gate)
    return result


def gelu_half_gate(g: Any, x: Value) -> Value:
    gate = plus(g, g.op(top.Erf, times(g, x, math.sqrt(0.5))), 1.0)
    result: Value = g.op(top.Mul, times(g, gate, 0.5), x)
    return result


def gelu_tanh(g: Any, x: Value) -> Value:
    cube = g.op(top.Pow, x, exponent=3.0)
    inner = times(g, g.op(top.Add, x, times(g, cube, 0.044715)), 0.7978845608)
    return times(g, g.op(top.Mul, x, plus(g, g.op(top.Tanh, inner), 1.0)), 0.5)


def gelu_tanh_factored(g: Any, x: Value) -> Value:
    square = plus(g, times(g, g.op(top.Mul, x, x), 0.044715), 1.0)
    inner = g.op(top.Mul, times(g, x, 0.79788456), square)
    result: Value = g.op(top.Mul, times(g, x, 0.5), plus(g, g.op(top.Tanh, inner), 1.0))
    return result


def hard_swish_clip(g: Any, x: Value) -> Value:
    gate = g.op(top.Clip, plus(g, x, 3.0), min=0.0, max=6.0)
    result: Value = g.op(top.Div, g.op(top.Mul, x, gate), g.weight(6.0))
    return result


def hard_swish_gate(g: Any, x: Value) -> Value:
    gate = g.op(top.Div, g.op(top.Clip, plus(g, x, 3.0), min=0.0, max=6.0), g.weight(6.0))
    result: Value = g.op(top.Mul, x, gate)
    return result


def layer_norm(g: Any, x: Value, *, twice: bool = False, root: str = "Div") -> Value:
    mean = g.op(top.Reduce, x, axes=(-1,), keepdims=True, mode="ReduceMean")
    centred = g.op(top.Sub, x, mean)
    other = g.op(top.Sub, x, mean) if twice else centred
    variance = g.op(top.Reduce, g.op(top.Pow, other, exponent=2.0), axes=(-1,), keepdims=True, mode="ReduceMean")
    shifted = plus(g, variance, 1e-5)
    if root == "Div":
        plain = g.op(top.Div, centred, g.op(top.Sqrt, shifted))
    else:
        plain = g.op(top.Mul, g.op(top.Rsqrt, shifted) if root == "Rsqrt" else g.op(top.Reciprocal, g.op(top.Sqrt, shifted)), centred)
    return plus_weight(g, g.op(top.Mul, plain, g.random(6)))


def plus_weight(g: Any, value: Value) -> Value:
    result: Value = g.op(top.Add, value, g.random(6))
    return result


def rms_norm(g: Any, x: Value) -> Value:
    square = g.op(top.Reduce, g.op(top.Mul, x, x), axes=(2,), keepdims=True, mode="ReduceMean")
    plain = g.op(top.Mul, x, g.op(top.Rsqrt, plus(g, square, 1e-6)))
    result: Value = g.op(top.Mul, g.random(6), plain)
    return result


def softmax(g: Any, x: Value) -> Value:
    powers = g.op(top.Exp, g.op(top.Sub, x, g.op(top.Reduce, x, axes=(1,), keepdims=True, mode="ReduceMax")))
    result: Value = g.op(top.Div, powers, g.op(top.Reduce, powers, axes=(1,), keepdims=True, mode="ReduceSum"))
    return result


CASES: list[tuple[str, Build, list[str]]] = [
    ("gelu, torch", gelu_torch, ["GELU"]),
    ("gelu, half first", gelu_half_first, ["GELU"]),
    ("gelu, half gate", gelu_half_gate, ["GELU"]),
    ("gelu, tanh", gelu_tanh, ["GELU"]),
    ("gelu, tanh factored", gelu_tanh_factored, ["GELU"]),
    ("silu", lambda g, x: g.op(top.Mul, x, g.op(top.Sigmoid, x)), ["SiLU"]),
    ("swish", lambda g, x: g.op(top.Mul, g.op(top.Sigmoid, times(g, x, 1.702)), x), ["Swish"]),
    ("hard swish, clip", hard_swish_clip, ["HardSwish"]),
    ("hard swish, gate", hard_swish_gate, ["HardSwish"]),
    ("hard swish, sigmoid", lambda g, x: g.op(top.Mul, g.op(top.HardSigmoid, x, alpha=1 / 6, beta=0.5), x), ["HardSwish"]),
    ("hard sigmoid", lambda g, x: times(g, g.op(top.Clip, plus(g, x, 3.0), min=0.0, max=6.0), 1 / 6), ["HardSigmoid"]),
    ("mish", lambda g, x: g.op(top.Mul, x, g.op(top.Tanh, g.op(top.Softplus, x))), ["Mish"]),
    ("softplus", lambda g, x: g.op(top.Log, plus(g, g.op(top.Exp, x), 1.0)), ["Softplus"]),
    ("sigmoid", lambda g, x: g.op(top.Div, g.weight(1.0), plus(g, g.op(top.Exp, times(g, x, -1.0)), 1.0)), ["Sigmoid"]),
    ("layer norm", layer_norm, ["LayerNorm"]),
    ("layer norm, two differences", lambda g, x: layer_norm(g, x, twice=True), ["LayerNorm"]),
    ("layer norm, rsqrt", lambda g, x: layer_norm(g, x, root="Rsqrt"), ["LayerNorm"]),
    ("layer norm, reciprocal", lambda g, x: layer_norm(g, x, root="Reciprocal"), ["LayerNorm"]),
    ("rms norm", rms_norm, ["RMSNorm"]),
    ("softmax", softmax, ["Softmax"]),
    # Near misses.
    ("another hard swish", lambda g, x: g.op(top.Mul, x, g.op(top.HardSigmoid, x, alpha=0.2, beta=0.5)), ["HardSigmoid", "Mul"]),
    ("a gate of something else", lambda g, x: g.op(top.Mul, x, g.op(top.Sigmoid, g.input(2, 4, 6))), ["Sigmoid", "Mul"]),
    (
        "twice gelu",
        lambda g, x: g.op(top.Mul, x, plus(g, g.op(top.Erf, times(g, x, math.sqrt(0.5))), 1.0)),
        ["MulConst", "Erf", "AddConst", "Mul"],
    ),
    ("gelu of another slope", lambda g, x: times(g, g.op(top.Mul, x, plus(g, g.op(top.Erf, times(g, x, 0.6)), 1.0)), 0.5), None),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("build", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_recognition(build: Build, expected: list[str] | None, graph: Any, same: Any) -> None:
    module = graph.module(build(graph, graph.input(2, 4, 6)))
    found = same(graph, module, lambda m: run_pipeline("optimize", m), 2e-5)
    assert found == expected if expected is not None else "GELU" not in found


def test_a_pattern_whose_middle_is_used_keeps_the_middle(graph: Any, same: Any) -> None:
    x = graph.input(2, 4, 6)
    gate = graph.op(top.Sigmoid, x)
    module = graph.module(graph.op(top.Mul, x, gate), gate)
    assert same(graph, module, lambda m: run_pipeline("optimize", m)) == ["Sigmoid", "SiLU"]
