"""Host steps: what the host computes of a compiled network's outputs, where the chip does not do a network's last operations.

An operation class that says ``host = True`` may be such a step. Where a target refuses it, and says itself that its files can tell
(``Target.host_steps``), ``split_host`` takes it off the end of the module into a module of its own, ``Module.host``, whose inputs are
the outputs of the rest. The target puts that into its file as a note (``host_note``); ``run_compiled`` runs the file and then the
steps, by their numpy reference semantics. So whoever runs a file through the core gets the network's own outputs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.bmodel import is_bmodel, read_model, read_notes
from tpumlir_core.container import container_chip, read_container
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Function, Module, Operation, Value, WeightStore
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.ir.text import parse_module, print_module
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.plugins.extension_points import Runner

NOTE = "host"
"""The note: "module", the steps as MLIR text, and "weights", their constants in base64, little endian."""
_FAULTS = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)


# --- taking steps off a module ------------------------------------------------------------------------------------------
def split_host(module: Module, refused: Callable[[Operation], bool]) -> None:
    """Move the host steps at the end of a Top module into ``module.host``; nothing happens where there are none.

    Steps are the refused operations that may be, if none but steps read their results. Something must be left for the chip.
    """
    steps = _steps(module, refused)
    if not steps:
        return
    made = {value for step in steps for value in step.results}
    fed = {value: None for step in steps for value in step.operands if value is not None and value not in made}
    fed |= {value: None for value in module.function.outputs if value not in made}
    computed = [value for value in fed if not isinstance(value.owner, Input | Weight)]
    if not computed:
        return
    module.host = _host_module(module, steps, list(fed))
    module.function.outputs = computed
    module.function.remove(set(steps))
    unused: set[Operation] = {op for op in module.function.operations if isinstance(op, Weight) and not op.output.uses}
    module.function.remove(unused)
    for weight in unused:
        del module.weights[weight.name]


def _steps(module: Module, refused: Callable[[Operation], bool]) -> list[Operation]:
    """The host steps, in order."""
    found: dict[Operation, None] = {}
    end = module.function.terminator
    for operation in reversed(module.function.operations):
        last = all(user is end or user in found for value in operation.results for user, _ in value.uses)
        if last and operation.host and refused(operation):
            found[operation] = None
    return list(found)[::-1]


def _host_module(module: Module, steps: list[Operation], fed: list[Value]) -> Module:
    """A module of the steps, fed with ``fed`` (of which weights become its weights) and with the outputs of the whole."""
    weights = WeightStore()
    twins: dict[Value, Value] = {}
    operations: list[Operation] = []
    for value in fed:
        kind = Weight if isinstance(value.owner, Weight) else Input
        operations.append(kind.create([], [(value.name, value.type)]))
        twins[value] = operations[-1].output
        if kind is Weight:
            weights[value.name] = module.weights[value.name]
    operations += [_twin(step, twins) for step in steps]
    function = Function(module.function.name, operations, [twins[value] for value in module.function.outputs])
    return Module(f"{module.name}_host", function, weights, {"module.state": "TOP_F32"})


def _twin(step: Operation, twins: dict[Value, Value]) -> Operation:
    """The same operation on the twins of its operands; its results become twins too."""
    operands = [None if value is None else twins[value] for value in step.operands]
    made = type(step).create(operands, [(value.name, value.type) for value in step.results], **step.attributes())
    twins.update(zip(step.results, made.results, strict=True))
    return made


def network_outputs(module: Module) -> list[Value]:
    """The outputs of a network, host steps included."""
    return (module.host or module).function.outputs


def rejoined(module: Module) -> Module:
    """A lowered module with its host steps at the end, for its text; itself where it has none."""
    if module.host is None:
        return module
    twins: dict[Value, Value] = {}
    operations: list[Operation] = []
    for operation in module.function.operations:
        operations.append(_twin(operation, twins))
    by_name = {value.name: value for value in twins.values()}
    weights = module.weights.copy()
    for operation in module.host.function.operations:
        if isinstance(operation, Input):
            twins[operation.output] = by_name[operation.name]
            continue
        operations.append(_twin(operation, twins))
        if isinstance(operation, Weight):
            weights[operation.name] = module.host.weights[operation.name]
    function = Function(module.function.name, operations, [twins[value] for value in module.host.function.outputs])
    return Module(module.name, function, weights, module.attributes, module.made_by)


# --- computing steps ----------------------------------------------------------------------------------------------------
def finish(host: Module, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor that the steps make, by name, and every output of the network; ``tensors``: what they are fed with.

    Raises InputError where one is missing, or does not fit.
    """
    arrays: dict[Value, Array] = {}
    for operation in host.function.operations:
        if isinstance(operation, Input):
            arrays[operation.output] = _fed(operation.output, tensors)
        elif isinstance(operation, Weight):
            arrays[operation.output] = host.weights[operation.name]
        else:
            inputs = [None if value is None else arrays[value] for value in operation.operands]
            arrays |= zip(operation.results, _computed(operation, inputs), strict=True)
    kept = {*host.function.outputs, *(v for v in arrays if not isinstance(v.owner, Input | Weight))}
    return {value.name: array for value, array in arrays.items() if value in kept}


