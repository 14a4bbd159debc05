"""A frozen graph as ONNX, by tf2onnx."""

from __future__ import annotations

from typing import Any

from tpumlir_tensorflow.child.more_operators import handlers
from tpumlir_tensorflow.child.names import plain, renaming
from tpumlir_tensorflow.child.network import Network, Refused

OPSET = 17
_LARGEST = (1 << 31) - (1 << 20)
"""Bytes that a protobuf message can have, with some room."""
_LOOPS = ("LoopCond", "StatelessWhile", "While")
"""Of which every loop has one, whichever way it is written."""


def to_onnx(network: Network) -> bytes:
    """The bytes of an ONNX model whose tensors are called as in the graph; inputs and outputs are in the layout that they have there."""
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader
    from tf2onnx.tfonnx import process_tf_graph

    inputs, outputs = [port.tensor for port in network.inputs], [port.tensor for port in network.outputs]
    loops = sorted(f"{node.op} (node {plain(node.name)})" for node in network.graph.node if node.op in _LOOPS)
    if loops:
        raise Refused("loops and recurrent layers are not supported; cut the network before them, or unroll them", loops)
    if network.graph.ByteSize() > _LARGEST:
        raise Refused("models of 2 GiB and more are not converted")
    with tf.Graph().as_default():  # without a graph of its own, it refuses to work beside eager execution
        optimized = tf_loader.tf_optimize(inputs, outputs, network.graph)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(optimized, name="")
        made = process_tf_graph(graph, opset=OPSET, input_names=inputs, output_names=outputs, custom_op_handlers=handlers())
    made = optimizer.optimize_graph(made, catch_errors=False)
    model = made.make_model("network")
    _rename(model.graph, network)
    data: bytes = model.SerializeToString()
    return data


def _rename(graph: Any, network: Network) -> None:
    """Call the tensors as the model does."""
    fixed = {port.tensor: port.name for port in (*network.outputs, *network.inputs)}
    names = [name for node in graph.node for name in node.output] + [tensor.name for tensor in graph.initializer]
    chosen = renaming([value.name for value in graph.input] + names, fixed)
    pending = [graph]
    while pending:
        part = pending.pop()
        for value in (*part.input, *part.output, *part.value_info, *part.initializer):
            value.name = chosen.get(value.name, value.name)
        for node in part.node:
            pending += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
            node.name = plain(node.name)
            for texts in (node.input, node.output):
                for index, name in enumerate(texts):
                    texts[index] = chosen.get(name, name)
