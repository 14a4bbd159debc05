"""Custom operators: nodes that an operator plugin knows, as operations and, where the source is run, by their reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Value
from tpumlir_core.ir.operator import Operator, source_attributes
from tpumlir_onnx.graph import Node

FRONTEND = "onnx"
"""What operators call this frontend in ``sources``."""


def custom_operation(kind: type[Operator], node: Node, operands: Sequence[Value | None], unique: Callable[[str], str]) -> Operator:
    """The operation of a node; ``unique`` makes its result names. Raises InputError for what does not fit the declaration."""
    _check_operands(kind, operands)
    attributes = source_attributes(kind, FRONTEND, node.attributes)
    names, repeated = kind.result_names, kind.result_names == ("outputs",)
    outputs = node.outputs if repeated else (*node.outputs, *names[len(node.outputs) :])
    types = kind(**attributes).infer([None if value is None else value.type for value in operands])
    if len(outputs) != len(types):
        raise InputError(f"it has {len(node.outputs)} outputs, but the operator has {len(types)}")
    labels = [unique(f"{output or node.label}_{node.op_type}") for output in outputs]
    return kind.create(operands, list(zip(labels, types, strict=True)), **attributes)


def _check_operands(kind: type[Operator], operands: Sequence[Value | None]) -> None:
    specs = kind.operand_specs
    if len(operands) > len(specs) and not any(spec.variadic for spec in specs):
        raise InputError(f"it has {len(operands)} inputs, but the operator takes {len(specs)}")
    for position, spec in enumerate(specs):
        if not (spec.optional or spec.variadic) and (position >= len(operands) or operands[position] is None):
            raise InputError(f"its input {spec.name} is missing")


def run_operation(operation: Operator, inputs: Sequence[Array | None]) -> list[Array]:
    """The results of a node by the operator's reference; floats in the type of the first float among ``inputs``, integers as int64."""
    typed = [
        None if value is None or array is None else array.astype(value.type.element.numpy)
        for value, array in zip(operation.operands, inputs, strict=True)
    ]
    real = next((array.dtype for array in inputs if array is not None and array.dtype.kind == "f"), np.dtype(np.float32))
    return [array.astype(real if array.dtype.kind == "f" else np.int64) for array in operation.evaluate(typed)]
