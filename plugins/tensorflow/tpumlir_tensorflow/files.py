"""The kinds of TensorFlow models, by what their files begin with, and the files that each is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tpumlir_core.errors import InputError

SAVED_MODEL = "saved_model.pb"
VARIABLES = "variables"
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_FIRST_ENTRIES = (b"metadata.json", b"config.json")
_ENTRY_NAME = 30
"""Where the name of a zip archive's first entry begins."""
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
# GraphDef.node, whose first has a name and an operation; SavedModel: schema version 1, then meta_graphs.
_GRAPH = re.compile(rb"\x0a[\x80-\xff]{0,4}[\x00-\x7f]\x0a([\x80-\xff]?[\x01-\x7f])[A-Za-z0-9.]")
_SAVED = b"\x08\x01\x12"
# An ONNX model: ir_version, of 3 or more.
_OTHER_PB = re.compile(rb"\x08[\x03-\x1f]")


class Kind(Enum):
    """How a model is stored; the value is what the process that converts is told."""

    SAVED_MODEL = "saved model"
    FROZEN_GRAPH = "frozen graph"
    KERAS = "keras"
    HDF5 = "hdf5"


@dataclass(frozen=True)
class Model:
    """A model of a kind: its file, or the folder of a SavedModel."""

    kind: Kind
    path: Path


def kind_of(path: Path, head: bytes) -> Kind | None:
    """The kind of a model, by its first bytes, and by the suffix of what may be a damaged one; None for what is none."""
    if path.is_dir():
        return Kind.SAVED_MODEL if (path / SAVED_MODEL).exists() else None
    if head.startswith(_HDF5) or (path.suffix in _KERAS_SUFFIXES[1:] and not head.startswith(_ZIP)):
        return Kind.HDF5
    first_entry = head[_ENTRY_NAME:].startswith(_FIRST_ENTRIES)
    if path.suffix == _KERAS_SUFFIXES[0] or (head.startswith(_ZIP) and (first_entry or path.suffix in _KERAS_SUFFIXES)):
        return Kind.KERAS
    if head.startswith(_SAVED) or path.name == SAVED_MODEL:
        return Kind.SAVED_MODEL
    graph = _GRAPH.match(head)
    if (graph and head[graph.end(1) :].find(b"\x12") > 0) or (path.suffix == ".pb" and not _OTHER_PB.match(head)):
        return Kind.FROZEN_GRAPH
    return None


def find_model(path: Path) -> Model:
    """The model that a path means. Raises InputError."""
    head = b""
    if not path.is_dir():
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise InputError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    kind = kind_of(path, head)
    if kind is None:
        raise InputError(f"no TensorFlow model: neither a SavedModel (a folder with {SAVED_MODEL}), a frozen graph nor a Keras file")
    if kind is Kind.SAVED_MODEL and not path.is_dir():
        if path.name != SAVED_MODEL:
            raise InputError(f"a SavedModel's graph alone; it must be called {SAVED_MODEL} and lie in its folder")
        path = path.parent
    return Model(kind, path)


def files_of(model: Model) -> Sequence[Path]:
    """All the files that are read. Raises InputError where one is a link that leads out of the model's folder."""
    if model.kind is not Kind.SAVED_MODEL:
        return (model.path,)
    found = sorted(_saved_model_files(model.path))
    for file in found:
        if not file.resolve().is_relative_to(model.path.resolve()):
            raise InputError(f"{file.relative_to(model.path)} is a link to {file.resolve()}, outside of the model's folder")
    return found


def _saved_model_files(folder: Path) -> Iterator[Path]:
    yield folder / SAVED_MODEL
    variables = folder / VARIABLES
    if variables.is_dir():
        yield from (file for file in variables.iterdir() if file.name.startswith(f"{VARIABLES}."))
