"""Operations that tf2onnx 1.17 does not know but other operations say: handlers for its ``custom_op_handlers``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Handler = tuple[Callable[[Any, Any, str, Sequence[Any]], None], Sequence[Any]]


def handlers() -> Mapping[str, Handler]:
    """The handler of each operation, as tf2onnx takes them: (function, arguments)."""
    return {name: (function, []) for name, function in (("Erfc", _erfc), ("Expm1", _expm1), ("Log1p", _log1p))}


def _one(graph: Any, node: Any) -> str:
    """The name of a constant 1 in the type of a node's input."""
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))
    name: str = graph.make_const(utils.make_name("one"), np.array(1, dtype)).output[0]
    return name


def _replace(graph: Any, node: Any, kind: str, inputs: Sequence[str]) -> None:
    """Let another operation make a node's result."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    name, outputs = node.name, list(node.output)
    graph.remove_node(name)
    graph.make_node(kind, list(inputs), name=name, outputs=outputs, shapes=[shape], dtypes=[dtype])


def _erfc(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Erf", [node.input[0]])
    _replace(graph, node, "Sub", [_one(graph, node), inner.output[0]])


def _expm1(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Exp", [node.input[0]])
    _replace(graph, node, "Sub", [inner.output[0], _one(graph, node)])


def _log1p(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    inner = graph.make_node("Add", [node.input[0], _one(graph, node)])
    _replace(graph, node, "Log", [inner.output[0]])
