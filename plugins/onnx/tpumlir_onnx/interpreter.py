"""Runs Top modules in onnxruntime: runs of operations that ONNX has go there in one session, the others are evaluated in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, Module, Operation, Value, top
from tpumlir_core.ir.storage import is_quantized
from tpumlir_core.plugins.extension_points import Interpreter
from tpumlir_onnx.builder import Builder
from tpumlir_onnx.export import export
from tpumlir_onnx.session import OnnxSession

_MOST_CONSTANTS = 1 << 30
"""Bytes of weights that a session may have as constants: a protobuf message can have 2 GiB, and this is a copy of them."""


class OnnxRuntimeInterpreter(Interpreter):
    """Keeps every tensor. One sample is run node by node as the module says, many by what onnxruntime makes of the graph.

    Modules of quantized sources, whose tensors are rounded one by one, are evaluated in numpy.
    """

    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if is_quantized(module):
            return NumpyInterpreter().run(module, inputs)
        tensors = _sources(module, inputs)
        for step in _steps(module, optimize=False):
            _run(step, tensors)
        return tensors

    def run_each(self, module: Module, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        steps: list[Operation | _Segment] = []
        if is_quantized(module):
            yield from super().run_each(module, samples)
            return
        for inputs in samples:
            tensors = _sources(module, inputs)
            steps = steps or list(_steps(module, optimize=True))
            for step in steps:
                _run(step, tensors)
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


def _steps(module: Module, optimize: bool) -> Iterator[Operation | _Segment]:
    """The operations in order: those to be evaluated in numpy, and between them what runs in one session.

    To ``optimize`` is worth it for many runs: weights are constants then (fed like inputs they are not copied, and no model is
    too large), and onnxruntime arranges them, and the tensors, as its fastest kernels want them.
    """
    sizes = (module.weights[op.name].nbytes for op in module.function.operations if optimize and isinstance(op, top.Weight))
    constant = optimize and sum(sizes) <= _MOST_CONSTANTS
    builder, pending = Builder(), list[Operation]()
    for operation in module.function.operations:
        if isinstance(operation, top.Input | top.Weight):
            continue
        if export(builder, operation):
            pending.append(operation)
            continue
        if pending:
            yield _Segment.of(module, builder, pending, constant)
            builder, pending = Builder(), []
        yield operation
    if pending:
        yield _Segment.of(module, builder, pending, constant)


def _run(step: Operation | _Segment, tensors: dict[str, Array]) -> None:
    """Add to ``tensors`` what a step computes from them."""
    if isinstance(step, _Segment):
        step.run(tensors)
        return
    arrays = step.evaluate([None if value is None else tensors[value.name] for value in step.operands])
    tensors.update({result.name: array for result, array in zip(step.results, arrays, strict=True)})


@dataclass(frozen=True)
class _Segment:
    """Operations that run in one session: what it is fed with and what it gives, each by its name in the session."""

    session: OnnxSession
    needed: Mapping[str, Value]
    results: Mapping[str, str]

    @classmethod
    def of(cls, module: Module, builder: Builder, operations: Sequence[Operation], constant: bool) -> _Segment:
        """The session for operations that ``builder`` has the nodes of; with ``constant`` weights, onnxruntime optimizes it."""
        results: list[Value] = [value for operation in operations for value in operation.results]
        made = {value.name for value in results}
        needed = {v.name: v for operation in operations for v in operation.operands if v is not None and v.name not in made}
        weights = {name: module.weights[name] for name, v in needed.items() if constant and isinstance(v.owner, top.Weight)}
        session = OnnxSession(builder.model(list(needed.values()), results, weights), optimize=constant)
        fed = {builder.names[name]: value for name, value in needed.items() if name not in weights}
        return cls(session, fed, {builder.names[value.name]: value.name for value in results})

    def run(self, tensors: dict[str, Array]) -> None:
        """Add to ``tensors`` what the session computes from them."""
        feeds = {name: np.ascontiguousarray(tensors[value.name]).reshape(value.shape) for name, value in self.needed.items()}
        tensors.update(zip(self.results.values(), self.session.run(feeds, list(self.results)), strict=True))
