"""Runs Top modules in onnxruntime: runs of operations that ONNX has go there in one session, the others are evaluated in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Module, Operation, Value, top
from tpumlir_core.plugins.extension_points import Interpreter
from tpumlir_onnx.builder import Builder
from tpumlir_onnx.export import export
from tpumlir_onnx.session import run_onnx


class OnnxRuntimeInterpreter(Interpreter):
    """Keeps every tensor. Weights are fed like inputs, so no model is too large for one protobuf message."""

    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors: dict[str, Array] = {}
        pending: list[Operation] = []
        builder = Builder()
        for operation in module.function.operations:
            if isinstance(operation, top.Input):
                tensors[operation.name] = _input(operation, inputs)
            elif isinstance(operation, top.Weight):
                tensors[operation.name] = module.weights[operation.name]
            elif export(builder, operation):
                pending.append(operation)
            else:
                _run_segment(builder, pending, tensors)
                builder, pending = Builder(), []
                _evaluate(operation, tensors)
        _run_segment(builder, pending, tensors)
        return tensors


def _input(operation: Operation, inputs: Mapping[str, Array]) -> Array:
    if operation.name not in inputs:
        raise InputError(f"input {operation.name} is missing")
    type_ = operation.output.type
    array = np.asarray(inputs[operation.name])
    if array.shape != type_.shape:
        raise InputError(f"input {operation.name} has shape {list(array.shape)}, not {list(type_.shape)}")
    return np.ascontiguousarray(array, type_.element.numpy).reshape(type_.shape)


def _evaluate(operation: Operation, tensors: dict[str, Array]) -> None:
    arrays = operation.evaluate([None if value is None else tensors[value.name] for value in operation.operands])
    for result, array in zip(operation.results, arrays, strict=True):
        tensors[result.name] = array


def _run_segment(builder: Builder, operations: Sequence[Operation], tensors: dict[str, Array]) -> None:
    """Run the exported operations; their results join ``tensors``."""
    if not operations:
        return
    results: list[Value] = [value for operation in operations for value in operation.results]
    made = {value.name for value in results}
    needed = {v.name: v for operation in operations for v in operation.operands if v is not None and v.name not in made}
    model = builder.model(list(needed.values()), results)
    feeds = {builder.names[name]: np.ascontiguousarray(tensors[name]).reshape(needed[name].shape) for name in needed}
    outputs = run_onnx(model, feeds, [builder.names[value.name] for value in results])
    for value in results:
        tensors[value.name] = outputs[builder.names[value.name]]
