"""Reading an ONNX file: protobuf, opset imports, local functions inlined, the declared inputs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_onnx.graph import DEFAULT_DOMAINS, Graph, read_graph

OLDEST_OPSET = 7
SUFFIXES = (".onnx",)
_MAX_FUNCTION_DEPTH = 4
_SMALL = 1 << 16
"""Bytes of an initializer that stay with a model while it is inlined; shapes and axes, which types may depend on, are smaller."""


def read_proto(path: Path) -> Any:
    """The ``ModelProto`` of a file as it is, external data not read. Raises InputError."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise InputError("not a valid ONNX file (broken or truncated protobuf)") from None
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise InputError("not an ONNX model (it holds no graph)")
    _check_text(proto)
    return proto


def _check_text(proto: Any) -> None:
    """Names that are not UTF-8 come out of protobuf as bytes: refuse them before anything trips over them."""
    pending = [proto.graph]
    texts: list[Any] = [o.domain for o in proto.opset_import] + [f.name for f in proto.functions]
    while pending:
        graph = pending.pop()
        texts += [graph.name, *(v.name for v in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))]
        texts += [e for t in graph.initializer for entry in t.external_data for e in (entry.key, entry.value)]
        for node in graph.node:
            texts += [node.op_type, node.domain, node.name, *node.input, *node.output, *(a.name for a in node.attribute)]
            pending += [a.g for a in node.attribute if a.HasField("g")]
    if not all(isinstance(text, str) for text in texts):
        raise InputError("not a valid ONNX file (a name in it is not UTF-8 text)")


def inlined(proto: Any, known: Collection[str]) -> Any:
    """The model with calls of its local functions, and of ONNX operators that are not ``known`` but defined by a function in
    ONNX, replaced by their bodies. Raises InputError."""
    from onnx import inliner
    from onnx.shape_inference import InferenceError

    faults = (RuntimeError, ValueError, TypeError, InferenceError)
    if proto.functions:
        try:
            proto = inliner.inline_local_functions(proto)
        except faults as error:
            raise InputError(f"its local functions cannot be inlined: {first_line(error)}") from None
    for _ in range(_MAX_FUNCTION_DEPTH):
        composite = _composite_operators(proto, known)
        if not composite:
            break
        try:
            proto = inliner.inline_selected_functions(proto, [("", name) for name in composite], inline_schema_functions=True)
        except faults:
            # The inliner lacks types to choose a body: the operator stays, and is reported with all others.
            break
    return proto


def first_line(error: BaseException) -> str:
    """The first line of a foreign error's text, at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _composite_operators(proto: Any, known: Collection[str]) -> list[str]:
    """The operators of the main graph that this frontend does not know but ONNX defines by others."""
    from onnx import defs

    unknown = sorted({n.op_type for n in proto.graph.node if n.domain in DEFAULT_DOMAINS and n.op_type not in known})
    version = opset_versions(proto)[""]
    schemas = {name: defs.get_schema(name, version, "") for name in unknown if defs.has(name, version, "")}
    found: list[str] = [n for n, s in schemas.items() if s.has_function or s.has_context_dependent_function]  # type: ignore[attr-defined]
    return found


def opset_versions(proto: Any) -> dict[str, int]:
    """Domain -> imported opset version. Raises InputError outside what this onnx package and this frontend know."""
    from onnx import defs

    versions = {"" if o.domain in DEFAULT_DOMAINS else o.domain: int(o.version) for o in proto.opset_import}
    versions.setdefault("", 1)
    newest = defs.onnx_opset_version()
    if not OLDEST_OPSET <= versions[""] <= newest:
        raise InputError(
            f"the model uses ONNX opset {versions['']}; opsets {OLDEST_OPSET} to {newest} are supported: export it again with one of them"
        )
    return versions


def _take_data(proto: Any) -> dict[str, bytes]:
    """Take the bytes of large initializers out of a model, by name: inlining copies it as a whole, four times over."""
    large = [tensor for tensor in proto.graph.initializer if len(tensor.raw_data) > _SMALL]
    data = {tensor.name: tensor.raw_data for tensor in large}
    for tensor in large:
        tensor.ClearField("raw_data")
    return data


def read_model(path: Path, known: Collection[str]) -> tuple[Any, Graph]:
    """The protobuf of a model file, functions inlined, and its graph. ``known`` operators stay whole. Raises InputError."""
    proto = read_proto(path)
    opset_versions(proto)
    data: dict[str, bytes] = {}
    if proto.functions or _composite_operators(proto, known):
        data = _take_data(proto)
        proto = inlined(proto, known)
    graph = read_graph(proto.graph, opset_versions(proto), path.parent, data)
    for tensor in proto.graph.initializer:
        if tensor.name in data:
            tensor.raw_data = data[tensor.name]
    return proto, graph
