"""The converters: one function for each ONNX operator, in one file a family; here their table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_onnx.constants import constant_of, element_dtype
from tpumlir_onnx.converters import (
    activation,
    convolution,
    elementwise,
    gather,
    linear,
    logic,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
)
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer

_FAMILIES = (
    activation, convolution, elementwise, gather, linear, logic, movement, normalization, pooling, recurrent, reduction, resize,
)
CONVERTERS: Mapping[str, Converter] = {name: f for family in _FAMILIES for name, f in family.CONVERTERS.items()}

_BOOLEAN = frozenset(
    ("And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor")
)
_INDICES = frozenset(("ArgMax", "ArgMin", "NonZero", "Shape", "Size"))
_TYPED_BY_INPUT: Mapping[str, int] = {"Where": 1, "CastLike": 1, "OneHot": 2}


def result_dtype(importer: Importer, node: Node) -> np.dtype[Any]:
    """The numpy type of a node's first result, by the rules of the ONNX operators."""
    if node.op_type in _BOOLEAN:
        return np.dtype(np.bool_)
    if node.op_type in _INDICES:
        return np.dtype(np.int64)
    if node.op_type == "Cast":
        return element_dtype(node, node.integer("to"))
    if node.op_type == "Constant":
        return constant_of(node).dtype
    if node.op_type == "EyeLike" and node.has("dtype"):
        return element_dtype(node, node.integer("dtype"))
    name = node.input(_TYPED_BY_INPUT.get(node.op_type, 0))
    return importer.dtypes.get(name, np.dtype(np.float32))
