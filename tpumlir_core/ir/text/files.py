"""Modules as files: ``NAME.mlir`` and, beside it, the ``.npz`` with the weights."""

from __future__ import annotations

import dataclasses
import math
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head, write_through
from tpumlir_core.ir.operation import Array, Module, Value, WeightStore
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.ir.text.build import parse_module
from tpumlir_core.ir.text.printer import print_module
from tpumlir_core.ir.types import TensorType

_EPOCH = (1980, 1, 1, 0, 0, 0)
# What zipfile and numpy raise for damaged, encrypted or absurdly large entries.
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError, TypeError, MemoryError)
MAX_TEXT_BYTES = 1 << 30
_REQUIRED = {"module.state": "TOP_F32", "module.chip": "ALL"}
"""Module attributes that the reference's tools ask for (tpu-mlir 1.30.2), with what they are before lowering."""


def read_module(path: Path | str, operators: OperatorSet | None = None) -> Module:
    """The module in an ``.mlir`` file; weights are read from its ``.npz`` when first asked for.

    ``operators`` are the custom ones that may occur in it. Raises InputError for a file that cannot be read or is not such text, or
    when weights are missing.
    """
    path = Path(path)
    read_head(path)
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise InputError(f"{path}: larger than 1 GB; expected MLIR text with the weights in an .npz beside it")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text; expected an .mlir file in UTF-8") from None
    module = parse_module(text, str(path), operators)
    wanted = [v for op in module.function.operations if op.opcode == "top.Weight" for v in op.results]
    if wanted:
        module.weights = _weights(path, module.attributes.get("module.weight_file"), wanted)
    return module


def write_module(module: Module, path: Path | str, weights: str = "") -> Path:
    """Write ``path`` (.mlir) and the weights beside it; returns the path of the ``.npz``.

    ``weights``: the name of that file; "": the text's, with the state of the module and its chip. Both files appear whole or not at
    all, and the same module gives the same bytes. Weights that no operation names are left out.
    """
    path = Path(path)
    attributes = {**_REQUIRED, **module.attributes}
    state, chip = (re.sub(r"\W", "_", str(attributes[name]).lower()) for name in _REQUIRED)
    weight_file = path.with_name(weights or f"{path.stem}_{state}_{chip}_weight.npz")
    flops = sum(op.flops() for op in module.function.operations)
    attributes |= {"module.weight_file": weight_file.name, "module.FLOPs": flops}
    text = print_module(dataclasses.replace(module, attributes=attributes))
    names = [v.name for op in module.function.operations if op.opcode == "top.Weight" for v in op.results]

    def write(target: Path) -> None:
        _write_npz(target.with_name(weight_file.name), names, module.weights)
        target.write_bytes(text.encode())

    write_through(path, write)
    return weight_file


def _write_npz(path: Path, names: list[str], weights: WeightStore) -> None:
    """An npz with fixed timestamps, in the order of ``names``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            array = np.ascontiguousarray(weights[name]).reshape(np.shape(weights[name]))
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.create_system, info.external_attr = 3, 0o600 << 16
            info.file_size = array.nbytes + 4096
            with archive.open(info, "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _weights(path: Path, file: object, wanted: list[Value]) -> WeightStore:
    """A store whose thunks read the entries of the npz that the text names, which must lie in the text's own folder."""
    if not isinstance(file, str) or not file:
        raise InputError(f"{path}: attribute module.weight_file is missing; the network has weights, so name their .npz")
    if file in (".", "..") or any(c in file for c in "/\\:\0"):
        raise InputError(f"{path}: module.weight_file {file!r} must be the name of a file in the same folder")
    archive = _Archive(path.with_name(file), path)
    store = WeightStore()
    for value in wanted:
        archive.require(value.name)
        store[value.name] = _thunk(archive, value.name, value.type)
    return store


def _thunk(archive: _Archive, name: str, type_: TensorType) -> Callable[[], Array]:
    return lambda: archive.read(name, type_)


class _Archive:
    """An npz, its directory read once."""

    def __init__(self, path: Path, text: Path) -> None:
        self.path = path
        if path.resolve().parent != text.parent.resolve():
            raise InputError(f"{text}: module.weight_file {path.name!r} leads out of the folder of the text; keep the weights beside it")
        read_head(path)
        try:
            self.archive = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise InputError(f"{path}: not an .npz file ({error}); expected the weights of {text}") from None

    def require(self, name: str) -> None:
        if f"{name}.npy" not in self.archive.NameToInfo:
            raise InputError(f"{self.path}: weight {name} is missing; expected an entry {name}.npy")

    def read(self, name: str, type_: TensorType) -> Array:
        """The array in the type's shape; its header must agree with that before any data is read. BF16 are bits in uint16.

        The reference's own npz may store (16,) what its text calls 1x1x16, so only the number of elements must be the same.
        """
        try:
            with self.archive.open(f"{name}.npy") as entry:
                version = np.lib.format.read_magic(entry)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = header(entry)
                if math.prod(shape) != type_.elements or dtype.hasobject:
                    raise InputError(f"{self.path}: weight {name} has shape {shape} {dtype}; expected {type_.shape} as the text says")
                size = type_.elements * dtype.itemsize
                data = entry.read(size)
        except _DAMAGED as error:
            raise InputError(f"{self.path}: weight {name} cannot be read ({error}); write the file again") from None
        if len(data) != size:
            raise InputError(f"{self.path}: weight {name} is cut short; write the file again")
        array = np.frombuffer(data, dtype).reshape(shape[::-1] if fortran else shape)
        array = array.T if fortran else array
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return native.astype(type_.element.numpy, copy=False).reshape(type_.shape)
