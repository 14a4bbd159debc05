"""The plainest lowering, for quantizers to start from: the same operations in the Tpu dialect, with the types that they have."""

from __future__ import annotations

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Function, Module, Operation, Value
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import LoweringOptions, Target

KEPT = ("top.Input", "top.Weight")
"""Operations that stay Top operations after lowering."""


def prepare_for(module: Module, target: Target, mode: str, options: LoweringOptions) -> None:
    """Rewrite a Top module in place into operations that the target does in a mode.

    Raises UnsupportedError that lists, by name, every operation for which there is no way.
    """
    run_pipeline(
        "prepare", module, registry=options.passes, supported=lambda op: target.supports(op, mode) is None, target=target.name
    )
    answers = [(op, target.supports(op, mode)) for op in module.function.operations if op.opcode not in KEPT]
    refused = tuple(f"{op.name} ({op.opcode}): {reason}" for op, reason in answers if reason is not None)
    if refused:
        raise UnsupportedError(f"{module.name}: {target.name} cannot do", refused)


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
