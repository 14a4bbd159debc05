"""Running a module by its operations' reference semantics."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Array, Module, Operation, Value
from tpumlir_core.ir.storage import as_source_holds, is_quantized


def evaluate_module(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every value's array by its name; ``inputs`` by the names of the Input operations. All are kept until the end.

    Raises InputError when an input is missing or has the wrong shape, or an operation cannot be evaluated.
    """
    arrays: dict[Value, Array] = {}
    quantized = is_quantized(module)
    for operation in module.function.operations:
        for value, found in zip(operation.results, _results(module, operation, inputs, arrays), strict=True):
            if found.shape != value.shape:
                raise InputError(f"{module.name}: {value.name} has the shape {found.shape}, but its type says {value.shape}")
            arrays[value] = as_source_holds(found, value.type) if quantized else found
    return {value.name: found for value, found in arrays.items()}


def _results(module: Module, operation: Operation, inputs: Mapping[str, Array], arrays: Mapping[Value, Array]) -> list[Array]:
    if operation.opcode == "top.Input":
        if operation.name not in inputs:
            raise InputError(f"{module.name}: input {operation.name} is not given; given are {', '.join(sorted(inputs)) or 'none'}")
        return [inputs[operation.name]]
    if operation.opcode == "top.Weight":
        return [_weight(module, operation)]
    return operation.evaluate([None if value is None else arrays[value] for value in operation.operands])


def _weight(module: Module, operation: Operation) -> Array:
    if operation.name not in module.weights:
        raise InputError(f"{module.name}: weight {operation.name} has no array")
    found = module.weights[operation.name]
    if found.size != operation.output.type.elements:
        raise InputError(f"{module.name}: weight {operation.name} has {found.size} elements, but its type says {operation.output.shape}")
    return found.reshape(operation.output.shape)
