"""Builds a Top function from the operators of a TFLite graph, one by one; what every converter works with.

TFLite's tensors are channels-last, Top's operations want channels first. Each tensor is kept as whatever made it has it, in the
source's order or with channels first, and gets the other form where an operator needs that: so a chain of operators that do
not mind has no transposition inside.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import TopBuilder, one_line
from tpumlir_core.ir import Array, ElementType, Operation, Value, top
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_tflite.layout import CHANNELS_FIRST, SOURCE, Laid, Layout
from tpumlir_tflite.model import ABSENT, Graph, Node
from tpumlir_tflite.tensors import dense, is_readable

Result = Laid | Array
"""What an operator makes of its operands: a value, or a constant in the source's order."""
Converter = Callable[["Importer", Node], "Result | Sequence[Result]"]
FRONTEND = "tflite"
"""What custom operators call this frontend in ``sources``."""
_FAULTS_OF_A_NODE = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error)
_LARGEST_CONSTANT = 1 << 26
"""Elements of a constant that is computed at import."""


class Importer(TopBuilder):
    """The state of one import: tensor number -> constant, or Top values by layout; and the function so far."""

    def __init__(self, graph: Graph, converters: Mapping[str, Converter], operators: OperatorSet | None = None) -> None:
        super().__init__((), operators)
        self.graph = graph
        self.constants: dict[int, Array] = {}
        self.forms: dict[int, dict[Layout, Value]] = {}
        self.makers: dict[int, Node] = {}
        self.custom: dict[int, Operator] = {}
        self._prepared: dict[tuple[int, tuple[int, ...]], Value] = {}
        self._converters = converters
        self._failed: set[int] = set()
        self._node: Node | None = None
        for index, tensor in enumerate(graph.tensors):
            if tensor.stored is not None and tensor.sparsity is None:
                self.constants[index] = tensor.stored

    # --- inputs and the walk ---------------------------------------------------------------------------------------
    def add_input(self, index: int, shape: tuple[int, ...], element: ElementType) -> None:
        """Declare a network input."""
        self.constants.pop(index, None)
        self.bind(index, Laid(self.input(self.graph.tensors[index].name, shape, element)))

    def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Convert all nodes; operators that are not supported are collected in ``unsupported``."""
        # Constants may hold anything; what comes of inf and nan is the model's own affair.
        with np.errstate(all="ignore"):
            for node in nodes:
                self._convert(node)

    def _convert(self, node: Node) -> None:
        self._node = node
        label = self.graph.tensors[node.outputs[0]].name
        where = f"operator {node.index}, {node.custom or node.operator} {label}"
        self.work_on(node.custom or node.operator, label, where)
        try:
            self._run_converter(node)
        except UnsupportedError as error:
            self.unsupported.append(str(error))
            self._failed.update(node.outputs)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith("operator ") else f"{where}: {error}") from None
        except _FAULTS_OF_A_NODE as error:
            raise InputError(f"{where}: {one_line(str(error))[:200] or type(error).__name__}") from None

    def _run_converter(self, node: Node) -> None:
        converter = None if node.custom else self._converters.get(node.operator)
        operator = None if converter else self.operators.by_source(FRONTEND, node.custom or node.operator)
        if converter is None and operator is None:
            raise UnsupportedError(f"{node.custom or node.operator} (node {self.label}{', a custom operator' if node.custom else ''})")
        self.makers.update(dict.fromkeys(node.outputs, node))
        if any(index in self._failed for index in node.inputs):
            self._failed.update(node.outputs)
            return
        if operator is not None:
            self._add_operator(operator, node)
            return
        assert converter is not None
        start = len(self.function.operations)
        made = converter(self, node)
        results = [made] if isinstance(made, Laid | np.ndarray) else list(made)
        if all(index == ABSENT or index in self.constants for index in node.inputs):
            results = self._folded(node, results, start)
        for index, result in zip(node.outputs, results, strict=False):
            self.bind(index, result)

    def _folded(self, node: Node, results: Sequence[Result], start: int) -> list[Result]:
        """The results of an operator on constants, which are constants: what was made for it is computed at once."""
        arrays: dict[Value, Array] = {}
        for operation in self.function.operations[start:]:
            if not isinstance(operation, top.Weight):
                self.check_constant(operation.output.shape)
                operands = [None if v is None else self._computed(v, arrays) for v in operation.operands]
                arrays.update(zip(operation.results, operation.evaluate(operands), strict=True))
        found = [r.layout.to_source(self._computed(r.value, arrays)) if isinstance(r, Laid) else r for r in results]
        return [self._in_source_type(index, array) for index, array in zip(node.outputs, found, strict=False)]

    def check_constant(self, shape: Sequence[int]) -> None:
        """Raise InputError if no constant of this shape should be made: a small file makes no huge one."""
        if math.prod(shape) > _LARGEST_CONSTANT:
            raise InputError(f"a constant of shape {list(shape)} is too large to be computed at import")

    def _computed(self, value: Value, arrays: Mapping[Value, Array]) -> Array:
        return arrays[value] if value in arrays else self.weights[value.name].reshape(value.shape)

    def _in_source_type(self, index: int, array: Array) -> Array:
        """Results of computing in floats as the tensor's integers, where it holds any."""
        if self.is_integer(index):
            return np.rint(array).astype(np.int64) if array.dtype.kind == "f" else array
        return array.astype(np.float32)

    def _add_operator(self, kind: type[Operator], node: Node) -> None:
        """A node that is a custom operator. ``custom`` keeps it by its first output."""
        from tpumlir_tflite.flexbuffer import attributes_of

        operands = [self.value(index) if index != ABSENT else None for index in node.inputs]
        names = [self.graph.tensors[index].name for index in node.outputs]
        operation = self.add_custom(kind, FRONTEND, operands, attributes_of(node.custom_options), names)
        self.custom[node.outputs[0]] = operation
        for index, value in zip(node.outputs, operation.results, strict=False):
            self.bind(index, Laid(value))

    # --- tensors -----------------------------------------------------------------------------------------------------
    def bind(self, index: int, result: Result) -> None:
        """Let a tensor be a constant or a value. Where TFLite stores it in 8 bits, the value's type says its range."""
        self.constants.pop(index, None)
        self.forms.pop(index, None)
        if not isinstance(result, Laid):
            self.constants[index] = result
            return
        value = result.value
        if value.type.quantization is None and not isinstance(value.owner, top.Weight):
            value.type = replace(value.type, quantization=self.graph.tensors[index].range)
        self.forms[index] = {result.layout: value}

    def _name(self, index: int, layout: Layout) -> str:
        """What the value of a tensor is called: an output of the network is kept in the source's order."""
        name = self.graph.tensors[index].name
        return f"{name}_nchw" if layout is CHANNELS_FIRST and index in self.graph.outputs else name

    def present(self, index: int) -> int:
        """The number of a mandatory operand. Raises InputError where it is absent."""
        if index == ABSENT:
            raise InputError("a mandatory operand is missing")
        return index

    def laid(self, index: int) -> Laid:
        """A tensor as it was made."""
        self.present(index)
        if index not in self.forms:
            self.forms[index] = {SOURCE: self.weight(self.graph.tensors[index].name, self.real(index))}
        layout, value = next(iter(self.forms[index].items()))
        return Laid(value, layout)

    def value(self, index: int) -> Value:
        """A tensor in the source's order; a constant becomes a Weight."""
        return self.form(index, SOURCE)

    def image(self, index: int) -> Value:
        """A tensor of three dimensions or more with its channels first."""
        return self.form(index, CHANNELS_FIRST)

    def form(self, index: int, layout: Layout) -> Value:
        """A tensor in a layout."""
        found = self.laid(index)
        forms = self.forms[index]
        if layout not in forms:
            if index in self.constants:
                forms[layout] = self.weight(f"{self.graph.tensors[index].name}_nchw", layout.of_source(self.real(index)))
            else:
                name = self.graph.tensors[index].name
                ends = layout is SOURCE and index in self.graph.outputs
                forms[layout] = self.relaid(found, layout, name if ends else f"{name}_{layout.value}")
        return forms[layout]

    def relaid(self, laid: Laid, layout: Layout, name: str) -> Value:
        """A value in a layout, transposed where it is in the other."""
        if laid.layout is layout:
            return laid.value
        return self.add(name, top.Permute, [laid.value], order=laid.layout.order_to(layout, len(laid.value.shape)))

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor in the source's order."""
        if index in self.constants:
            return tuple(self.constants[index].shape)
        found = self.laid(index)
        return found.layout.source_shape(found.value.shape)

    def real(self, index: int) -> Array:
        """What a constant tensor stands for: quantized numbers as floats."""
        tensor, array = self.graph.tensors[index], self.constants.get(index)
        if array is None:
            what = "is sparse and not made dense" if tensor.sparsity is not None else "is made by no operator, input or buffer"
            raise InputError(f"tensor '{tensor.name}' {what}")
        if not is_readable(tensor.type):
            raise self.refusal(f"a tensor of type {tensor.type}")
        stored = array is tensor.stored and tensor.scale is not None and array.dtype.kind in "iu"
        return tensor.scale.real(array) if stored and tensor.scale is not None else array

    def dense_constant(self, index: int) -> Array:
        """The numbers of a sparse constant with its zeros."""
        tensor = self.graph.tensors[self.present(index)]
        if tensor.stored is None or tensor.sparsity is None:
            raise InputError(f"tensor '{tensor.name}' is no sparse constant")
        numbers = dense(tensor.stored, tensor.shape, tensor.sparsity, tensor.name)
        return tensor.scale.real(numbers) if tensor.scale is not None else numbers

    def constant(self, index: int) -> Array | None:
        """What a constant tensor stands for, None for a computed or absent one."""
        return self.real(index) if index in self.constants else None

    def required(self, index: int, what: str) -> Array:
        """An operand that must be constant, named ``what`` in the error."""
        found = self.constant(self.present(index))
        if found is None:
            self.laid(index)
            raise self.refusal(f"computed {what}")
        return found

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """An operand that must be constant integers."""
        return tuple(int(n) for n in self.required(index, what).reshape(-1))

    def scalar(self, index: int) -> float | None:
        """The number of a constant of one element, else None."""
        found = self.constant(index)
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    def is_integer(self, index: int) -> bool:
        """Whether a tensor holds integers, none that stand for real numbers."""
        tensor = self.graph.tensors[index]
        return tensor.type.removeprefix("U").startswith("INT") and tensor.scale is None

    def prepared(self, index: int, form: tuple[int, ...], make: Callable[[Array], Array]) -> Value:
        """A filter made of a constant, once for each ``form`` in which operators want it. It keeps the scales it is stored with."""
        if (index, form) not in self._prepared:
            array = np.ascontiguousarray(make(self.required(index, "filter")))
            made = self._prepared[index, form] = self.weight(f"{self.graph.tensors[index].name}_filter", array)
            if isinstance(made.owner, top.Weight):
                made.owner.scale = self._weight_scales(index)
        return self._prepared[index, form]

    def _weight_scales(self, index: int) -> tuple[float, ...] | None:
        """The scales of a constant whose stored numbers are symmetric 8-bit ones, None for any other."""
        tensor = self.graph.tensors[index]
        symmetric = tensor.type == "INT8" and tensor.scale is not None and not tensor.scale.zeros.any()
        return tuple(tensor.scale.scales.tolist()) if symmetric and tensor.scale is not None else None

    # --- operations --------------------------------------------------------------------------------------------------
    def step(self, suffix: str, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append an intermediate operation of the node at work; its name gets ``_suffix``."""
        return self.add(f"{self._stem()}_{suffix}", kind, operands, **attributes)

    def emit(
        self, kind: type[Operation], operands: Sequence[Value | None], layout: Layout = SOURCE, **attributes: Any
    ) -> Laid:
        """Append the operation that makes the first output of the node at work: it gets that tensor's name."""
        assert self._node is not None
        return Laid(self.add(self._name(self._node.outputs[0], layout), kind, operands, **attributes), layout)

    def emit_many(
        self, kind: type[Operation], operands: Sequence[Value | None], layout: Layout = SOURCE, **attributes: Any
    ) -> list[Laid]:
        """Append an operation with one result for each output of the node."""
        assert self._node is not None
        names = [self._name(index, layout) for index in self._node.outputs]
        return [Laid(value, layout) for value in self.add_many(names, kind, operands, **attributes)]

    def same(self, laid: Laid) -> Laid:
        """A result that is an operand: an output of the network gets a name of its own all the same."""
        assert self._node is not None
        if self._node.outputs[0] not in self.graph.outputs:
            return laid
        return self.emit(top.Reshape, [laid.value], laid.layout, shape=laid.value.shape)

    def constant_result(self, label: str, array: Array) -> Value:
        """A Weight that belongs to the node at work."""
        return self.weight(f"{self._stem()}_{label}", array)

    def _stem(self) -> str:
        assert self._node is not None
        return self.graph.tensors[self._node.outputs[0]].name