def _fed(value: Value, tensors: Mapping[str, Array]) -> Array:
    found = tensors.get(value.name)
    if found is None or found.size != value.type.elements:
        raise InputError(f"host step: the network gives no {value.name} of shape {list(value.shape)}")
    return np.ascontiguousarray(found.reshape(value.shape), value.type.element.numpy)


def _computed(operation: Operation, inputs: list[Array | None]) -> list[Array]:
    try:
        return operation.evaluate(inputs)
    except _FAULTS as error:
        raise InputError(f"host step {operation.name} ({operation.opcode}): {type(error).__name__}: {error}") from None


def run_compiled(path: Path, runner: Runner, inputs: Mapping[str, Array], operators: OperatorSet | None = None) -> dict[str, Array]:
    """The outputs of a compiled file by name: what a runner gives, and after that the host steps that the file tells of.

    ``operators``: the custom ones that may be among them. Raises InputError where what it tells makes no sense.
    """
    found = runner.run(path, inputs)
    host = _noted(path, set(found), operators)
    if host is None:
        return found
    finished = finish(host, {**inputs, **found})
    return {value.name: finished[value.name] for value in host.function.outputs}


# --- in files -----------------------------------------------------------------------------------------------------------
def host_note(module: Module) -> dict[str, Any]:
    """The note by its name, of a module with host steps; else nothing. Targets put it into the file."""
    host = module.host
    if host is None:
        return {}
    weights = {name: base64.b64encode(np.ascontiguousarray(host.weights[name]).tobytes()).decode() for name in host.weights}
    return {NOTE: {"module": print_module(host), "weights": weights}}


def noted_host(notes: Mapping[str, Any], operators: OperatorSet | None = None) -> Module | None:
    """The host steps that notes of a file tell of. Raises InputError where they make no sense."""
    note = notes.get(NOTE)
    if note is None:
        return None
    try:
        host = parse_module(str(note["module"]), "its host steps", operators)
        for operation in host.function.operations:
            if isinstance(operation, Weight):
                host.weights[operation.name] = _decoded(operation.output, note["weights"][operation.name])
            elif not (operation.host or isinstance(operation, Input)):
                raise ValueError(f"{operation.opcode} is none")
        return host
    except _FAULTS as error:
        raise InputError(f"what the file says about host steps makes no sense: {type(error).__name__}: {error}") from None


def _decoded(value: Value, text: str) -> Array:
    data = base64.b64decode(text, validate=True)
    dtype = value.type.element.numpy
    if len(data) != value.type.elements * dtype.itemsize:
        raise ValueError(f"weight {value.name} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(value.shape)


def _noted(path: Path, outputs: set[str], operators: OperatorSet | None) -> Module | None:
    """The host steps of the network in a file that gave ``outputs``."""
    data = path.read_bytes()
    if is_bmodel(data):
        stages = [stage for net in read_model(data).net for stage in net.parameter]
        notes = [read_notes(stage) for stage in stages if {tensor.name for tensor in stage.output_tensor} == outputs]
    else:
        notes = [dict(read_container(data).facts)] if container_chip(data) is not None else []
    try:
        return next((host for one in notes if (host := noted_host(one, operators)) is not None), None)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
