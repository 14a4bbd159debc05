"""Activations that exporters write as several operations: GELU, SiLU, Swish, HardSwish, HardSigmoid, Mish, Sigmoid, Softplus."""

from __future__ import annotations

import math
from typing import Any

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.passes.rewriting import Rewriter, Rules

# Exporters round constants to float32, or to the digits of a paper.
_TOLERANCE = 1e-3
_DEPTH = 4
Polynomial = dict[int, float]


def near(value: float, wanted: float) -> bool:
    """Whether a constant is the one meant."""
    return abs(value - wanted) <= _TOLERANCE * abs(wanted)


def product(value: Value, stop: Value, depth: int = _DEPTH) -> tuple[float, list[Value]]:
    """``value`` as a constant times factors, looking through Mul and MulConst but not below ``stop``."""
    owner = value.owner
    if value is stop or depth == 0 or getattr(owner, "do_relu", False):
        return 1.0, [value]
    if isinstance(owner, top.MulConst):
        constant, factors = product(owner.input, stop, depth - 1)
        return owner.const_val * constant, factors
    if isinstance(owner, top.Mul) and len(owner.operands) == 2:
        parts = [product(v, stop, depth - 1) for v in owner.operands if v is not None]
        return parts[0][0] * parts[1][0], parts[0][1] + parts[1][1]
    return 1.0, [value]


def polynomial(value: Value, x: Value, depth: int = 6) -> Polynomial | None:
    """``value`` as a polynomial in ``x``, power -> coefficient, up to the third power; None if it is none."""
    owner = value.owner
    if value is x:
        return {1: 1.0}
    if depth == 0 or owner is None or getattr(owner, "do_relu", False):
        return None
    if isinstance(owner, top.Pow):
        inner = polynomial(owner.input, x, depth - 1)
        return {3: inner[1] ** 3} if owner.exponent == 3 and inner is not None and set(inner) == {1} else None
    if isinstance(owner, top.AddConst | top.MulConst):
        inner = polynomial(owner.input, x, depth - 1)
        if inner is None:
            return None
        if isinstance(owner, top.AddConst):
            return {**inner, 0: inner.get(0, 0.0) + owner.const_val}
        return {power: c * owner.const_val for power, c in inner.items()}
    if isinstance(owner, top.Mul | top.Add) and len(owner.operands) == 2 and getattr(owner, "coeff", None) is None:
        parts = [polynomial(v, x, depth - 1) for v in owner.operands if v is not None]
        if parts[0] is None or parts[1] is None:
            return None
        return _times(parts[0], parts[1]) if isinstance(owner, top.Mul) else _plus(parts[0], parts[1])
    return None


def _plus(a: Polynomial, b: Polynomial) -> Polynomial:
    return {power: a.get(power, 0.0) + b.get(power, 0.0) for power in {**a, **b}}


def _times(a: Polynomial, b: Polynomial) -> Polynomial | None:
    out: Polynomial = {}
    for i, left in a.items():
        for j, right in b.items():
            out[i + j] = out.get(i + j, 0.0) + left * right
    return out if max(out) <= 3 else None


def is_polynomial(value: Value, x: Value, wanted: Polynomial) -> bool:
    """Whether ``value`` is about this polynomial in ``x``."""
    found = polynomial(value, x)
    return found is not None and set(found) == set(wanted) and all(near(found[power], c) for power, c in wanted.items())


def gated(op: Operation, rewriter: Rewriter) -> bool:
    """x times a gate of x."""
    if getattr(op, "do_relu", False) or len(op.operands) > 2:
        return False
    nodes: list[Value] = [op.output]
    for value in nodes:
        owner = value.owner
        if isinstance(owner, top.Mul | top.MulConst) and len(nodes) < 1 << _DEPTH:
            nodes += [v for v in owner.operands if v is not None]
    if not any(isinstance(v.owner, _GATES) for v in nodes):
        return False
    for x in nodes[1:]:
        constant, factors = product(op.output, x)
        if len(factors) != 2 or x not in factors:
            continue
        gate = factors[1] if factors[0] is x else factors[0]
        found = _activation(x, gate, constant)
        if found is not None and x.type.holds_as(op.output.type):
            cls, attributes = found
            made = rewriter.insert(cls, [x], op.name, **attributes)
            rewriter.replace(op, made.output)
            return True
    return False


