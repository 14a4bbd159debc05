"""Comparison, boolean logic, selection and casts. Booleans are 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_tflite.converters.arithmetic import number_beside, truncated
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import along, normal_axis, together

_NARROW = ("INT8", "UINT8", "INT16", "UINT16")
_BITS = {"INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16, "INT32": 32, "UINT32": 32, "INT64": 64, "UINT64": 64}


def _compare(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Laid:
        for index in (1, 0):
            number = number_beside(im, node, index)
            if number is not None:
                x = im.laid(node.input(1 - index))
                return im.emit(top.CompareConst, [x.value], x.layout, mode=mode, const_val=number, inversed=index == 0)
        values, layout = together(im, node.inputs[:2])
        return im.emit(top.Compare, values, layout, mode=mode)

    return convert


def logical_and(im: Importer, node: Node) -> Laid:
    values, layout = together(im, node.inputs[:2])
    return im.emit(top.Compare, values, layout, mode="And")


def logical_or(im: Importer, node: Node) -> Laid:
    values, layout = together(im, node.inputs[:2])
    return im.emit(top.Max, values, layout)


def logical_not(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    return im.emit(top.CompareConst, [x.value], x.layout, mode="Equal", const_val=0.0, inversed=False)


def select_v2(im: Importer, node: Node) -> Laid:
    values, layout = together(im, node.inputs[:3])
    return im.emit(top.Where, values, layout)


def select(im: Importer, node: Node) -> Laid:
    """A condition of one dimension chooses rows."""
    condition, rank = im.shape(im.present(node.input(0))), len(im.shape(im.present(node.input(1))))
    if len(condition) != 1 or rank < 2:
        return select_v2(im, node)
    rows = im.step("rows", top.Reshape, [im.value(node.input(0))], shape=(*condition, *(1,) * (rank - 1)))
    return im.emit(top.Where, [rows, im.value(node.input(1)), im.value(node.input(2))])


def one_hot(im: Importer, node: Node) -> Laid:
    """Compare the indices with 0 .. depth - 1 along a new axis."""
    indices = im.value(node.input(0))
    (depth,) = im.integers(node.input(1), "depth")
    on, off = (float(im.required(node.input(i), "values").reshape(-1)[0]) for i in (2, 3))
    if depth < 1:
        raise InputError(f"depth {depth} must be positive")
    im.check_constant((*indices.shape, depth))
    rank = len(indices.shape) + 1
    axis = normal_axis(node.options("OneHotOptions").Axis(), rank)
    wide = im.step("axis", top.Unsqueeze, [indices], axes=(axis,))
    positions = im.constant_result("positions", along(np.arange(depth, dtype=np.float32), axis, rank))
    if (on, off) == (1.0, 0.0):
        return im.emit(top.Compare, [wide, positions], mode="Equal")
    hits = im.step("hits", top.Compare, [wide, positions], mode="Equal")
    return im.emit(top.Where, [hits, None, None], x_is_const=True, y_is_const=True, x_const_val=on, y_const_val=off)


def cast(im: Importer, node: Node) -> Laid:
    """Floats to integers truncate, anything to bool compares with 0; all else changes no value that float32 holds."""
    given, wanted = (im.graph.tensors[index].type for index in (im.present(node.input(0)), node.outputs[0]))
    x = im.laid(node.input(0))
    if wanted in _NARROW and given in _BITS and (_BITS[given] > _BITS[wanted] or given[0] != wanted[0]):
        raise im.refusal(f"{given} numbers as {wanted}, which wrap around")
    if wanted == "BOOL" and given != "BOOL":
        return im.emit(top.CompareConst, [x.value], x.layout, mode="NotEqual", const_val=0.0, inversed=False)
    if wanted in _BITS and given.startswith("FLOAT"):
        return truncated(im, x.value, x.layout)
    return im.same(x)


CONVERTERS: Mapping[str, Converter] = {
    "CAST": cast, "EQUAL": _compare("Equal"), "GREATER": _compare("Greater"), "GREATER_EQUAL": _compare("GreaterOrEqual"),
    "LESS": _compare("Less"), "LESS_EQUAL": _compare("LessOrEqual"), "LOGICAL_AND": logical_and, "LOGICAL_NOT": logical_not,
    "LOGICAL_OR": logical_or, "NOT_EQUAL": _compare("NotEqual"), "ONE_HOT": one_hot, "SELECT": select, "SELECT_V2": select_v2,
}
