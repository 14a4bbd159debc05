"""Operations that tf2onnx 1.17 does not know, or says in what the compiler does not have: handlers for its ``custom_op_handlers``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Handler = tuple[Callable[[Any, Any, str, Sequence[Any]], None], Sequence[Any]]


def handlers() -> Mapping[str, Handler]:
    """The handler of each operation, as tf2onnx takes them: (function, arguments)."""
    found = {"Erfc": _erfc, "EuclideanNorm": _euclidean_norm, "Expm1": _expm1, "Log1p": _log1p, "ReverseV2": _reverse}
    return {name: (function, []) for name, function in found.items()}


def _one(graph: Any, node: Any) -> str:
    """The name of a constant 1 in the type of a node's input."""
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))
    name: str = graph.make_const(utils.make_name("one"), np.array(1, dtype)).output[0]
    return name


def _replace(graph: Any, node: Any, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
    """Let another operation make a node's result."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    name, outputs = node.name, list(node.output)
    graph.remove_node(name)
    graph.make_node(kind, list(inputs), attributes, name=name, outputs=outputs, shapes=[shape], dtypes=[dtype])


def _axes(node: Any) -> list[int]:
    """The axes that are a node's second input, a constant."""
    return [int(axis) for axis in np.atleast_1d(node.inputs[1].get_tensor_value(as_list=False))]


def _erfc(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Erf", [node.input[0]])
    _replace(graph, node, "Sub", [_one(graph, node), inner.output[0]])


def _expm1(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Exp", [node.input[0]])
    _replace(graph, node, "Sub", [inner.output[0], _one(graph, node)])


def _log1p(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Add", [node.input[0], _one(graph, node)])
    _replace(graph, node, "Log", [inner.output[0]])


def _euclidean_norm(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    kept = node.get_attr_value("keep_dims", 0)
    _replace(graph, node, "ReduceL2", [node.input[0]], axes=_axes(node), keepdims=int(kept))


def _reverse(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    """A slice backwards, from the last element to before the first."""
    from tf2onnx import utils

    axes = _axes(node)
    parts = [[-1] * len(axes), [np.iinfo(np.int64).min] * len(axes), axes, [-1] * len(axes)]
    constants = [graph.make_const(utils.make_name("reverse"), np.array(part, np.int64)).output[0] for part in parts]
    _replace(graph, node, "Slice", [node.input[0], *constants])