_GATES = (top.AddConst, top.Sigmoid, top.HardSigmoid, top.Relu, top.Tanh)


def _activation(x: Value, gate: Value, constant: float) -> tuple[type[Operation], dict[str, Any]] | None:
    """What ``constant`` * x * gate is: class and attributes."""
    match gate.owner:
        case top.AddConst(const_val=1.0, do_relu=False) as shifted if near(constant, 0.5):
            return _gelu(x, shifted.input.owner)
        case top.Sigmoid(scale=1.0, bias=0.0, log=False) as sigmoid if constant == 1:
            found = polynomial(sigmoid.input, x)
            if found is None or set(found) != {1}:
                return None
            return (top.SiLU, {}) if found[1] == 1 else (top.Swish, {"beta": found[1]})
        case top.HardSigmoid() as hard if constant == 1 and hard.input is x and near(hard.alpha, 1 / 6) and near(hard.beta, 0.5):
            return top.HardSwish, {}
        case top.Relu(relu_limit=6.0) as limited if near(constant, 1 / 6) and is_polynomial(limited.input, x, {0: 3.0, 1: 1.0}):
            return top.HardSwish, {}
        case top.Tanh() as tanh if constant == 1 and isinstance(tanh.input.owner, top.Softplus) and tanh.input.owner.input is x:
            return top.Mish, {}
    return None


def _gelu(x: Value, inner: Operation | None) -> tuple[type[Operation], dict[str, Any]] | None:
    if isinstance(inner, top.Erf) and is_polynomial(inner.input, x, {1: math.sqrt(0.5)}):
        return top.GELU, {"approx_mode": "normal"}
    slope = math.sqrt(2 / math.pi)
    if isinstance(inner, top.Tanh) and is_polynomial(inner.input, x, {1: slope, 3: slope * 0.044715}):
        return top.GELU, {"approx_mode": "tanh"}
    return None


def hard_sigmoid(op: Operation, rewriter: Rewriter) -> bool:
    """min(max(x + 3, 0), 6) / 6, if no product with x follows (that is HardSwish)."""
    assert isinstance(op, top.MulConst)
    below = op.input.owner
    if op.do_relu or not near(op.const_val, 1 / 6) or not isinstance(below, top.Relu) or below.relu_limit != 6:
        return False
    shifted = below.input.owner
    if not isinstance(shifted, top.AddConst) or shifted.const_val != 3 or shifted.do_relu:
        return False
    made = rewriter.insert(top.HardSigmoid, [shifted.input], op.name, alpha=1 / 6, beta=0.5)
    rewriter.replace(op, made.output)
    return True


def sigmoid(op: Operation, rewriter: Rewriter) -> bool:
    """1 / (1 + exp(-x))."""
    assert isinstance(op, top.Reciprocal)
    below = op.input.owner
    if op.do_relu or op.const_val != 1 or not isinstance(below, top.AddConst) or below.const_val != 1 or below.do_relu:
        return False
    power = below.input.owner
    negated = power.input.owner if isinstance(power, top.Exp) else None
    if not isinstance(negated, top.MulConst) or negated.const_val != -1 or negated.do_relu:
        return False
    made = rewriter.insert(top.Sigmoid, [negated.input], op.name)
    rewriter.replace(op, made.output)
    return True


def softplus(op: Operation, rewriter: Rewriter) -> bool:
    """log(1 + exp(x))."""
    below = op.input.owner
    if not isinstance(below, top.AddConst) or below.const_val != 1 or below.do_relu or not isinstance(below.input.owner, top.Exp):
        return False
    made = rewriter.insert(top.Softplus, [below.input.owner.input], op.name)
    rewriter.replace(op, made.output)
    return True


ACTIVATION_PATTERNS: Rules = {
    "top.Mul": (gated,),
    "top.MulConst": (gated, hard_sigmoid),
    "top.Reciprocal": (sigmoid,),
    "top.Log": (softplus,),
}
