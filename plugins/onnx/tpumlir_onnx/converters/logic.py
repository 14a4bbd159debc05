"""Comparison, boolean logic and selection. Booleans are 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import normal_axis

_LARGEST = float(np.finfo(np.float32).max)


def _compare(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Value:
        for index in (1, 0):
            number, other = im.scalar(node.input(index)), node.input(1 - index)
            if number is None or other in im.constants or im.constants[node.input(index)].ndim > len(im.value(other).shape):
                continue
            return im.emit(top.CompareConst, [im.value(other)], mode=mode, const_val=number, inversed=index == 0)
        return im.emit(top.Compare, [im.value(node.input(0)), im.value(node.input(1))], mode=mode)

    return convert


def _pairwise(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Value:
        return im.emit(top.Compare, [im.value(node.input(0)), im.value(node.input(1))], mode=mode)

    return convert


def or_(im: Importer, node: Node) -> Value:
    return im.emit(top.Max, [im.value(node.input(0)), im.value(node.input(1))])


def not_(im: Importer, node: Node) -> Value:
    return im.emit(top.CompareConst, [im.value(node.input(0))], mode="Equal", const_val=0.0, inversed=False)


def is_nan(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    return im.emit(top.Compare, [x, x], mode="NotEqual")


def is_inf(im: Importer, node: Node) -> Value:
    """Comparisons of the magnitude, and of the sign where only one infinity counts: they say no for what is not a number."""
    x = im.value(node.input(0))
    negative, positive = (node.flag(f"detect_{sign}", default=True) for sign in ("negative", "positive"))
    if not negative and not positive:
        return im.constant_result("none", np.zeros(x.shape, np.float32))
    size = im.step("abs", top.Abs, [x])
    if negative and positive:
        return im.emit(top.CompareConst, [size], mode="Greater", const_val=_LARGEST, inversed=False)
    infinite = im.step("infinite", top.CompareConst, [size], mode="Greater", const_val=_LARGEST, inversed=False)
    side = im.step("side", top.CompareConst, [x], mode="Less" if negative else "Greater", const_val=0.0, inversed=False)
    return im.emit(top.Mul, [infinite, side])


def where(im: Importer, node: Node) -> Value:
    """A one-element constant branch becomes an attribute where it does not shape the result."""
    condition = im.value(node.input(0))
    numbers = [im.scalar(node.input(i)) for i in (1, 2)]
    arrays = [im.constant(node.input(i)) for i in (1, 2)]
    other = [condition, *(im.value(node.input(i)) for i in (1, 2) if im.constant(node.input(i)) is None)]
    rank = max(len(value.shape) for value in other)
    fixed = [n is not None and np.isfinite(n) and a is not None and a.ndim <= rank for n, a in zip(numbers, arrays, strict=True)]
    if all(fixed) and node.input(0) in im.constants:
        fixed = [False, False]
    x, y = (None if fixed[i] else im.value(node.input(i + 1)) for i in (0, 1))
    return im.emit(
        top.Where, [condition, x, y], x_is_const=fixed[0], y_is_const=fixed[1],
        x_const_val=numbers[0] if fixed[0] and numbers[0] is not None else 0.0,
        y_const_val=numbers[1] if fixed[1] and numbers[1] is not None else 0.0,
    )


def one_hot(im: Importer, node: Node) -> Value:
    """Compare the indices, negative ones counted from the end, with 0 .. depth - 1 along a new axis."""
    indices = im.value(node.input(0))
    depth = int(im.required(node, 1, "depth").reshape(-1)[0])
    im.check_size((*indices.shape, max(depth, 0)))
    off, on = (float(v) for v in im.required(node, 2, "values").reshape(-1))
    axis = normal_axis(node, node.integer("axis", -1), len(indices.shape) + 1)
    negative = im.step("negative", top.CompareConst, [indices], mode="Less", const_val=0.0, inversed=False)
    shift = im.step("shift", top.MulConst, [negative], const_val=float(depth))
    wrapped = im.step("wrapped", top.Add, [indices, shift])
    along = [1] * (len(indices.shape) + 1)
    along[axis] = depth
    positions = im.constant_result("positions", np.arange(depth, dtype=np.float32).reshape(along))
    hits = im.step("hits", top.Compare, [im.step("axis", top.Unsqueeze, [wrapped], axes=(axis,)), positions], mode="Equal")
    if (off, on) == (0.0, 1.0):
        return hits
    return im.emit(top.Where, [hits, None, None], x_is_const=True, y_is_const=True, x_const_val=on, y_const_val=off)


CONVERTERS: Mapping[str, Converter] = {
    "And": _pairwise("And"), "Equal": _compare("Equal"), "Greater": _compare("Greater"),
    "GreaterOrEqual": _compare("GreaterOrEqual"), "IsInf": is_inf, "IsNaN": is_nan, "Less": _compare("Less"),
    "LessOrEqual": _compare("LessOrEqual"), "Not": not_, "OneHot": one_hot, "Or": or_, "Where": where,
    "Xor": _pairwise("Xor"),
}
