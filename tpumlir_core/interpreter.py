"""The reference interpreter: every operation by its own numpy semantics, Top and Tpu alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Module, Operation, Value
from tpumlir_core.ir.storage import as_source_holds, is_quantized
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.plugins.extension_points import Interpreter


def network_inputs(module: Module) -> list[Value]:
    """The tensors that a network is fed with, in order."""
    return [operation.output for operation in module.function.operations if isinstance(operation, Input)]


def matched_inputs(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """One array per network input, in the shape and the storage type that it has there.

    Raises InputError that names the tensors when one is missing or has the wrong number of elements.
    """
    wanted = network_inputs(module)
    missing = [value.name for value in wanted if value.name not in inputs]
    if missing:
        there = ", ".join(sorted(inputs)) or "nothing"
        raise InputError(f"no data for the input {', '.join(missing)} (given: {there}); name the arrays as the network does")
    return {value.name: _fit(value, inputs[value.name]) for value in wanted}


def _fit(value: Value, array: Array) -> Array:
    if array.size != value.type.elements:
        raise InputError(f"input {value.name}: the data have the shape {list(array.shape)}, the network needs {list(value.shape)}")
    return np.ascontiguousarray(array.reshape(value.shape), value.type.element.numpy)


class NumpyInterpreter(Interpreter):
    """Runs a module with nothing but numpy; exact, and slow on large networks.

    Tensors that a quantized source stores in 8 bits are rounded as they are there.
    """

    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every tensor of the network by name, weights left out. Raises InputError for wrong inputs."""
        fed = matched_inputs(module, inputs)
        arrays: dict[Value, Array] = {}
        quantized = is_quantized(module)
        for operation in module.function.operations:
            for value, array in zip(operation.results, _evaluate(module, operation, arrays, fed), strict=True):
                arrays[value] = as_source_holds(array, value.type) if quantized else array
        return {value.name: array for value, array in arrays.items() if not isinstance(value.owner, Weight)}


def _evaluate(module: Module, operation: Operation, arrays: Mapping[Value, Array], fed: Mapping[str, Array]) -> Sequence[Array]:
    if isinstance(operation, Input):
        return [fed[operation.name]]
    if isinstance(operation, Weight):
        return [module.weights[operation.name]]
    return operation.evaluate([None if value is None else arrays[value] for value in operation.operands])
