"""A frozen graph begun and ended where the user says, without calls of functions, its input shapes fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_tensorflow.child.names import Names
from tpumlir_tensorflow.child.network import Network, Port, Refused, node_of

_KINDS = "fiub"
"""Kinds of numpy types that a network takes."""


def trimmed(network: Network, input_shapes: Sequence[Sequence[int]], input_names: Sequence[str], output_names: Sequence[str]) -> Network:
    """The network to convert. Raises Refused for names that are no tensors, and shapes that do not fit or stay open."""
    import tensorflow as tf

    network = _inlined(network)
    names = Names(network)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network.graph, name="")
        inputs = [names.port(graph, name, "input") for name in input_names] or list(network.inputs)
        outputs = [names.port(graph, name, "output") for name in output_names] or list(network.outputs)
    if not outputs:
        raise Refused("the model has no output")
    inputs = [replace(port, shape=shape) for port, shape in zip(inputs, _shapes(inputs, input_shapes), strict=True)]
    definition, inputs = _begun(network.graph, inputs)
    outputs = _distinct(definition, inputs, outputs)
    definition = tf.compat.v1.graph_util.extract_sub_graph(definition, [node_of(port.tensor) for port in outputs])
    return Network(definition, tuple(_used(definition, inputs, bool(input_names))), tuple(outputs))


def _inlined(network: Network) -> Network:
    """The same without calls of functions, so that every tensor has a name in one graph."""
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.grappler import tf_optimizer

    if not network.graph.library.function:
        return network
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network.graph, name="")
        meta = tf.compat.v1.train.export_meta_graph(graph_def=network.graph, graph=graph)
    fetched = meta_graph_pb2.CollectionDef()
    fetched.node_list.value.extend(port.tensor for port in (*network.inputs, *network.outputs))
    meta.collection_def["train_op"].CopyFrom(fetched)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.optimizers.append("function")
    config.graph_options.rewrite_options.min_graph_nodes = -1
    return replace(network, graph=tf_optimizer.OptimizeGraph(config, meta))


def _shapes(inputs: Sequence[Port], given: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    if given and len(given) != len(inputs):
        raise Refused(f"{len(given)} input shapes are given, but the model has {len(inputs)} inputs")
    return [_fixed(port, given[index] if given else None) for index, port in enumerate(inputs)]


def _fixed(port: Port, given: Sequence[int] | None) -> tuple[int, ...]:
    if np.dtype(port.dtype).kind not in _KINDS:
        raise Refused(f"input {port.name}: its type {np.dtype(port.dtype).name} is not supported")
    if given is None:
        if port.shape is None or None in port.shape:
            known = "unknown" if port.shape is None else "[" + ", ".join("?" if e is None else str(e) for e in port.shape) + "]"
            raise Refused(f"input {port.name}: its shape {known} is not fixed; pass --input-shapes")
        return tuple(extent for extent in port.shape if extent is not None)
    fits = port.shape is None or (len(port.shape) == len(given) and all(e in (None, g) for e, g in zip(port.shape, given, strict=True)))
    if not fits:
        raise Refused(f"input {port.name}: shape {list(given)} does not fit the model's {list(port.shape or ())}".replace("None", "?"))
    return tuple(given)


def _begun(graph: Any, inputs: Sequence[Port]) -> tuple[Any, list[Port]]:
    """The graph with a placeholder of the fixed shape for every input, and what the inputs are in it."""
    import tensorflow as tf

    begun = tf.compat.v1.GraphDef()
    begun.CopyFrom(graph)
    nodes = {node.name: node for node in begun.node}
    made: dict[str, str] = {}
    for number, port in enumerate(inputs):
        node = nodes[node_of(port.tensor)]
        if node.op != "Placeholder":
            node = begun.node.add(name=f"tpumlir_input_{number}", op="Placeholder")
            made[port.tensor.removesuffix(":0")] = node.name
        node.attr["dtype"].type = tf.dtypes.as_dtype(port.dtype).as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(port.shape).as_proto())
        node.attr.pop("_output_shapes", None)
    for node in begun.node:
        node.attr.pop("_output_shapes", None)
        for index, source in enumerate(node.input):
            node.input[index] = made.get(source.removesuffix(":0"), source)
    moved = [replace(port, tensor=f"{made[key]}:0") if (key := port.tensor.removesuffix(":0")) in made else port for port in inputs]
    return begun, moved


def _distinct(graph: Any, inputs: Sequence[Port], outputs: Sequence[Port]) -> list[Port]:
    """The outputs, each a tensor of its own: a copy where two are one, or one is an input."""
    import tensorflow as tf

    taken = {port.tensor for port in inputs}
    found = []
    for number, port in enumerate(outputs):
        if port.tensor in taken:
            node = graph.node.add(name=f"tpumlir_output_{number}", op="Identity", input=[port.tensor.removesuffix(":0")])
            node.attr["T"].type = tf.dtypes.as_dtype(port.dtype).as_datatype_enum
            port = replace(port, tensor=f"{node.name}:0")
        taken.add(port.tensor)
        found.append(port)
    return found


def _used(graph: Any, inputs: Sequence[Port], chosen: bool) -> list[Port]:
    """The inputs that are left. Raises Refused where the network needs others than the user chose, or not one of those."""
    left = {node.name for node in graph.node}
    unknown = sorted(node.name for node in graph.node if node.op == "Placeholder" and node.name not in {node_of(i.tensor) for i in inputs})
    if unknown:
        raise Refused(f"the outputs need the input {unknown[0]} too; name it with --input-names")
    idle = [port.name for port in inputs if node_of(port.tensor) not in left]
    if idle and chosen:
        raise Refused(f"no output needs {idle[0]}, which --input-names names")
    return [port for port in inputs if node_of(port.tensor) in left]

