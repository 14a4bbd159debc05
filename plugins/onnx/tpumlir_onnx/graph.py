"""An ONNX graph as plain Python: nodes with decoded attributes, initializers as arrays, typed inputs, outputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_onnx.tensors import PLAIN, WIDENED, decode

DEFAULT_DOMAINS = ("", "ai.onnx")
_MAX_NESTING = 16


@dataclass(frozen=True)
class Node:
    """One ONNX node. ``opset`` is the version of its domain that the model imports; "" is an absent input or output."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    def __str__(self) -> str:
        return f"node {self.label} ({self.op_type})"

    @property
    def label(self) -> str:
        """Its name, or that of its first result: what messages call it."""
        return self.name or next(filter(None, self.outputs), "(unnamed)")

    def has(self, name: str) -> bool:
        """Whether the attribute is set."""
        return name in self.attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; without a default it is required."""
        value = self._typed(name, int, default)
        assert isinstance(value, int)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is 0 or 1."""
        value = self.integer(name, int(default))
        if value not in (0, 1):
            raise InputError(f"{self}: attribute {name} is {value}, neither 0 nor 1")
        return bool(value)

    def number(self, name: str, default: float | None = None) -> float:
        """A float attribute (an integer is accepted)."""
        return float(self._typed(name, (int, float), default))

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        value = self._typed(name, tuple, None if default is None else tuple(default))
        if not all(isinstance(v, int) for v in value):
            raise InputError(f"{self}: attribute {name} must be integers")
        return tuple(value)

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        return str(self._typed(name, str, default))

    def tensor(self, name: str) -> Array:
        """A tensor attribute."""
        value = self._typed(name, np.ndarray, None)
        assert isinstance(value, np.ndarray)
        return value

    def _typed(self, name: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value = self.attributes.get(name, default)
        if value is None:
            raise InputError(f"{self}: attribute {name} is missing")
        if not isinstance(value, kind):
            raise InputError(f"{self}: attribute {name} has the wrong type")
        return value

    def input(self, index: int) -> str:
        """The name of an input, "" if absent."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class GraphInput:
    """A graph input as the file declares it: its numpy type, and its shape with None for each dimension left open."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None


@dataclass
class Graph:
    """A graph, or the branch of an If: its nodes in an order in which they can run."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, Array] = field(default_factory=dict)
    inputs: list[GraphInput] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_graph(
    proto: Any, opsets: Mapping[str, int], folder: Path | None, data: Mapping[str, bytes] = MappingProxyType({}), nesting: int = 0
) -> Graph:
    """The graph of a ``GraphProto``. Raises InputError for whatever is broken in it.

    Only the main graph's initializers may lie in other files, in ``folder``; ``data`` has the bytes of those that were taken out.
    """
    if nesting > _MAX_NESTING:
        raise InputError(f"graph {proto.name}: sub-graphs are nested more than {_MAX_NESTING} deep")
    graph = Graph(proto.name)
    for tensor in proto.initializer:
        if not tensor.name or tensor.name in graph.initializers:
            raise InputError(f"graph {proto.name}: initializer name '{tensor.name}' is empty or used twice")
        graph.initializers[tensor.name] = decode(tensor, folder, data.get(tensor.name))
    if proto.sparse_initializer:
        raise InputError(f"graph {proto.name}: sparse initializers are not supported; store them dense")
    names: set[str] = set()
    for value in proto.input:
        if not value.name or value.name in names:
            raise InputError(f"graph {proto.name}: input name '{value.name}' is empty or used twice")
        names.add(value.name)
        if value.name not in graph.initializers:
            graph.inputs.append(_graph_input(value))
    graph.outputs = [value.name for value in proto.output]
    nodes = [_node(node, opsets, nesting) for node in proto.node]
    known = set(graph.initializers) | {i.name for i in graph.inputs}
    graph.nodes = nodes if nesting else sort_nodes(nodes, known)
    return graph


def _graph_input(value: Any) -> GraphInput:
    from onnx import helper

    if value.type.WhichOneof("value") != "tensor_type":
        raise InputError(f"input {value.name}: only tensors are supported, not sequences, maps or optionals")
    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError):
        raise InputError(f"input {value.name}: element type {tensor.elem_type} is not supported") from None
    if dtype.name not in PLAIN and dtype.name not in WIDENED:
        raise InputError(f"input {value.name}: element type {dtype.name} is not supported")
    if not tensor.HasField("shape"):
        return GraphInput(value.name, dtype, None)
    return GraphInput(value.name, dtype, tuple(_dimension(d) for d in tensor.shape.dim))


def _dimension(dimension: Any) -> int | None:
    fixed = dimension.HasField("dim_value") and dimension.dim_value > 0
    return int(dimension.dim_value) if fixed else None


def _node(proto: Any, opsets: Mapping[str, int], nesting: int) -> Node:
    domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
    label = proto.name or (proto.output[0] if proto.output else "(unnamed)")
    if not proto.op_type or not any(proto.output):
        raise InputError(f"node {label}: it has no operator type or no output")
    attributes = {a.name: _attribute(a, label, opsets, nesting) for a in proto.attribute}
    return Node(proto.op_type, domain, proto.name, tuple(proto.input), tuple(proto.output), attributes, opsets.get(domain, 0))


def check_inputs(node: Node) -> None:
    """Raise InputError if a standard operator has fewer or more inputs than ONNX says."""
    least, most = _input_counts(node.op_type, node.opset) if node.domain == "" else (0, len(node.inputs))
    if not least <= len(node.inputs) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise InputError(f"{node}: it has {len(node.inputs)} inputs, but the operator takes {wanted}")


@lru_cache
def _input_counts(op_type: str, opset: int) -> tuple[int, int]:
    """The least and greatest number of inputs; anything for an operator that ONNX does not have."""
    from onnx import defs

    if not defs.has(op_type, opset, ""):
        return 0, sys.maxsize
    schema = defs.get_schema(op_type, opset, "")
    return schema.min_input, schema.max_input


def _attribute(proto: Any, node: str, opsets: Mapping[str, int], nesting: int) -> Any:
    from onnx import AttributeProto, helper

    if proto.type == AttributeProto.TENSOR:
        return decode(proto.t, None)
    if proto.type == AttributeProto.GRAPH:
        return read_graph(proto.g, opsets, None, nesting=nesting + 1)
    if proto.type in (AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING):
        value = helper.get_attribute_value(proto)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if proto.type in (AttributeProto.FLOATS, AttributeProto.INTS):
        return tuple(helper.get_attribute_value(proto))
    if proto.type == AttributeProto.STRINGS:
        return tuple(text.decode("utf-8", "replace") for text in proto.strings)
    if proto.ref_attr_name:
        raise InputError(f"node {node}: attribute {proto.name} refers to a function's attribute outside any function")
    return None


def sort_nodes(nodes: Sequence[Node], known: set[str]) -> list[Node]:
    """The nodes in topological order (a stable one: a sorted file keeps its order). Raises InputError for duplicates,
    cycles and inputs that nothing makes."""
    producer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in producer or name in known:
                raise InputError(f"{node}: tensor '{name}' is made twice; every tensor must have one producer")
            producer[name] = index
    state = [0] * len(nodes)
    order: list[Node] = []
    for root in range(len(nodes)):
        stack = [root]
        while stack:
            index = stack[-1]
            if state[index] == 0:
                state[index] = 1
                stack.extend(_unsorted_producers(nodes[index], producer, known, state))
                continue
            stack.pop()
            if state[index] == 1:
                state[index] = 2
                order.append(nodes[index])
    return order


def _unsorted_producers(node: Node, producer: Mapping[str, int], known: set[str], state: Sequence[int]) -> list[int]:
    """Producers of a node's inputs that are not placed yet, last input first (so that the stack takes them in order)."""
    found = []
    for name in reversed([n for n in used_names(node) if n not in known]):
        if name not in producer:
            raise InputError(f"{node}: input '{name}' is made by no node, input or initializer")
        index = producer[name]
        if state[index] == 1:
            raise InputError(f"{node}: the graph has a cycle through tensor '{name}'")
        if state[index] == 0:
            found.append(index)
    return found


def used_names(node: Node) -> list[str]:
    """The outer tensors that a node needs: its inputs, and what its sub-graphs take from outside."""
    names = [n for n in node.inputs if n]
    for value in node.attributes.values():
        if isinstance(value, Graph):
            inner = set(value.initializers) | {i.name for i in value.inputs} | {o for n in value.nodes for o in n.outputs}
            names += [n for inside in value.nodes for n in used_names(inside) if n not in inner]
            names += [n for n in value.outputs if n and n not in inner]
    return names
