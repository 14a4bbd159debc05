"""Runs Top modules in onnxruntime: runs of operations that ONNX has go there in one session, the others are evaluated in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Module, Operation, Value, top
from tpumlir_core.plugins.extension_points import Interpreter
from tpumlir_onnx.builder import Builder
from tpumlir_onnx.export import export
from tpumlir_onnx.session import OnnxSession


class OnnxRuntimeInterpreter(Interpreter):
    """Keeps every tensor. Weights are fed like inputs, so no model is too large for one protobuf message."""

    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return next(self.run_each(module, [inputs]))

    def run_each(self, module: Module, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        steps: list[Operation | _Segment] | None = None
        for inputs in samples:
            tensors = _sources(module, inputs)
            steps = steps or list(_steps(module))
            for step in steps:
                tensors |= step.run(tensors) if isinstance(step, _Segment) else _evaluate(step, tensors)
            yield tensors


def _sources(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors that no operation computes."""
    tensors: dict[str, Array] = {}
    for operation in module.function.operations:
        if isinstance(operation, top.Input):
            tensors[operation.name] = _input(operation, inputs)
        elif isinstance(operation, top.Weight):
            tensors[operation.name] = module.weights[operation.name]
    return tensors


def _input(operation: Operation, inputs: Mapping[str, Array]) -> Array:
    if operation.name not in inputs:
        raise InputError(f"input {operation.name} is missing")
    type_ = operation.output.type
    array = np.asarray(inputs[operation.name])
    if array.shape != type_.shape:
        raise InputError(f"input {operation.name} has shape {list(array.shape)}, not {list(type_.shape)}")
    return np.ascontiguousarray(array, type_.element.numpy).reshape(type_.shape)


def _steps(module: Module) -> Iterator[Operation | _Segment]:
    """The operations in order: those to be evaluated in numpy, and between them what runs in one session."""
    builder, pending = Builder(), list[Operation]()
    for operation in module.function.operations:
        if isinstance(operation, top.Input | top.Weight):
            continue
        if export(builder, operation):
            pending.append(operation)
            continue
        if pending:
            yield _Segment.of(builder, pending)
            builder, pending = Builder(), []
        yield operation
    if pending:
        yield _Segment.of(builder, pending)


def _evaluate(operation: Operation, tensors: Mapping[str, Array]) -> dict[str, Array]:
    arrays = operation.evaluate([None if value is None else tensors[value.name] for value in operation.operands])
    return {result.name: array for result, array in zip(operation.results, arrays, strict=True)}


@dataclass(frozen=True)
class _Segment:
    """Operations that run in one session: what it is fed with and what it gives, each by its name in the session."""

    session: OnnxSession
    needed: Mapping[str, Value]
    results: Mapping[str, str]

    @classmethod
    def of(cls, builder: Builder, operations: Sequence[Operation]) -> _Segment:
        """The session for operations that ``builder`` has the nodes of."""
        results: list[Value] = [value for operation in operations for value in operation.results]
        made = {value.name for value in results}
        needed = {v.name: v for operation in operations for v in operation.operands if v is not None and v.name not in made}
        session = OnnxSession(builder.model(list(needed.values()), results))
        return cls(session, {builder.names[name]: value for name, value in needed.items()}, {builder.names[name]: name for name in made})

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        feeds = {name: np.ascontiguousarray(tensors[value.name]).reshape(value.shape) for name, value in self.needed.items()}
        return dict(zip(self.results.values(), self.session.run(feeds, list(self.results)), strict=True))
