"""Functions of one tensor, element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Operation, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer


def _plain(kind: type[Operation], **attributes: Any) -> Converter:
    """A converter to one operation without parameters."""

    def convert(im: Importer, node: Node) -> Value:
        return im.emit(kind, [im.value(node.input(0))], **attributes)

    return convert


def _with_numbers(kind: type[Operation], **defaults: float) -> Converter:
    """A converter to one operation whose float attributes have ONNX's names and these defaults."""

    def convert(im: Importer, node: Node) -> Value:
        numbers = {name: node.number(name, default) for name, default in defaults.items()}
        return im.emit(kind, [im.value(node.input(0))], **numbers)

    return convert


def _on_floats(kind: type[Operation]) -> Converter:
    """A converter to an operation that leaves integers as they are."""

    def convert(im: Importer, node: Node) -> Value:
        x = im.value(node.input(0))
        return x if im.is_integer(node.input(0)) else im.emit(kind, [x])

    return convert


def neg(im: Importer, node: Node) -> Value:
    """-x; the least integer, whose negative does not exist, aside."""
    return im.emit(top.MulConst, [im.value(node.input(0))], const_val=-1.0)


def reciprocal(im: Importer, node: Node) -> Value:
    return im.emit(top.Reciprocal, [im.value(node.input(0))], const_val=1.0)


def asin(im: Importer, node: Node) -> Value:
    """pi / 2 - acos(x)."""
    angle = im.step("acos", top.Arccos, [im.value(node.input(0))])
    return im.emit(top.SubConst, [angle], const_val=math.pi / 2, is_reverse=True)


def atan(im: Importer, node: Node) -> Value:
    """asin(x / sqrt(1 + x^2)), with asin(s) = pi / 2 - acos(s)."""
    x = im.value(node.input(0))
    squared = im.step("square", top.Mul, [x, x])
    inverse = im.step("rsqrt", top.Rsqrt, [im.step("add", top.AddConst, [squared], const_val=1.0)])
    angle = im.step("acos", top.Arccos, [im.step("sin", top.Mul, [x, inverse])])
    return im.emit(top.SubConst, [angle], const_val=math.pi / 2, is_reverse=True)


def asinh(im: Importer, node: Node) -> Value:
    """sign(x) log(|x| + sqrt(x^2 + 1)), which does not cancel for negative x."""
    x = im.value(node.input(0))
    squared = im.step("square", top.Mul, [x, x])
    root = im.step("sqrt", top.Sqrt, [im.step("plus_one", top.AddConst, [squared], const_val=1.0)])
    log = im.step("log", top.Log, [im.step("add", top.Add, [im.step("abs", top.Abs, [x]), root])])
    return im.emit(top.Mul, [im.step("sign", top.Sign, [x]), log])


def acosh(im: Importer, node: Node) -> Value:
    """log(x + sqrt(x^2 - 1))."""
    x = im.value(node.input(0))
    squared = im.step("square", top.Mul, [x, x])
    root = im.step("sqrt", top.Sqrt, [im.step("minus_one", top.AddConst, [squared], const_val=-1.0)])
    return im.emit(top.Log, [im.step("add", top.Add, [x, root])])


def clip(im: Importer, node: Node) -> Value:
    low, high = (_bound(im, node, 1, "min", -math.inf), _bound(im, node, 2, "max", math.inf))
    x = im.value(node.input(0))
    if low is None or high is None:
        bounded = im.step("min", top.Max, [x, im.value(node.input(1))]) if node.input(1) else x
        return im.emit(top.Min, [bounded, im.value(node.input(2))]) if node.input(2) else bounded
    if low == 0 and high > 0:
        return im.emit(top.Relu, [x], relu_limit=high if math.isfinite(high) else -1.0)
    largest = float(np.finfo(np.float32).max)
    return im.emit(top.Clip, [x], min=max(low, -largest), max=min(high, largest))


def _bound(im: Importer, node: Node, index: int, name: str, default: float) -> float | None:
    """A bound of Clip: a number, or None where it is computed."""
    if node.opset < 11:
        return node.number(name, default)
    return im.scalar(node.input(index)) if node.input(index) else default


def selu(im: Importer, node: Node) -> Value:
    gamma = node.number("gamma", 1.0507009873554805)
    x = im.step("elu", top.Elu, [im.value(node.input(0))], alpha=node.number("alpha", 1.6732632423543772))
    return im.emit(top.MulConst, [x], const_val=gamma)


def celu(im: Importer, node: Node) -> Value:
    """alpha elu(x / alpha)."""
    alpha = node.number("alpha", 1.0)
    if alpha == 0:
        raise InputError(f"{node}: alpha is 0")
    scaled = im.step("scaled", top.MulConst, [im.value(node.input(0))], const_val=1 / alpha)
    return im.emit(top.MulConst, [im.step("elu", top.Elu, [scaled], alpha=1.0)], const_val=alpha)


