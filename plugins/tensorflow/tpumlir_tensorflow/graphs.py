"""Looking into graphs before TensorFlow is started for them: whether they are whole, and whether anything in them is more than a network.

Fields by their numbers in TensorFlow's graph.proto, node_def.proto, attr_value.proto, tensor.proto, function.proto, saved_model.proto
and meta_graph.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from tpumlir_core.conversion.wire import Message
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_tensorflow.child.network import DANGEROUS, node_of
from tpumlir_tensorflow.files import SAVED_MODEL, VARIABLES

LARGEST_GRAPH = (1 << 31) - 1
"""Bytes of the largest graph; protobuf allows for no more."""
LARGEST_REPEATED = 1 << 28
"""Bytes of the largest constant of one repeated number, which takes no room in the file."""
_OPERATION = re.compile(r"[A-Za-z_.][A-Za-z0-9_>./\\-]*")
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_>./\\-]*")
_BYTES: Mapping[int, int] = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 14: 2, 17: 2, 18: 16, 19: 2, 22: 4, 23: 8}
"""Bytes of an element by its DataType (types.proto)."""
_HOLDS_VARIABLES = frozenset(("VarHandleOp", "VariableV2", "Variable"))


def check_frozen_graph(path: Path) -> None:
    """Raises InputError for a file that is no whole graph, or more than a network."""
    _check_graph(Message(_read(path), "the graph"))


def check_saved_model(folder: Path, files: Collection[Path]) -> None:
    """Raises InputError for a SavedModel that is damaged, incomplete, or more than a network."""
    saved = Message(_read(folder / SAVED_MODEL), SAVED_MODEL)
    if saved.integer(1) != 1 or not saved.has(2):
        raise InputError(f"{SAVED_MODEL}: no SavedModel of version 1 with a graph in it")
    operations: set[str] = set()
    for meta in saved.messages(2, f"a graph of {SAVED_MODEL}"):
        for asset in meta.messages(6, "an asset"):
            _check_asset(asset.text(2))
        if not meta.has(5):
            raise InputError("it has no signature, which says what its inputs and outputs are; export it with one")
        for signature in meta.messages(5, "a signature"):
            _check_signature(signature)
        operations |= _check_graph(meta.message(2, f"a graph of {SAVED_MODEL}"))
    if operations & _HOLDS_VARIABLES and not any(file.name == f"{VARIABLES}.index" for file in files):
        raise InputError(f"its variables are not there: {VARIABLES}/{VARIABLES}.index is missing")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_GRAPH:
            raise InputError("graphs of 2 GiB and more are not read")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _check_asset(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise InputError(f"its asset {name} lies outside of the model's folder")


def _check_signature(signature: Message) -> None:
    """An entry of a map: key 1, SignatureDef 2: inputs 1, outputs 2, maps of a name 1 to a TensorInfo 2: name 1."""
    name = signature.text(1)
    for number in (1, 2):
        for entry in signature.message(2, f"signature {name}").messages(number):
            if not entry.text(1) or entry.message(2).texts(1) == [""]:
                raise InputError(f"signature {name}: an input or output has no name or no tensor")


def _check_graph(graph: Message) -> set[str]:
    """GraphDef: node 1, library 2. The operations in it, those of functions too."""
    nodes = graph.messages(1, "a node")
    if not nodes:
        raise InputError("not a TensorFlow graph (it holds no node)")
    dangerous: set[str] = set()
    operations: set[str] = set()
    names: dict[str, Message] = {}
    for node in nodes:
        name = node.text(1)
        if not _NODE_NAME.fullmatch(name) or name in names:
            raise InputError(f"node '{name}': the name is none, or used twice")
        names[name] = node
        operations.add(_check_node(name, node, dangerous))
    for name, node in names.items():
        lacking = [text for text in node.texts(3) if node_of(text) not in names]
        if lacking:
            raise InputError(f"node {name}: its input '{lacking[0]}' is made by no node")
    for function in graph.message(2, "the functions").messages(1, "a function"):
        title = function.message(1, "a function's signature").text(1)
        if not title:
            raise InputError("a function of the graph has no name")
        for node in function.messages(3, f"a node of function {title}"):
            operations.add(_check_node(node.text(1), node, dangerous))
    if dangerous:
        raise UnsupportedError("operations that are no part of a network, and may touch more than the model", tuple(sorted(dangerous)))
    return operations


def _check_node(name: str, node: Message, dangerous: set[str]) -> str:
    """NodeDef: name 1, op 2, input 3, attr 5, a map of 1 to AttrValue 2, whose tensor is 8."""
    operation = node.text(2)
    if not _OPERATION.fullmatch(operation):
        raise InputError(f"node {name}: its operation '{operation}' is none")
    if operation in DANGEROUS:
        dangerous.add(f"{operation} (node {name})")
    for attribute in node.messages(5, f"node {name}"):
        if not attribute.text(1):
            raise InputError(f"node {name}: an attribute has no name")
        for tensor in attribute.message(2).messages(8):
            _check_tensor(name, tensor)
    return operation


def _check_tensor(name: str, tensor: Message) -> None:
    """TensorProto: dtype 1, tensor_shape 2, whose dim 2 has a size 1, tensor_content 4."""
    sizes = [dimension.integer(1) for dimension in tensor.message(2).messages(2)]
    width = _BYTES.get(tensor.integer(1))
    if min(sizes, default=0) < 0:
        raise InputError(f"node {name}: a constant of shape {sizes} cannot be")
    if width is None:
        return  # strings and handles, which networks have no use for
    size = math.prod(sizes) * width
    content = tensor.data(4)
    if content and len(content[-1]) != size:
        raise InputError(f"node {name}: a constant of shape {sizes} has {len(content[-1])} bytes in place of {size}")
    if not content and size > LARGEST_REPEATED:
        raise InputError(f"node {name}: a constant of shape {sizes} is too large")
