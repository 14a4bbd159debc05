"""Writes small TFLite files: for examples, tests and trying things out. It needs no framework; the same network gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_tflite.schema import IDENTIFIER
from tpumlir_tflite.tensors import DTYPES, Scale

_CUSTOM = 32
_LARGEST_OLD_CODE = 127
_VERSIONS = {"BROADCAST_TO": 2}
"""Of operators that never had a version 1 in TFLite's own interpreter."""


@dataclass(frozen=True)
class Written:
    """A tensor to write; ``data`` of a constant as it is stored. A ``variable`` is a state of the interpreter's, zeros at first."""

    name: str
    shape: tuple[int, ...]
    type: str = "FLOAT32"
    data: Array | None = None
    scale: Scale | None = None
    variable: bool = False


@dataclass(frozen=True)
class Called:
    """An operator to write: tensors by number, -1 for absent ones; its options by the names of the schema's fields."""

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    custom_options: bytes = b""


class ModelWriter:
    """One network: tensors and operators as they are added, then its bytes."""

    def __init__(self) -> None:
        self.tensors: list[Written] = []
        self.operators: list[Called] = []

    def tensor(self, name: str, shape: Sequence[int], type: str = "FLOAT32", scale: Scale | None = None) -> int:
        """Declare a tensor that is computed or fed; its number."""
        self.tensors.append(Written(name, tuple(shape), type, None, scale))
        return len(self.tensors) - 1

    def variable(self, name: str, shape: Sequence[int]) -> int:
        """Declare a state that an operator keeps; its number."""
        self.tensors.append(Written(name, tuple(shape), variable=True))
        return len(self.tensors) - 1

    def constant(self, name: str, data: Array, scale: Scale | None = None) -> int:
        """Add a constant in its own type; its number."""
        kind = next(kind for kind, dtype in DTYPES.items() if dtype == data.dtype)
        self.tensors.append(Written(name, data.shape, kind, data, scale))
        return len(self.tensors) - 1

    def call(
        self, operator: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", custom: bytes = b"", **fields: Any
    ) -> None:
        """Add an operator: one of TFLite's own, or any other name, which is then a custom one."""
        self.operators.append(Called(operator, tuple(inputs), tuple(outputs), options, fields, custom))

    def data(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file of the network with these inputs and outputs."""
        return _Writer().model(self, inputs, outputs)


def per_tensor(scale: float, zero: int = 0) -> Scale:
    """One scale for all of a tensor."""
    return Scale(np.array([np.float32(scale)], np.float64), np.array([zero], np.int64))


class _Writer:
    def __init__(self) -> None:
        import flatbuffers
        import tflite

        self._to: Any = flatbuffers.Builder(1024)
        self._schema: Any = tflite
        self._codes = {name: number for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}

    def model(self, network: ModelWriter, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        kinds = sorted({called.operator for called in network.operators})
        constants = [tensor for tensor in network.tensors if tensor.data is not None]
        buffers = [self._table("Buffer"), *(self._table("Buffer", Data=self._bytes(np.asarray(t.data).tobytes())) for t in constants)]
        numbers = {id(tensor): number for number, tensor in enumerate(constants, 1)}
        tensors = [self._tensor(tensor, numbers.get(id(tensor), 0)) for tensor in network.tensors]
        operators = [self._operator(called, kinds) for called in network.operators]
        subgraph = self._table(
            "SubGraph", Tensors=self._offsets(tensors), Inputs=self._integers(inputs), Outputs=self._integers(outputs),
            Operators=self._offsets(operators),
        )
        root = self._table(
            "Model", Version=3, OperatorCodes=self._offsets([self._code(kind) for kind in kinds]), Subgraphs=self._offsets([subgraph]),
            Buffers=self._offsets(buffers),
        )
        self._to.Finish(root, IDENTIFIER)
        return bytes(self._to.Output())

    def _code(self, kind: str) -> int:
        number = self._codes.get(kind, _CUSTOM)
        name = self._to.CreateString(kind) if number == _CUSTOM else None
        return self._table(
            "OperatorCode", DeprecatedBuiltinCode=min(number, _LARGEST_OLD_CODE), BuiltinCode=number, CustomCode=name,
            Version=_VERSIONS.get(kind, 1),
        )

    def _tensor(self, tensor: Written, buffer: int) -> int:
        quantization = None
        if tensor.scale is not None:
            quantization = self._table(
                "QuantizationParameters", Scale=self._numbers(tensor.scale.scales.astype(np.float32)),
                ZeroPoint=self._numbers(tensor.scale.zeros.astype(np.int64)), QuantizedDimension=tensor.scale.axis,
            )
        return self._table(
            "Tensor", Shape=self._integers(tensor.shape), Type=getattr(self._schema.TensorType, tensor.type), Buffer=buffer,
            Name=self._to.CreateString(tensor.name), Quantization=quantization, IsVariable=tensor.variable or None,
        )

    def _operator(self, called: Called, kinds: Sequence[str]) -> int:
        options = None
        if called.options:
            fields = {name: self._integers(value) if isinstance(value, tuple) else value for name, value in called.fields.items()}
            options = self._table(called.options, **fields)
        return self._table(
            "Operator", OpcodeIndex=kinds.index(called.operator), Inputs=self._integers(called.inputs),
            Outputs=self._integers(called.outputs), BuiltinOptions=options,
            BuiltinOptionsType=getattr(self._schema.BuiltinOptions, called.options) if called.options else None,
            CustomOptions=self._bytes(called.custom_options) if called.custom_options else None,
        )

    def _table(self, kind: str, **fields: Any) -> int:
        """A table with those fields that are not None; what they refer to is written already."""
        getattr(self._schema, f"{kind}Start")(self._to)
        for name, value in fields.items():
            if value is not None:
                getattr(self._schema, f"{kind}Add{name}")(self._to, value)
        return int(getattr(self._schema, f"{kind}End")(self._to))

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._to.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._to.PrependUOffsetTRelative(offset)
        return int(self._to.EndVector())

    def _integers(self, numbers: Sequence[int]) -> int:
        return self._numbers(np.array(numbers, np.int32))

    def _numbers(self, numbers: Array) -> int:
        return int(self._to.CreateNumpyVector(numbers))

    def _bytes(self, raw: bytes) -> int:
        """Bytes that start at a multiple of 16, as TFLite's kernels want them."""
        self._to.StartVector(1, len(raw), 16)
        self._to.head -= len(raw)
        self._to.Bytes[self._to.head : self._to.head + len(raw)] = raw
        return int(self._to.EndVector())
