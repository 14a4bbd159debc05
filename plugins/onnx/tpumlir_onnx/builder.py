"""Building a small ONNX graph from Top values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Operation, Value

_OPSET = 20
_IR_VERSION = 9


class Builder:
    """Nodes of one ONNX graph. Values get short names of their own, as ONNX names are not ours to trust."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def fresh(self) -> str:
        """A name that no tensor has yet."""
        self._count += 1
        return f"t{self._count}"

    def name(self, value: Value) -> str:
        """The ONNX name of a value."""
        return self.names.setdefault(value.name, self.fresh())

    def real(self, operation: Operation, index: int = 0) -> str:
        """An operand as float32; "" if it is absent."""
        value = operation.operands[index] if index < len(operation.operands) else None
        if value is None:
            return ""
        return self.name(value) if value.type.element is ElementType.F32 else self.node("Cast", [self.name(value)], to=1)

    def reals(self, operation: Operation) -> list[str]:
        """All operands as float32."""
        return [self.real(operation, index) for index in range(len(operation.operands))]

    def node(self, op_type: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node with one output; trailing absent inputs go. Returns the output's name."""
        from onnx import helper

        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        output = output or self.fresh()
        self._nodes.append(helper.make_node(op_type, given, [output], **attributes))
        return output

    def many(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Append a node with several outputs."""
        from onnx import helper

        self._nodes.append(helper.make_node(op_type, list(inputs), list(outputs), **attributes))

    def result(self, name: str, value: Value, mark: tuple[int, int]) -> None:
        """Let a tensor be ``value``: under its name where the last node makes it and came after ``mark``, else by a copy."""
        if len(self._nodes) > mark[0] and list(self._nodes[-1].output) == [name]:
            self._nodes[-1].output[0] = self.name(value)
        else:
            self.node("Identity", [name], self.name(value))

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A small constant."""
        from onnx import numpy_helper

        name = self.fresh()
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """A constant list of int64."""
        return self.constant(list(values), np.int64)

    def mark(self) -> tuple[int, int]:
        """A point to return to with ``undo``."""
        return len(self._nodes), len(self._constants)

    def undo(self, mark: tuple[int, int]) -> None:
        """Forget the nodes and constants made since ``mark``."""
        del self._nodes[mark[0] :]
        del self._constants[mark[1] :]

    def model(self, inputs: Sequence[Value], outputs: Sequence[Value], weights: Mapping[str, Array]) -> Any:
        """The graph as a ModelProto; inputs of which ``weights`` has the array, by name, are constants of it."""
        from onnx import ValueInfoProto, helper, numpy_helper

        declared = [
            helper.make_tensor_value_info(self.name(v), helper.np_dtype_to_tensor_dtype(v.type.element.numpy), v.shape)
            for v in inputs
            if v.name not in weights
        ]
        arrays = ((v, np.ascontiguousarray(weights[v.name]).reshape(v.shape)) for v in inputs if v.name in weights)
        constants = [*self._constants, *(numpy_helper.from_array(array, self.name(v)) for v, array in arrays)]
        results = [ValueInfoProto(name=self.name(v)) for v in outputs]
        graph = helper.make_graph(self._nodes, "top", declared, results, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
