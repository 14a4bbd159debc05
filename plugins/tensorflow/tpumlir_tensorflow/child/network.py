"""A frozen graph with its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_DANGEROUS = """
PyFunc PyFuncStateless EagerPyFunc ReadFile WriteFile MatchingFiles PrintV2 ImmutableConst Save SaveSlices WholeFileReader
WholeFileReaderV2 TextLineReader TextLineReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 TFRecordReader TFRecordReaderV2
IdentityReader IdentityReaderV2 LMDBReader DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
DebugNumericSummaryV2 RpcCall RpcClient RpcServer Rpc TryRpc Send Recv _Send _Recv DataServiceDataset TextLineDataset
TFRecordDataset FixedLengthRecordDataset FileSystemSetConfiguration
"""
DANGEROUS = frozenset(_DANGEROUS.split())
"""Operations that call Python, or reach files or the network: no part of a network, and dangerous in a file from elsewhere."""
STORING = frozenset(("SaveV2", "MergeV2Checkpoints", "RestoreV2", "Restore", "RestoreSlice", "ShardedFilename", "ShardedFilespec"))
"""Operations that every SavedModel has to store and restore its variables; an output must not need them."""


class Refused(Exception):
    """The model cannot be converted; ``items`` are the operations that are not supported, if it is those."""

    def __init__(self, text: str, items: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.items = tuple(items)


@dataclass(frozen=True)
class Port:
    """An input or output: its tensor in the graph (``node:index``), what the model calls it, numpy type, shape with None where open."""

    tensor: str
    name: str
    dtype: Any
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Network:
    """A GraphDef without variables, its inputs (placeholders) and outputs."""

    graph: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def node_of(tensor: str) -> str:
    """The node that a tensor, or a control input, comes from."""
    return tensor.lstrip("^").partition(":")[0]


def needed(graph: Any, outputs: Sequence[str]) -> Iterator[Any]:
    """The nodes that some nodes of a GraphDef need, those of the functions that are called among them."""
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    seen: set[str] = set()
    pending = [name for name in outputs if name in nodes]
    called: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        yield nodes[name]
        called |= set(_called(nodes[name]))
        pending += [source for text in nodes[name].input if (source := node_of(text)) in nodes]
    visited: set[str] = set()
    while called:
        function = functions.get(called.pop())
        if function is None or function.signature.name in visited:
            continue
        visited.add(function.signature.name)
        for node in function.node_def:
            yield node
            called |= set(_called(node))


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (function.name for function in value.list.func)


def refuse(nodes: Iterator[Any], operations: frozenset[str]) -> None:
    """Raise Refused where some nodes are of such operations."""
    found = sorted({f"{node.op} (node {node.name})" for node in nodes if node.op in operations})
    if found:
        raise Refused("operations that are no part of a network, and may touch more than the model", found)


def tensor_port(graph: Any, tensor: str) -> Port:
    """A tensor of a tf.Graph as an input or output, called as its node, with its index where it is not the first result."""
    found = graph.get_tensor_by_name(tensor)
    shape = None if found.shape.rank is None else tuple(found.shape.as_list())
    node, _, index = tensor.partition(":")
    return Port(tensor, node if index in ("", "0") else f"{node}_{index}", found.dtype.as_numpy_dtype, shape)
