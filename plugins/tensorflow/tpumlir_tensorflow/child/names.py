"""What tensors are called: as in the graph, without what only says how it was stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tpumlir_tensorflow.child.network import Network, Port, Refused, tensor_port

_CALLS = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+")


def plain(tensor: str) -> str:
    """``StatefulPartitionedCall/net/conv/Conv2D:0`` -> ``net/conv/Conv2D``; a result that is not the first keeps its index: ``x_1``."""
    node, _, index = tensor.partition(":")
    node = _CALLS.sub("", node) or node
    return node if index in ("", "0") or not index.isdigit() else f"{node}_{index}"


class Names:
    """The tensors of a graph by what users may call them."""

    def __init__(self, network: Network) -> None:
        self._ports = {port.name: port for port in (*network.outputs, *network.inputs)}
        self._nodes = {node.name for node in network.graph.node}
        self._plain: dict[str, str] = {}
        for node in network.graph.node:
            self._plain.setdefault(plain(node.name), node.name)

    def port(self, graph: Any, name: str, what: str) -> Port:
        """The tensor that a user calls ``name``: an input or output of the model, ``node``, ``node:1``, or what ``plain`` makes of it."""
        if name in self._ports:
            return self._ports[name]
        node, _, index = name.partition(":")
        node = node if node in self._nodes else self._plain.get(node, "")
        try:
            port = tensor_port(graph, f"{node}:{index or 0}")
        except (KeyError, ValueError):
            raise Refused(f"{what} name {name} is no tensor of this model") from None
        return Port(port.tensor, plain(port.tensor), port.dtype, port.shape)


def renaming(names: Iterable[str], fixed: dict[str, str]) -> dict[str, str]:
    """A name for each tensor of an ONNX graph, all different: those in ``fixed``, and plain ones where they are free."""
    chosen = dict(fixed)
    taken = set(fixed.values())
    for name in names:
        if name in chosen:
            continue
        wanted = free = plain(name)
        count = 0
        while free in taken:
            count += 1
            free = f"{wanted}__{count}"
        chosen[name] = free
        taken.add(free)
    return chosen