def thresholded_relu(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    passes = im.step("passes", top.CompareConst, [x], mode="Greater", const_val=node.number("alpha", 1.0), inversed=False)
    return im.emit(top.Where, [passes, x, None], y_is_const=True, y_const_val=0.0)


def shrink(im: Importer, node: Node) -> Value:
    """x + bias below -lambd, x - bias above lambd, else 0."""
    x, bias, lambd = im.value(node.input(0)), node.number("bias", 0.0), node.number("lambd", 0.5)
    below = im.step("below", top.CompareConst, [x], mode="Less", const_val=-lambd, inversed=False)
    above = im.step("above", top.CompareConst, [x], mode="Greater", const_val=lambd, inversed=False)
    high = im.step("high", top.Where, [above, im.step("lowered", top.AddConst, [x], const_val=-bias), None], y_is_const=True)
    return im.emit(top.Where, [below, im.step("raised", top.AddConst, [x], const_val=bias), high])


def prelu(im: Importer, node: Node) -> Value:
    x, slope = im.value(node.input(0)), im.constant(node.input(1))
    if slope is not None and slope.size == 1:
        return im.emit(top.LeakyRelu, [x], alpha=float(slope.reshape(-1)[0]))
    rank = len(x.shape)
    per_channel = (1,) * max(0, rank - slope.ndim) + slope.shape if slope is not None else ()
    if slope is not None and rank > 1 and per_channel == (1, x.shape[1], *(1,) * (rank - 2)):
        return im.emit(top.PRelu, [x, im.weight(node.input(1), slope.reshape(per_channel))])
    positive = im.step("positive", top.Relu, [x])
    negative = im.step("negative", top.MinConst, [x], const_val=0.0)
    return im.emit(top.Add, [positive, im.step("slope", top.Mul, [negative, im.value(node.input(1))])])


def gelu(im: Importer, node: Node) -> Value:
    approximate = node.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise InputError(f"{node}: approximate '{approximate}' is neither none nor tanh")
    return im.emit(top.GELU, [im.value(node.input(0))], approx_mode="tanh" if approximate == "tanh" else "normal")


def softmax(log: bool) -> Converter:
    """Softmax or LogSoftmax; before opset 13 all axes from ``axis`` on count as one."""

    def convert(im: Importer, node: Node) -> Value:
        x = im.value(node.input(0))
        rank = len(x.shape)
        axis = _axis(node, node.integer("axis", -1 if node.opset >= 13 else 1), rank)
        if node.opset >= 13 or math.prod(x.shape[axis + 1 :]) == 1:
            return im.emit(top.Softmax, [x], axis=axis, log=log)
        flat = im.step("flat", top.Reshape, [x], shape=(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        return im.emit(top.Reshape, [im.step("softmax", top.Softmax, [flat], axis=1, log=log)], shape=x.shape)

    return convert


def hardmax(im: Importer, node: Node) -> Value:
    """1 at the first maximum along an axis, else 0."""
    x = im.value(node.input(0))
    axis = _axis(node, node.integer("axis", -1 if node.opset >= 13 else 1), len(x.shape))
    if node.opset < 13 and axis != len(x.shape) - 1:
        raise UnsupportedError(f"Hardmax before opset 13 over several axes (node {node.label})")
    best = im.step("best", top.Arg, [x], axis=axis, keepdims=True, mode="ArgMax", select_last_index=False)
    along = [1] * len(x.shape)
    along[axis] = x.shape[axis]
    positions = im.constant_result("positions", np.arange(x.shape[axis], dtype=np.float32).reshape(along))
    return im.emit(top.Compare, [positions, best], mode="Equal")


def _axis(node: Node, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise InputError(f"{node}: axis {axis} is outside a tensor of rank {rank}")
    return axis % rank


def swish(im: Importer, node: Node) -> Value:
    return im.emit(top.Swish, [im.value(node.input(0))], beta=node.number("alpha", 1.0))


CONVERTERS: Mapping[str, Converter] = {
    "Abs": _plain(top.Abs), "Acos": _plain(top.Arccos), "Acosh": acosh, "Asin": asin, "Asinh": asinh, "Atan": atan,
    "Atanh": _plain(top.Arctanh), "Ceil": _on_floats(top.Ceil), "Celu": celu, "Clip": clip, "Cos": _plain(top.Cos),
    "Cosh": _plain(top.Cosh), "Elu": _with_numbers(top.Elu, alpha=1.0), "Erf": _plain(top.Erf), "Exp": _plain(top.Exp),
    "Floor": _on_floats(top.Floor), "Gelu": gelu, "HardSigmoid": _with_numbers(top.HardSigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _plain(top.HardSwish), "Hardmax": hardmax, "LeakyRelu": _with_numbers(top.LeakyRelu, alpha=0.01),
    "Log": _plain(top.Log), "LogSoftmax": softmax(log=True), "Mish": _plain(top.Mish), "Neg": neg, "PRelu": prelu,
    "Reciprocal": reciprocal, "Relu": _plain(top.Relu), "Round": _on_floats(top.Round), "Selu": selu, "Shrink": shrink,
    "Sigmoid": _plain(top.Sigmoid), "Sign": _plain(top.Sign), "Sin": _plain(top.Sin), "Sinh": _plain(top.Sinh),
    "Softmax": softmax(log=False), "Softplus": _plain(top.Softplus), "Softsign": _plain(top.Softsign),
    "Sqrt": _plain(top.Sqrt), "Swish": swish, "Tan": _plain(top.Tan), "Tanh": _plain(top.Tanh),
    "ThresholdedRelu": thresholded_relu,
}
