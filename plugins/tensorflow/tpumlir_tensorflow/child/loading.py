"""Models of each kind as frozen graphs. Nothing of a file is run but what its variables are restored with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tpumlir_tensorflow.child.keras_files import check_file
from tpumlir_tensorflow.child.network import DANGEROUS, STORING, Network, Port, Refused, needed, node_of, refuse, tensor_port

SERVING, DEFAULT = "serve", "serving_default"
_INITIALIZER = "__saved_model_init_op"
_RESTORING_OPERATIONS = "AssignVariableOp Assign Const Identity NoOp Pack Placeholder PlaceholderWithDefault RestoreV2 Reshape Cast"
_RESTORING = frozenset(_RESTORING_OPERATIONS.split())
"""What restoring variables takes, besides the variables themselves and calls of functions."""
_VARIABLES = frozenset(("VarHandleOp", "VariableV2", "Variable", "StatefulPartitionedCall", "PartitionedCall"))


def load(kind: str, model: Path, folder: Path) -> Network:
    """The network of a model. Raises Refused."""
    match kind:
        case "saved model":
            return _saved_model(model)
        case "frozen graph":
            return _frozen_graph(model)
        case _:
            check_file(model, folder)
            return _keras(model)


# --- SavedModel -----------------------------------------------------------------------------------------------------------
def _saved_model(folder: Path) -> Network:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import convert_to_constants

    meta = _meta_graph(saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()))
    signature = _signature(meta)
    names = sorted({node_of(info.name) for info in (*signature.inputs.values(), *signature.outputs.values())})
    refuse(needed(meta.graph_def, names), DANGEROUS | STORING)
    restore = _restoring(meta)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(meta.graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            if restore:
                session.run(restore, {meta.saver_def.filename_tensor_name: str(folder / "variables" / "variables")})
            definition = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), names)
            frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(session, definition, names)
    ports = [tuple(_port(info, name) for name, info in sorted(ports.items())) for ports in (signature.inputs, signature.outputs)]
    return Network(frozen, *ports)


def _meta_graph(saved: Any) -> Any:
    graphs = list(saved.meta_graphs)
    serving = [meta for meta in graphs if SERVING in meta.meta_info_def.tags] or graphs
    if len(serving) != 1:
        raise Refused(f"it holds {len(graphs)} graphs, {len(serving)} of them to choose from; one with the tag {SERVING!r} is read")
    return serving[0]


def _signature(meta: Any) -> Any:
    signatures = {name: one for name, one in meta.signature_def.items() if name != _INITIALIZER and one.outputs}
    if DEFAULT not in signatures and len(signatures) != 1:
        told = ", ".join(sorted(signatures)) or "none"
        raise Refused(f"it has no signature {DEFAULT!r} (signatures: {told}); export it with one")
    return signatures.get(DEFAULT) or next(iter(signatures.values()))


def _restoring(meta: Any) -> str:
    """The node that restores variables, which is all of the file that is ever run by itself; "" where there are no variables."""
    name: str = meta.saver_def.restore_op_name
    if not name or not any(node.op in _VARIABLES for node in meta.graph_def.node):
        return ""
    for node in needed(meta.graph_def, [name]):
        if node.op not in _RESTORING | _VARIABLES:
            raise Refused("restoring its variables takes more than reading them", [f"{node.op} (node {node.name})"])
    return name


def _port(info: Any, name: str) -> Port:
    import tensorflow as tf

    if not info.name:
        raise Refused(f"{name} is no plain tensor")
    shape = None if info.tensor_shape.unknown_rank else tuple(None if d.size < 0 else d.size for d in info.tensor_shape.dim)
    return Port(info.name, name, tf.dtypes.as_dtype(info.dtype).as_numpy_dtype, shape)


# --- frozen graph -----------------------------------------------------------------------------------------------------------
def _frozen_graph(path: Path) -> Network:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    variables = sorted({f"{node.op} (node {node.name})" for node in graph.node if node.op in ("VariableV2", "Variable", "VarHandleOp")})
    if variables:
        raise Refused("the graph is not frozen, its variables are not in it", variables)
    refuse(iter(graph.node), DANGEROUS | STORING)
    used = {node_of(text) for node in graph.node for text in node.input}
    nothing = ("Const", "NoOp", "Placeholder", "Assert")
    ends = [node.name for node in graph.node if node.name not in used and node.op not in nothing]
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(graph, name="")
        inputs = [tensor_port(imported, f"{node.name}:0") for node in graph.node if node.op == "Placeholder"]
        outputs = [tensor_port(imported, tensor.name) for name in ends for tensor in imported.get_operation_by_name(name).outputs]
    return Network(graph, tuple(inputs), tuple(outputs))


# --- Keras ------------------------------------------------------------------------------------------------------------------
def _keras(path: Path) -> Network:
    import keras
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    model = keras.saving.load_model(path, custom_objects=None, compile=False, safe_mode=True)
    if not getattr(model, "inputs", None):
        raise Refused("the model does not say what its inputs are; export it as a SavedModel")
    specs = [tf.TensorSpec(given.shape, given.dtype, name=given.name) for given in model.inputs]
    function = tf.function(lambda *tensors: tf.nest.flatten(model(tensors[0] if len(specs) == 1 else list(tensors), training=False)))
    frozen = convert_to_constants.convert_variables_to_constants_v2(function.get_concrete_function(*specs))
    inputs = _keras_ports(frozen.inputs, [given.name for given in model.inputs])
    names = list(getattr(model, "output_names", ())) or [model.layers[-1].name]  # a Sequential has none
    return Network(frozen.graph.as_graph_def(), inputs, _keras_ports(frozen.outputs, names))


def _keras_ports(tensors: Sequence[Any], names: list[str]) -> tuple[Port, ...]:
    """Tensors of a function as inputs or outputs."""
    called = zip(tensors, _unique(names, len(tensors)), strict=True)
    return tuple(Port(tensor.name, name, tensor.dtype.as_numpy_dtype, _shape(tensor)) for tensor, name in called)


def _unique(names: list[str], count: int) -> list[str]:
    """``count`` names, those that come twice numbered."""
    found: list[str] = []
    for index in range(count):
        name = names[index] if index < len(names) else f"output_{index}"
        found.append(name if name not in found else f"{name}_{index}")
    return found


def _shape(tensor: Any) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
