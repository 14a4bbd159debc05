"""A TFLite file as plain data: its first subgraph's tensors and operators, after every offset has been checked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Quantization
from tpumlir_tflite.tensors import DENSE, Level, Scale, Sparsity, stored_array
from tpumlir_tflite.verifier import verify

ABSENT = -1
"""An optional operand that is not there."""
_VERSION = 3
_CUSTOM = 32
_CODES_OF_OLD_FILES = 127
"""Older files have the operator's number in one signed byte; from here on it is in another field."""
_RANGED = {"INT8": (-128, 127), "UINT8": (0, 255)}
"""Stored types whose scales say a range that 8-bit quantization can use as it is."""
_EMPTY_TABLE = struct.pack("<HHi", 4, 4, 4)
_EMPTY_AT = 4


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape, its type as TFLite calls it, its numbers if it is constant.

    Of a shape with open extents it is the one that the interpreter takes when it is not told another.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scale: Scale | None = None
    stored: Array | None = None
    """As stored: integers where ``scale`` says what they stand for; float16 as such."""
    sparsity: Sparsity | None = None
    """How ``stored`` lists only some of the elements."""

    @property
    def range(self) -> Quantization | None:
        """What a tensor that is stored in 8 bits with one scale can hold; None for any other."""
        if self.scale is None or self.type not in _RANGED or self.scale.scales.size != 1:
            return None
        scale, zero = float(self.scale.scales[0]), int(self.scale.zeros[0])
        low, high = ((number - zero) * scale for number in _RANGED[self.type])
        return Quantization(scale, zero, low, high) if low < high else None


@dataclass(frozen=True)
class Node:
    """One operator: tensors by number, ``ABSENT`` for optional ones; ``custom`` is the name of one that is not TFLite's own."""

    index: int
    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: str = ""
    custom_options: bytes = b""
    options_kind: str = ""
    options_table: Any = field(default=None, compare=False)

    def input(self, position: int) -> int:
        """The tensor at a position, ``ABSENT`` beyond the last."""
        return self.inputs[position] if position < len(self.inputs) else ABSENT

    def options(self, kind: str) -> Any:
        """The options of that kind, as the package ``tflite`` reads them; defaults where the file has none.

        Raises InputError where it has options of another kind.
        """
        import tflite

        if self.options_kind not in ("", kind):
            raise InputError(f"has {self.options_kind}, not {kind}")
        found = getattr(tflite, kind)()
        if self.options_table is None:
            found.Init(_EMPTY_TABLE, _EMPTY_AT)
        else:
            found.Init(self.options_table.Bytes, self.options_table.Pos)
        return found


