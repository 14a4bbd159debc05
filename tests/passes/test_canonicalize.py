"""Canonical forms: what becomes what, and that values stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import Operation, Value, top
from tpumlir_core.passes import Canonicalize, EliminateDead

Build = Callable[[Any], Value]
_X = (2, 3, 4, 5)


def _of(cls: type[Operation], source: tuple[int, ...] = _X, **attributes: Any) -> Build:
    return lambda g: g.op(cls, _relu(g, source), **attributes)


def _relu(g: Any, shape: tuple[int, ...] = _X) -> Value:
    """Something computed, as an input itself cannot be returned."""
    value: Value = g.op(top.Relu, g.input(*shape, low=0.5))
    return value


def _with(cls: type[Operation], constant: Any, right: bool = True, **attributes: Any) -> Build:
    def build(g: Any) -> Value:
        pair = (_relu(g), g.weight(constant))
        value: Value = g.op(cls, *(pair if right else pair[::-1]), **attributes)
        return value

    return build


def _twice(cls: type[Operation], first: dict[str, Any], second: dict[str, Any], shape: tuple[int, ...] = _X) -> Build:
    return lambda g: g.op(cls, g.op(cls, g.input(*shape), **first), **second)


CASES: list[tuple[str, Build, list[str]]] = [
    ("reshape to the same shape", _of(top.Reshape, shape=(2, 3, 4, 5)), ["Relu"]),
    ("flatten", _of(top.Flatten, start_dim=1), ["Relu", "Reshape"]),
    ("squeeze", _of(top.Squeeze, (2, 1, 3), axes=(1,)), ["Relu", "Reshape"]),
    ("unsqueeze", _of(top.Unsqueeze, axes=(0,)), ["Relu", "Reshape"]),
    ("expand of nothing", _of(top.Expand, shape=(1, 1)), ["Relu"]),
    ("expand of rank", _of(top.Expand, shape=(1, 2, 3, 4, 5)), ["Relu", "Reshape"]),
    ("expand", _of(top.Expand, (2, 1, 3), shape=(2, 4, 3)), ["Relu", "Expand"]),
    ("tile once", _of(top.Tile, tile=(1, 1, 1, 1)), ["Relu"]),
    ("flatten_start_dim", _of(top.Reshape, shape=(9, 9), flatten_start_dim=2), ["Relu", "Reshape"]),
    ("reshape of reshape", _twice(top.Reshape, {"shape": (6, 20)}, {"shape": (120,)}), ["Reshape"]),
    ("permute of permute", _twice(top.Permute, {"order": (0, 2, 3, 1)}, {"order": (0, 2, 1, 3)}), ["Permute"]),
    ("permute and back", lambda g: g.op(top.Permute, g.op(top.Permute, _relu(g), order=(0, 2, 3, 1)), order=(0, 3, 1, 2)), ["Relu"]),
    ("permute of short axes", _of(top.Permute, (2, 1, 4, 1), order=(1, 0, 3, 2)), ["Relu", "Reshape"]),
    ("transpose", _of(top.Transpose, dim0=1, dim1=-1), ["Relu", "Permute"]),
    ("slice of all", _of(top.Slice, offset=(0, 0), steps=(1, 1), ends=(2, 9999), axes=(0, 1)), ["Relu"]),
    ("slice backwards", _of(top.Slice, offset=(-1,), steps=(-1,), ends=(-99,), axes=(1,)), ["Relu", "Slice"]),
    (
        "concat with nothing",
        lambda g: g.op(top.Concat, _relu(g), g.op(top.Slice, _relu(g), offset=(0, 1), steps=(1, 1), ends=(9, 1), axes=(0, 1)), axis=1),
        ["Relu"],
    ),
    ("concat of one", lambda g: g.op(top.Concat, _relu(g), axis=1), ["Relu"]),
    (
        "concat of concat",
        lambda g: g.op(top.Concat, g.input(2, 1), g.op(top.Concat, g.input(2, 2), g.input(2, 3), axis=1), axis=-1),
        ["Concat"],
    ),
    ("pad by nothing", _of(top.Pad, paddings=(0,) * 8, mode="constant"), ["Relu"]),
    ("cast to float", _of(top.Cast, to="F32"), ["Relu"]),
    ("cast to integer", _of(top.Cast, to="INT32"), ["Relu", "Cast"]),
    ("pool of one", _of(top.MaxPool, kernel_shape=(1, 1), strides=(1, 1), pads=(0,) * 4), ["Relu"]),
    ("global mean", _of(top.Reduce, axes=(-1, 2), keepdims=True, mode="ReduceMean"), ["Relu", "AvgPool"]),
    ("global maximum", _of(top.Reduce, axes=(2, 3), keepdims=False, mode="ReduceMax"), ["Relu", "MaxPool", "Reshape"]),
    ("mean of rows", _of(top.Reduce, axes=(3,), keepdims=True, mode="ReduceMean"), ["Relu", "Reduce"]),
    ("adaptive pool", _of(top.AdaptiveAvgPool, (2, 3, 4, 6), output_size=(2, 3)), ["Relu", "AvgPool"]),
    ("adaptive pool, uneven", _of(top.AdaptiveAvgPool, output_size=(2, 3)), ["Relu", "AdaptiveAvgPool"]),
    ("add zero", _with(top.Add, [[0.0]]), ["Relu"]),
    ("multiply by one", _with(top.Mul, np.ones((1, 3, 1, 1))), ["Relu"]),
    ("add zero and clamp", _with(top.Add, 0.0, do_relu=True, relu_limit=2.0), ["Relu", "Relu"]),
    ("add", _with(top.Add, 2.0, right=False), ["Relu", "AddConst"]),
    ("subtract", _with(top.Sub, 2.0), ["Relu", "AddConst"]),
    ("subtract from", _with(top.Sub, 2.0, right=False), ["Relu", "SubConst"]),
    ("subtract, reversed", _with(top.Sub, 2.0, is_reverse=True), ["Relu", "SubConst"]),
    ("subtract many", _with(top.Sub, [[1.0], [2.0], [3.0], [4.0]]), ["Relu", "Add"]),
    ("divide", _with(top.Div, 3.0), ["Relu", "MulConst"]),
    ("divide by zero", lambda g: g.op(top.Div, g.op(top.Relu, g.input(3, low=1)), g.weight(0.0)), ["Relu", "DivConst"]),
    ("divide a constant", _with(top.Div, 3.0, right=False), ["Relu", "Reciprocal"]),
    ("divide by many", _with(top.Div, [1.0, 2.0, 3.0, 4.0, 5.0]), ["Relu", "Mul"]),
    ("divide, then round", lambda g: g.op(top.Floor, g.op(top.Div, _relu(g), g.weight(3.0))), ["Relu", "DivConst", "Floor"]),
    ("greatest", _with(top.Max, 1.5), ["Relu", "MaxConst"]),
    ("least of relu", _with(top.Min, 1.5), ["Relu"]),
    ("maximum with zero", lambda g: g.op(top.MaxConst, g.input(3), const_val=0.0), ["Relu"]),
    ("clip of maxima", lambda g: g.op(top.Min, g.op(top.Max, g.input(3), g.weight(-1.0)), g.weight(1.0)), ["Clip"]),
    ("clip from zero", lambda g: g.op(top.Clip, g.input(3), min=0.0, max=1.0), ["Relu"]),
    ("clip below", lambda g: g.op(top.Clip, g.input(3), min=-1.0, max=np.inf), ["MaxConst"]),
    ("clip above", lambda g: g.op(top.Clip, g.input(3), min=-np.inf, max=1.0), ["MinConst"]),
    ("a weight that widens", lambda g: g.op(top.Add, g.input(3), g.weight(np.ones((2, 3)))), ["Add"]),
    ("constants in a row", _twice(top.AddConst, {"const_val": 1.0}, {"const_val": 2.0}), ["AddConst"]),
    ("factors that underflow", _twice(top.MulConst, {"const_val": 1e-30}, {"const_val": 1e-30}), ["MulConst", "MulConst"]),
    ("square", _of(top.Pow, exponent=2.0), ["Relu", "Mul"]),
    ("root", _of(top.Pow, exponent=0.5), ["Relu", "Sqrt"]),
    ("power of a weight", _with(top.Pow3, -1.0), ["Relu", "Reciprocal"]),
    ("compare", lambda g: g.op(top.Compare, g.weight(0.3), g.input(3), mode="Less"), ["CompareConst"]),
    (
        "where",
        lambda g: g.op(
            top.Where, g.op(top.CompareConst, g.input(3), mode="Less", const_val=0.0, inversed=False), g.input(3), g.weight(7.0)
        ),
        ["CompareConst", "Where"],
    ),
]


def _gather(indices: Any, **attributes: Any) -> Build:
    return lambda g: g.op(top.Gather, _relu(g), g.weight(indices), **attributes)


def _pool(cls: type[Operation], **attributes: Any) -> Build:
    return lambda g: g.op(cls, _relu(g, (2, 3, 6, 7)), **{"kernel_shape": (3, 2), "strides": (2, 2), "pads": (1, 0, 0, 1), **attributes})


CASES += [
    ("gather one", _gather(-1.0, axis=1), ["Relu", "Slice", "Reshape"]),
    ("gather some", _gather([1.0, 3.0], axis=2), ["Relu", "Slice"]),
    ("gather a table", _gather([[0.0, 1.0]], axis=1), ["Relu", "Slice", "Reshape"]),
    ("gather unevenly", _gather([0.0, 1.0, 3.0], axis=2), ["Relu", "Gather"]),
    ("gather the same", _gather([1.0, 1.0], axis=2), ["Relu", "Gather"]),
    ("pool, rounded up", _pool(top.MaxPool, ceil_mode=True), ["Relu", "MaxPool"]),
    ("average, rounded up", _pool(top.AvgPool, ceil_mode=True), ["Relu", "AvgPool"]),
    ("average with padding, rounded up", _pool(top.AvgPool, ceil_mode=True, count_include_pad=True), ["Relu", "AvgPool"]),
    ("pool, same", _pool(top.MaxPool, auto_pad="SAME_LOWER"), ["Relu", "MaxPool"]),
    ("pool of all", _pool(top.AvgPool, kernel_shape=(), strides=(), pads=()), ["Relu", "AvgPool"]),
    ("nearest", _of(top.Interp, mode="nearest", coord_mode="asymmetric", scale_h=2.0, scale_w=3.0), ["Relu", "Upsample"]),
    ("nearest, uneven", _of(top.Interp, mode="nearest", coord_mode="asymmetric", scale_h=1.5, scale_w=3.0), ["Relu", "Interp"]),
    ("nearest, aligned", _of(top.Interp, mode="nearest", coord_mode="align_corners", scale_h=3.0, scale_w=3.0), ["Relu", "Interp"]),
    ("linear of the same size", _of(top.Interp, mode="linear", coord_mode="half_pixel", scale_h=1.0, scale_w=1.0), ["Relu"]),
    (
        "convolution, same",
        lambda g: g.op(
            top.Conv,
            g.input(1, 2, 6, 7),
            g.random(4, 2, 3, 2),
            None,
            kernel_shape=(3, 2),
            strides=(2, 1),
            pads=(0,) * 4,
            auto_pad="SAME_UPPER",
        ),
        ["Conv"],
    ),
]


@pytest.mark.parametrize(("build", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_canonical_form(build: Build, expected: list[str], graph: Any, same: Any) -> None:
    module = graph.module(build(graph))
    assert same(graph, module, lambda m: Canonicalize().run(m), 1e-6) == expected
    assert not Canonicalize().run(module)


def test_windows_are_explicit(graph: Any, same: Any) -> None:
    module = graph.module(_pool(top.MaxPool, ceil_mode=True, auto_pad="SAME_UPPER")(graph))
    same(graph, module, lambda m: Canonicalize().run(m))
    pool = module.function.operations[-1]
    assert (pool.pads, pool.auto_pad, pool.ceil_mode) == ((0, 0, 1, 1), None, None)


def test_split_becomes_slices_of_the_used_parts(graph: Any, same: Any) -> None:
    first = graph.op(top.Split, graph.input(2, 7), results=3, axis=-1, num=3, split_size=(2, 4, 1))
    last = first.owner.results[2]
    module = graph.module(graph.op(top.Exp, last), last)
    assert same(graph, module, lambda m: Canonicalize().run(m) and EliminateDead().run(m)) == ["Slice", "Exp"]


def test_where_keeps_its_shape_when_the_constant_made_it(graph: Any, same: Any) -> None:
    condition = graph.op(top.CompareConst, graph.input(3), mode="Less", const_val=0.0, inversed=False)
    module = graph.module(graph.op(top.Where, condition, graph.input(3), graph.weight(np.full((2, 3), 7.0))))
    assert same(graph, module, lambda m: Canonicalize().run(m)) == ["CompareConst", "Where"]
    assert not module.function.operations[-1].attributes()["y_is_const"]


def test_an_input_returned_through_an_identity_stays(graph: Any, same: Any) -> None:
    module = graph.module(graph.op(top.Reshape, graph.input(2, 3), shape=(2, 3)))
    assert same(graph, module, lambda m: Canonicalize().run(m)) == ["Reshape"]


def test_two_outputs_of_one_value_keep_both_names(graph: Any, same: Any) -> None:
    value = graph.op(top.Relu, graph.input(2, 3))
    module = graph.module(value, graph.op(top.Reshape, value, shape=(2, 3)))
    assert same(graph, module, lambda m: Canonicalize().run(m)) == ["Relu", "Reshape"]


def test_empty_tensors_are_left_alone(graph: Any, same: Any) -> None:
    module = graph.module(graph.op(top.Squeeze, graph.input(0, 1, 3), axes=(1,)))
    assert same(graph, module, lambda m: Canonicalize().run(m)) == ["Squeeze"]
