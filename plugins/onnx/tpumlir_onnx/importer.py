"""Builds a Top function from an ONNX graph, node by node; what every converter works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import TopBuilder
from tpumlir_core.ir import Array, ElementType, Operation, Value
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_onnx.constants import evaluate_constant, foldable_operators, shape_result
from tpumlir_onnx.graph import Graph, Node, check_inputs
from tpumlir_onnx.model import first_line

Converter = Callable[["Importer", Node], Value | Sequence[Value]]
FRONTEND = "onnx"
"""What custom operators call this frontend in ``sources``."""
STANDARD = "ai.onnx"
"""The domain of ONNX's own operators, of which custom operators may bring those that are missing here."""
_EXACT_IN_FLOAT32 = 1 << 24
_FAULTS_OF_A_NODE = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)


class Importer(TopBuilder):
    """The state of one import: ONNX tensor name -> Top value or constant, numpy type of each, and the function so far."""

    def __init__(
        self,
        converters: Mapping[str, Converter],
        reserved: Sequence[str] = (),
        operators: OperatorSet | None = None,
        bare_names: bool = False,
    ) -> None:
        super().__init__(reserved, operators)
        self._bare_names = bare_names
        self.constants: dict[str, Array] = {}
        self.values: dict[str, Value] = {}
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self.custom: dict[tuple[str, ...], Operator] = {}
        self._converters = converters
        self._failed: set[str] = set()
        self._used: set[str] = set()
        self._node = Node("", "", "", (), ("",), {}, 0)

    # --- inputs, outputs, the walk ------------------------------------------------------------------------------
    def add_input(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], element: ElementType) -> None:
        """Declare a network input."""
        self._bind(name, self.input(name, shape, element), dtype)

    def add_constant(self, name: str, array: Array) -> None:
        """Bind a tensor name to a constant; it becomes a Weight where a converter uses it as a value."""
        self.constants[name] = array
        self.dtypes[name] = array.dtype

    def add_graph(self, graph: Graph) -> None:
        """Convert all nodes; operators that are not supported are collected in ``unsupported``."""
        self._used |= {n for node in graph.nodes for n in node.inputs} | set(graph.outputs)
        for name, array in graph.initializers.items():
            self.add_constant(name, array)
        # Constants may hold anything; what comes of inf and nan is the model's own affair.
        with np.errstate(all="ignore"):
            for node in graph.nodes:
                self._convert(node)

    def is_used(self, name: str) -> bool:
        """Whether a node or a graph output reads this tensor."""
        return bool(name) and name in self._used

    def _convert(self, node: Node) -> None:
        previous = self._node
        self._enter(node)
        check_inputs(node)
        try:
            if node.op_type == "If" and node.domain == "":
                self._branch(node)
            elif not self._folded(node):
                self._run_converter(node)
        except UnsupportedError as error:
            self.unsupported.append(str(error))
            self._failed.update(node.outputs)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith("node ") else f"{node}: {error}") from None
        except _FAULTS_OF_A_NODE as error:
            raise InputError(f"{node}: {first_line(error)}") from None
        finally:
            self._enter(previous)

    def _enter(self, node: Node) -> None:
        self._node = node
        self.work_on(node.op_type, node.label, str(node))

    def _run_converter(self, node: Node) -> None:
        converter = self._converters.get(node.op_type) if node.domain == "" else None
        foldable = node.domain == "" and node.op_type in foldable_operators()
        if any(name in self._failed for name in node.inputs) and (converter or foldable):
            self._failed.update(node.outputs)
            return
        operator = None if converter else self.operators.by_source(FRONTEND, f"{node.domain or STANDARD}::{node.op_type}")
        if operator is not None:
            self._add_operator(operator, node)
            return
        if converter is None:
            domain = f", domain {node.domain}" if node.domain else ""
            raise UnsupportedError(f"{node.op_type}{' of computed tensors' * foldable} (node {node.label}{domain})")
        results = converter(self, node)
        values = [results] if isinstance(results, Value) else list(results)
        for name, value in zip(node.outputs, values, strict=False):
            if name:
                self._bind(name, value, self.result_dtype(node))

    def _add_operator(self, kind: type[Operator], node: Node) -> None:
        """A node that is a custom operator. ``custom`` keeps it by the names of its outputs, for running the source."""
        if any(name in self._failed for name in node.inputs):
            self._failed.update(node.outputs)
            return
        operands = [self.value(name) if name else None for name in node.inputs]
        outputs = [self._name(output or node.label) for output in node.outputs]
        operation = self.add_custom(kind, FRONTEND, operands, node.attributes, outputs)
        self.custom[node.outputs] = operation
        for name, value in zip(node.outputs, operation.results, strict=False):
            if name:
                self._bind(name, value, np.dtype(np.float32 if value.type.element.is_float else np.int64))

    def _branch(self, node: Node) -> None:
        condition = self.constant(node.input(0))
        if condition is None:
            raise UnsupportedError(f"If with a computed condition (node {node.label})")
        graph = node.attributes.get("then_branch" if condition.reshape(-1)[0] else "else_branch")
        if not isinstance(graph, Graph) or len(graph.outputs) != len(node.outputs):
            raise InputError(f"{node}: its branches do not fit its outputs")
        self.add_graph(graph)
        for inner, outer in zip(graph.outputs, node.outputs, strict=True):
            self.alias(inner, outer)

    def _folded(self, node: Node) -> bool:
        """Evaluate a node of constants, or the shape of a value, at once."""
        if node.op_type in ("Shape", "Size") and node.domain == "" and node.input(0) in self.values:
            shape = self.values[node.input(0)].shape
            whole = np.asarray(int(np.prod(shape, dtype=np.int64)), np.int64)
            self.add_constant(node.outputs[0], shape_result(node, shape) if node.op_type == "Shape" else whole)
            return True
        if node.op_type == "CastLike" and node.input(0) in self.constants:
            self.add_constant(node.outputs[0], self.constants[node.input(0)].astype(self.result_dtype(node)))
            return True
        if not all(name in self.constants for name in node.inputs if name):
            return False
        results = evaluate_constant(node, [self.constants[n] if n else None for n in node.inputs])
        for name, array in zip(node.outputs, results or (), strict=False):
            self.add_constant(name, array)
        return results is not None

    # --- what converters ask --------------------------------------------------------------------------------------
    def alias(self, source: str, name: str) -> None:
        """Let ``name`` be another name of ``source``."""
        if source in self._failed:
            self._failed.add(name)
        elif source in self.constants:
            self.add_constant(name, self.constants[source])
        else:
            self._bind(name, self.value(source), self.dtypes[source])

    def value(self, name: str) -> Value:
        """The Top value of a tensor; a constant becomes a Weight. Raises InputError if nothing makes it."""
        if name not in self.values:
            if name not in self.constants:
                user = str(self._node) if self._node.op_type else "the model's outputs"
                if not name:
                    raise InputError(f"{user}: a mandatory input is missing")
                raise InputError(f"{user}: tensor '{name}' is made by no node, input or initializer")
            self.values[name] = self.weight(name, self.constants[name])
        return self.values[name]

    def optional(self, node: Node, index: int) -> Value | None:
        """The value of an input that may be absent."""
        return self.value(node.input(index)) if node.input(index) else None

    def constant(self, name: str) -> Array | None:
        """The value of a constant tensor, None for a computed or absent one."""
        return self.constants.get(name) if name else None

    def required(self, node: Node, index: int, what: str) -> Array:
        """An input that must be constant, named ``what`` in the error."""
        array = self.constant(node.input(index))
        if array is None:
            raise UnsupportedError(f"{node.op_type} with computed {what} (node {node.label})")
        return array

    def parameter(self, node: Node, index: int, what: str) -> Array | None:
        """An optional input that must be constant if it is there."""
        return self.required(node, index, what) if node.input(index) else None

    def scalar(self, name: str) -> float | None:
        """The number of a constant of one element, else None."""
        array = self.constant(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def is_integer(self, name: str) -> bool:
        """Whether the ONNX tensor holds integers."""
        return self.dtypes[name].kind in "iu"

    def step(self, suffix: str, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append an intermediate operation of the node at work; its name gets ``_suffix``."""
        return self.add(f"{self._stem()}_{suffix}", kind, operands, **attributes)

    def emit(self, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append the operation that makes the first output of the node at work: it gets the node's name."""
        return self.add(self._stem(), kind, operands, **attributes)

    def emit_output(self, index: int, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append the operation that makes another output of the node."""
        return self.add(self._name(self._node.outputs[index]), kind, operands, **attributes)

    def emit_many(self, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> list[Value]:
        """Append an operation with one result for each output of the node."""
        return self.add_many([self._name(output) for output in self._node.outputs], kind, operands, **attributes)

    def constant_result(self, label: str, array: Array) -> Value:
        """A Weight that belongs to the node at work."""
        return self.weight(f"{self._stem()}_{label}", array)

    def _stem(self) -> str:
        return self._name(self._node.outputs[0])

    def _name(self, output: str) -> str:
        """What the result of the node at work is called that ONNX calls ``output``."""
        return output if self._bare_names else f"{output}_{self._node.op_type}"

    def rename(self, tensor: str, other: str, op_type: str) -> None:
        """Name the value of an ONNX tensor, which a node of ``op_type`` makes, after another ONNX tensor that is the same.

        A value that has another name than its tensor, or belongs to the framework behind the ONNX file, keeps that.
        """
        value = self.values.get(tensor)
        if value is not None and not self._bare_names and value.name == f"{tensor}_{op_type}":
            value.name = self.unique(f"{other}_{op_type}")

    # --- element types ----------------------------------------------------------------------------------------------
    def _bind(self, name: str, value: Value, dtype: np.dtype[Any]) -> None:
        self.values[name] = value
        self.dtypes[name] = dtype

    def result_dtype(self, node: Node) -> np.dtype[Any]:
        """The numpy type of a node's result as ONNX defines it."""
        from tpumlir_onnx.converters import result_dtype

        return result_dtype(self, node)
