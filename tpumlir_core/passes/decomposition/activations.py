"""Decompositions of functions of one operand."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tpumlir_core.ir import top
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps

# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: |error| <= 1.5e-7.
_ERF_P = 0.3275911
_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_LARGEST_POWER = 16


def relu(op: top.Relu, s: Steps) -> bool:
    """A limit is a minimum."""
    return op.relu_limit > 0 and s.done(top.MinConst, s(top.Relu, op.input), const_val=op.relu_limit)


def leaky_relu(op: top.LeakyRelu, s: Steps) -> bool:
    """max(x, 0) + alpha min(x, 0)."""
    return s.done(top.Add, s(top.Relu, op.input), s.times(s(top.MinConst, op.input, const_val=0.0), op.alpha))


def prelu(op: top.PRelu, s: Steps) -> bool:
    """max(x, 0) + slope min(x, 0)."""
    return s.done(top.Add, s(top.Relu, op.input), s(top.Mul, s(top.MinConst, op.input, const_val=0.0), op.operands[1]))


def elu(op: top.Elu, s: Steps) -> bool:
    """max(x, 0) + alpha (exp(min(x, 0)) - 1)."""
    grown = s(top.Exp, s(top.MinConst, op.input, const_val=0.0))
    return s.done(top.Add, s(top.Relu, op.input), s.times(s.plus(grown, -1.0), op.alpha))


def sigmoid(op: top.Sigmoid, s: Steps) -> bool:
    """Its scale, bias and logarithm apart; then 1 / (1 + exp(-x))."""
    if op.log:
        return s.done(top.MulConst, s(top.Softplus, s.times(op.input, -1.0)), const_val=-1.0)
    if op.scale != 1 or op.bias != 0:
        return s.done(top.AddConst, s.times(s(top.Sigmoid, op.input), op.scale), const_val=op.bias)
    return s.done(top.Reciprocal, s.plus(s(top.Exp, s.times(op.input, -1.0)), 1.0))


def hard_sigmoid(op: top.HardSigmoid, s: Steps) -> bool:
    """alpha x + beta, clipped."""
    return s.done(top.Clip, s.plus(s.times(op.input, op.alpha), op.beta), min=0.0, max=1.0)


def hard_swish(op: top.HardSwish, s: Steps) -> bool:
    """x times HardSigmoid."""
    return s.done(top.Mul, op.input, s(top.HardSigmoid, op.input, alpha=1 / 6, beta=0.5))


def silu(op: top.SiLU, s: Steps) -> bool:
    """x times Sigmoid."""
    return s.done(top.Mul, op.input, s(top.Sigmoid, op.input))


def swish(op: top.Swish, s: Steps) -> bool:
    """x times Sigmoid of beta x."""
    return s.done(top.Mul, op.input, s(top.Sigmoid, s.times(op.input, op.beta)))


def softplus(op: top.Softplus, s: Steps) -> bool:
    """max(x, 0) + log(1 + exp(-|x|)): does not overflow."""
    tail = s(top.Log, s.plus(s(top.Exp, s.times(s(top.Abs, op.input), -1.0)), 1.0))
    return s.done(top.Add, s(top.Relu, op.input), tail)


def softsign(op: top.Softsign, s: Steps) -> bool:
    """x / (1 + |x|)."""
    return s.done(top.Div, op.input, s.plus(s(top.Abs, op.input), 1.0))


def mish(op: top.Mish, s: Steps) -> bool:
    """x times Tanh of Softplus."""
    return s.done(top.Mul, op.input, s(top.Tanh, s(top.Softplus, op.input)))


def tanh(op: top.Tanh, s: Steps) -> bool:
    """2 sigmoid(2 x) - 1."""
    return s.done(top.AddConst, s.times(s(top.Sigmoid, s.times(op.input, 2.0)), 2.0), const_val=-1.0)


def gelu(op: top.GELU, s: Steps) -> bool:
    """x / 2 (1 + erf(x / sqrt(2))), or its approximation."""
    if op.approx_mode == "sigm":
        return s.done(top.Swish, op.input, beta=1.702)
    if op.approx_mode == "tanh":
        cube = s(top.Mul, s(top.Mul, op.input, op.input), op.input)
        inner = s(top.Tanh, s.times(s(top.Add, op.input, s.times(cube, 0.044715)), math.sqrt(2 / math.pi)))
    else:
        inner = s(top.Erf, s.times(op.input, math.sqrt(0.5)))
    return s.done(top.Mul, s.times(op.input, 0.5), s.plus(inner, 1.0))


def erf(op: top.Erf, s: Steps) -> bool:
    """sign(x) (1 - polynomial(1 / (1 + p |x|)) exp(-x^2))."""
    t = s(top.Reciprocal, s.plus(s.times(s(top.Abs, op.input), _ERF_P), 1.0))
    series = s.times(t, _ERF[-1])
    for coefficient in _ERF[-2::-1]:
        series = s(top.Mul, s.plus(series, coefficient), t)
    decay = s(top.Exp, s.times(s(top.Mul, op.input, op.input), -1.0))
    return s.done(top.Mul, s(top.Sign, op.input), s.plus(s.times(s(top.Mul, series, decay), -1.0), 1.0))


def absolute(op: top.Abs, s: Steps) -> bool:
    """max(x, -x)."""
    return s.done(top.Max, op.input, s.times(op.input, -1.0))


def sign(op: top.Sign, s: Steps) -> bool:
    """(x > 0) - (x < 0)."""
    above, below = (s(top.CompareConst, op.input, mode=mode, const_val=0.0, inversed=False) for mode in ("Greater", "Less"))
    return s.done(top.Sub, above, below)


def rsqrt(op: top.Rsqrt, s: Steps) -> bool:
    """1 / sqrt(x)."""
    return s.done(top.Reciprocal, s(top.Sqrt, op.input))


def log_b(op: top.LogB, s: Steps) -> bool:
    """log(x) / log(base)."""
    return s.done(top.MulConst, s(top.Log, op.input), const_val=1 / math.log(op.base))


def ceil(op: top.Ceil, s: Steps) -> bool:
    """-floor(-x)."""
    return s.done(top.MulConst, s(top.Floor, s.times(op.input, -1.0)), const_val=-1.0)


def tan(op: top.Tan, s: Steps) -> bool:
    """sin(x) / cos(x)."""
    return s.done(top.Div, s(top.Sin, op.input), s(top.Cos, op.input))


def sinh(op: top.Sinh, s: Steps) -> bool:
    """(exp(x) - exp(-x)) / 2."""
    return s.done(top.MulConst, s(top.Sub, s(top.Exp, op.input), s(top.Exp, s.times(op.input, -1.0))), const_val=0.5)


def cosh(op: top.Cosh, s: Steps) -> bool:
    """(exp(x) + exp(-x)) / 2."""
    return s.done(top.MulConst, s(top.Add, s(top.Exp, op.input), s(top.Exp, s.times(op.input, -1.0))), const_val=0.5)


def arctanh(op: top.Arctanh, s: Steps) -> bool:
    """log((1 + x) / (1 - x)) / 2."""
    ratio = s(top.Div, s.plus(op.input, 1.0), s.plus(s.times(op.input, -1.0), 1.0))
    return s.done(top.MulConst, s(top.Log, ratio), const_val=0.5)


def power(op: top.Pow, s: Steps) -> bool:
    """Whole exponents by squaring, halves by a root, negative ones by a reciprocal; any other as exp(exponent log(x))."""
    doubled = op.exponent * 2
    if doubled != int(doubled) or not 0 < abs(op.exponent) <= _LARGEST_POWER:
        return s.done(top.Exp, s.times(s(top.Log, op.input), op.exponent))
    if op.exponent < 0:
        return s.done(top.Reciprocal, s(top.Pow, op.input, exponent=-op.exponent))
    if op.exponent in (0.5, 1.0):
        return s.done(top.Sqrt, op.input) if op.exponent == 0.5 else s.done_value(op.input)
    if op.exponent == 2:
        return s.done(top.Mul, op.input, op.input)
    if op.exponent % 2 == 0:
        half = s(top.Pow, op.input, exponent=op.exponent / 2)
        return s.done(top.Mul, half, half)
    rest = 1.0 if op.exponent % 1 == 0 else 0.5
    other = op.input if rest == 1 else s(top.Sqrt, op.input)
    smaller = op.input if op.exponent - rest == 1 else s(top.Pow, op.input, exponent=op.exponent - rest)
    return s.done(top.Mul, smaller, other)


def exponential(op: top.Pow2, s: Steps) -> bool:
    """exp(x log(constant))."""
    return op.const_val > 0 and s.done(top.Exp, s.times(op.input, math.log(op.const_val)))


ACTIVATIONS: Mapping[str, Decomposition] = {
    "top.Relu": relu, "top.LeakyRelu": leaky_relu, "top.PRelu": prelu, "top.Elu": elu, "top.Sigmoid": sigmoid,
    "top.HardSigmoid": hard_sigmoid, "top.HardSwish": hard_swish, "top.SiLU": silu, "top.Swish": swish, "top.Softplus": softplus,
    "top.Softsign": softsign, "top.Mish": mish, "top.Tanh": tanh, "top.GELU": gelu, "top.Erf": erf, "top.Abs": absolute, "top.Sign": sign,
    "top.Rsqrt": rsqrt, "top.LogB": log_b, "top.Ceil": ceil, "top.Tan": tan, "top.Sinh": sinh, "top.Cosh": cosh, "top.Arctanh": arctanh,
    "top.Pow": power, "top.Pow2": exponential,
}
