"""The plainest lowering, for quantizers to start from: the same operations in the Tpu dialect, with the types that they have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.host import split_host
from tpumlir_core.interpreter import network_inputs
from tpumlir_core.ir import Function, Module, Operation, TensorType, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import LoweringOptions, Positions, Target

KEPT = ("top.Input", "top.Weight")
"""Operations that stay Top operations after lowering."""

_NAMED = 5
"""How many names that a network does not have are told."""


def check_options(module: Module, options: LoweringOptions) -> None:
    """Raises InputError where options name operations, inputs or outputs that a Top module does not have.

    Of a calibration table one tensor at least must be the network's: another tool may have made it, and fused otherwise.
    """
    known = {value.name for operation in module.function.operations for value in operation.results}
    strange = [name for name in options.modes if name not in known]
    if strange:
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        raise InputError(f"{module.name}: no operation {', '.join(strange[:_NAMED])}{more}, which the quantization table names")
    if options.calibration and known.isdisjoint(options.calibration):
        raise InputError(f"{module.name}: none of its tensors is in the calibration table, as {next(iter(options.calibration))} is")
    _check_positions("input", options.quant_inputs, len(network_inputs(module)))
    _check_positions("output", options.quant_outputs, len(module.function.outputs))


def _check_positions(kind: str, positions: Positions, count: int) -> None:
    beyond = [position + 1 for position in sorted(positions.chosen) if position >= count]
    if beyond:
        raise InputError(f"--quant-{kind}-list: there is no {kind} {beyond[0]}, the network has {count}")


def prepare_for(module: Module, target: Target, mode: str, options: LoweringOptions) -> None:
    """Rewrite a Top module in place into operations that the target does in a mode; host steps move to ``module.host``.

    Raises UnsupportedError that lists, by name, every operation for which there is no way: as the network has it, with what
    it was decomposed into where that is what fails.
    """
    before = _refused(module, target, mode)
    run_pipeline(
        "prepare", module, registry=options.passes, supported=lambda op: target.supports(op, mode) is None, target=target.name
    )
    if target.host_steps:
        split_host(module, lambda op: op.opcode not in KEPT and target.supports(op, mode) is not None)
    after = _refused(module, target, mode)
    if after:
        raise UnsupportedError(f"{module.name}: {target.name} cannot do", tuple(_report(before, after)))


def _refused(module: Module, target: Target, mode: str) -> dict[str, tuple[str, str]]:
    """Opcode and reason of every operation that the target does not do, by name."""
    answers = ((op, target.supports(op, mode)) for op in module.function.operations if op.opcode not in KEPT)
    return {op.name: (op.opcode, reason) for op, reason in answers if reason is not None}


def _report(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> Iterable[str]:
    """One item for each operation of the network, in its order."""
    parts: dict[str, list[str]] = {}
    for name, (opcode, reason) in after.items():
        origin = _origin(name, before)
        known = parts.setdefault(origin, [])
        part = f"{opcode}: {reason}"
        if part not in known:
            known.append(part)
    for origin, failed in parts.items():
        opcode, reason = before.get(origin) or after[origin]
        own = f"{origin} ({opcode}): {reason}"
        others = [part for part in failed if part != f"{opcode}: {reason}"]
        yield f"{own}, and of its parts {', '.join(others)}" if others else own


def _origin(name: str, operations: Collection[str]) -> str:
    """The operation that one of this name was made from: a decomposition names its steps after it."""
    words = name.split("_")
    candidates: Sequence[str] = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return next((candidate for candidate in candidates if candidate in operations), name)


def retyped(operation: Operation, types: Callable[[TensorType], TensorType]) -> Operation:
    """A detached twin whose operands and results have other types; weights stay weights of the same names and types."""
    operands = [None if value is None else _twin(value, types) for value in operation.operands]
    return type(operation).create(operands, [(r.name, types(r.type)) for r in operation.results], **operation.attributes())


def _twin(value: Value, types: Callable[[TensorType], TensorType]) -> Value:
    if isinstance(value.owner, Weight):
        return Weight.create([], [(value.name, value.type)]).output
    return Value(value.name, types(value.type))


def to_tpu(module: Module, chip: str, mode: str) -> Module:
    """Every Top operation as the Tpu operation of the same name, types and weights kept; a new module."""
    new: dict[Value, Value] = {}
    operations: list[Operation] = []
    for operation in module.function.operations:
        kind = type(operation) if operation.opcode in KEPT else lowered_class(operation)
        operands = [None if value is None else new[value] for value in operation.operands]
        operations.append(kind.create(operands, [(r.name, r.type) for r in operation.results], **operation.attributes()))
        new.update(zip(operation.results, operations[-1].results, strict=True))
    function = Function(module.function.name, operations, [new[value] for value in module.function.outputs])
    attributes = {**module.attributes, "module.state": "TPU_LOWERED", "module.chip": chip, "module.mode": mode}
    return Module(module.name, function, module.weights, attributes)
