"""Reading an ONNX file: protobuf, opset imports, local functions inlined, the declared inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_onnx.graph import DEFAULT_DOMAINS, Graph, read_graph

OLDEST_OPSET = 7
SUFFIXES = (".onnx",)


def read_proto(path: Path) -> Any:
    """The ``ModelProto`` of a file, local functions inlined, external data not read. Raises InputError."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise InputError(f"{path}: not a valid ONNX file (broken or truncated protobuf)") from None
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise InputError(f"{path}: not an ONNX model (it holds no graph)")
    return _inlined(path, proto) if proto.functions else proto


def _inlined(path: Path, proto: Any) -> Any:
    from onnx import inliner

    try:
        return inliner.inline_local_functions(proto)
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path}: its local functions cannot be inlined: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


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


def read_model(path: Path) -> tuple[Any, Graph]:
    """The protobuf of a model file and its graph. Raises InputError, whose message starts with the file."""
    proto = read_proto(path)
    try:
        return proto, read_graph(proto.graph, opset_versions(proto), path.parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