@dataclass(frozen=True)
class Graph:
    """The network of a file: tensors, operators in the order of execution, and the tensors that go in and come out."""

    tensors: Sequence[Tensor]
    nodes: Sequence[Node]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(path: Path) -> Graph:
    """The network of a file. Raises InputError where it cannot be read or is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    return parse_model(data)


def parse_model(data: bytes) -> Graph:
    """The network in the bytes of a file. Raises InputError where they are damaged."""
    import tflite

    verify(data)
    model = tflite.Model.GetRootAs(data)
    if model.Version() != _VERSION:
        raise InputError(f"TFLite schema version {model.Version()} is not supported; convert the model to version {_VERSION}")
    if not model.SubgraphsLength():
        raise InputError("holds no network")
    return _Reader(data, model).graph(model.Subgraphs(0))


class _Reader:
    def __init__(self, data: bytes, model: Any) -> None:
        import tflite

        self._data = data
        self._model = model
        self._names = tflite.BUILTIN_OPCODE2NAME
        self._types = {number: name for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
        self._options = {number: name for name, number in vars(tflite.BuiltinOptions).items() if isinstance(number, int)}
        self._operators = [self._operator(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]

    def graph(self, subgraph: Any) -> Graph:
        tensors = [self._tensor(i, subgraph.Tensors(i)) for i in range(subgraph.TensorsLength())]
        nodes = [self._node(i, subgraph.Operators(i), len(tensors)) for i in range(subgraph.OperatorsLength())]
        inputs, outputs = (_indices(subgraph, ends, len(tensors), f"one of the network's {ends.lower()}") for ends in ("Inputs", "Outputs"))
        if ABSENT in (*inputs, *outputs) or len(set(inputs)) < len(inputs):
            raise InputError("an input or output of the network is absent or named twice")
        return Graph(tensors, nodes, inputs, outputs)

    def _operator(self, code: Any) -> tuple[str, str]:
        """(operator, name of a custom one)."""
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == _CUSTOM:
            return "CUSTOM", _text(code.CustomCode(), "the name of a custom operator") or "unnamed"
        return self._names.get(number, f"OPERATOR_{number}"), ""

    def _node(self, index: int, operator: Any, tensors: int) -> Node:
        number = operator.OpcodeIndex()
        if number >= len(self._operators):
            raise InputError(f"operator {index} is of kind {number}, but the file lists {len(self._operators)}")
        name, custom = self._operators[number]
        inputs, outputs = (_indices(operator, ends, tensors, f"operator {index}, {name}") for ends in ("Inputs", "Outputs"))
        if not outputs or ABSENT in outputs:
            raise InputError(f"operator {index}, {name}, has no output")
        kind, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
        given = b"" if not custom or operator.CustomOptionsIsNone() else bytes(operator.CustomOptionsAsNumpy())
        options = "" if table is None or not kind else self._options.get(kind, str(kind))
        return Node(index, name, inputs, outputs, custom, given, options, table)

    def _tensor(self, index: int, tensor: Any) -> Tensor:
        name = _text(tensor.Name(), f"the name of tensor {index}") or f"tensor_{index}"
        kind = self._types.get(tensor.Type(), f"type {tensor.Type()}")
        shape = tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        if min(shape, default=0) < 0:
            raise InputError(f"tensor {name}: its shape {list(shape)} has a negative extent")
        scale, sparsity = _scale(tensor.Quantization(), name, shape), _sparsity(tensor.Sparsity(), name)
        stored = self._stored(tensor.Buffer(), name, kind, shape, sparsity)
        return Tensor(name, shape, kind, scale, stored, sparsity)

    def _stored(self, buffer: int, name: str, kind: str, shape: tuple[int, ...], sparsity: Sparsity | None) -> Array | None:
        """The numbers of a constant tensor: a buffer that is not empty, or no element at all."""
        if buffer >= self._model.BuffersLength():
            if buffer == 0:
                return None
            raise InputError(f"tensor {name}: its buffer {buffer} is not in the file")
        raw = self._bytes(self._model.Buffers(buffer), name)
        if not raw and 0 not in shape:
            return None
        return stored_array(raw, kind, shape if sparsity is None else None, name)

    def _bytes(self, buffer: Any, name: str) -> memoryview:
        """The bytes of a buffer, which lie in it or, in large files, behind the tables."""
        start, size = buffer.Offset(), buffer.Size()
        if start > 1:
            if start + size > len(self._data):
                raise InputError(f"tensor {name}: its numbers lie outside the file")
            return memoryview(self._data)[start : start + size]
        return memoryview(b"" if buffer.DataIsNone() else buffer.DataAsNumpy())


def _indices(owner: Any, name: str, tensors: int, what: str) -> tuple[int, ...]:
    """Numbers of tensors, each checked."""
    found = tuple(getattr(owner, f"{name}AsNumpy")().tolist()) if getattr(owner, f"{name}Length")() else ()
    strange = [index for index in found if not ABSENT <= index < tensors]
    if strange:
        raise InputError(f"{what} is tensor {strange[0]}, but there are {tensors}")
    return found


def _text(raw: bytes | None, what: str) -> str:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text") from None


def _scale(quantization: Any, name: str, shape: tuple[int, ...]) -> Scale | None:
    if quantization is None or not quantization.ScaleLength():
        return None
    scales = quantization.ScaleAsNumpy().astype(np.float64)
    zeros = quantization.ZeroPointAsNumpy() if quantization.ZeroPointLength() else np.zeros(1, np.int64)
    axis = quantization.QuantizedDimension()
    if not np.isfinite(scales).all() or (scales < 0).any() or zeros.size not in (1, scales.size) or np.abs(zeros).max() >= 1 << 31:
        raise InputError(f"tensor {name}: its scales or zero points cannot be")
    if scales.size > 1 and (not 0 <= axis < len(shape) or shape[axis] != scales.size):
        raise InputError(f"tensor {name}: {scales.size} scales do not fit axis {axis} of shape {list(shape)}")
    return Scale(scales, np.broadcast_to(zeros, scales.shape).astype(np.int64), axis)


def _sparsity(parameters: Any, name: str) -> Sparsity | None:
    if parameters is None:
        return None
    levels = [_level(parameters.DimMetadata(i), name) for i in range(parameters.DimMetadataLength())]
    order = parameters.TraversalOrderAsNumpy().tolist() if parameters.TraversalOrderLength() else []
    blocks = parameters.BlockMapAsNumpy().tolist() if parameters.BlockMapLength() else []
    return Sparsity(tuple(order), tuple(blocks), tuple(levels))


def _level(metadata: Any, name: str) -> Level:
    if metadata.Format() == DENSE:
        return Level(metadata.DenseSize())
    segments, indices = (
        _sparse_vector(metadata, end, name) for end in ("ArraySegments", "ArrayIndices")
    )
    return Level(0, segments, indices)


def _sparse_vector(metadata: Any, end: str, name: str) -> tuple[int, ...]:
    """The numbers of a vector of one of three widths."""
    import tflite

    kinds = {number: kind for kind, number in vars(tflite.SparseIndexVector).items() if isinstance(number, int) and number}
    kind, table = kinds.get(getattr(metadata, f"{end}Type")()), getattr(metadata, end)()
    if kind is None or table is None:
        raise InputError(f"tensor {name}: a list of its sparse elements is missing")
    vector = getattr(tflite, kind)()
    vector.Init(table.Bytes, table.Pos)
    return tuple(vector.ValuesAsNumpy().tolist()) if vector.ValuesLength() else ()

