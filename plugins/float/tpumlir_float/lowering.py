"""Lowering of a Top module to float Tpu operations.

In F32 every Top operation becomes the Tpu operation of the same name; what the target has no kernel for is decomposed
into simpler Top operations first. In F16 and BF16 tensors are stored in 16 bits, except where ``precision`` says why not;
weights stay F32 in the module, and each kernel lays them out as it computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tpumlir_core.ir import ElementType, Module, Operation
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.lowering import KEPT, prepare_for, to_tpu
from tpumlir_core.plugins.extension_points import LoweringOptions, Positions, Quantizer, Target
from tpumlir_core.precision import STORED, storage_modes
from tpumlir_core.storage_lowering import Storage, StorageLowering
from tpumlir_float.overflow import keep_probabilities_finite


class FloatQuantizer(Quantizer):
    """Lowers to F32, F16 or BF16, and to any mixture of them where options name modes of single operations."""

    def modes(self) -> Sequence[str]:
        return ("F32", *STORED)

    def lower(self, module: Module, target: Target, options: LoweringOptions) -> Module:
        prepare_for(module, target, options.mode, options)
        if options.mode == "F32" and not options.modes:
            return to_tpu(module, target.name, options.mode)
        modes = storage_modes(module, target, options)
        keep_probabilities_finite(module, modes)
        stored_as = {operation: Storage(STORED.get(mode, ElementType.F32)) for operation, mode in modes.items()}
        lowering = StorageLowering(module, _external(module, stored_as, options.quant_outputs))
        fed = _fed(module, stored_as, options.quant_inputs)
        for operation in module.function.operations:
            if operation.opcode in KEPT:
                lowering.keep(operation, fed.get(operation))
                continue
            stored = stored_as[operation]
            operands = [_wanted(operation, i, stored) for i in range(len(operation.operands))]
            results = [stored if r.type.element is ElementType.F32 else Storage.of(r) for r in operation.results]
            lowering.add(operation, lowered_class(operation), operands, results)
        return lowering.finish(target.name, options.mode)


def _external(module: Module, stored_as: Mapping[Operation, Storage], chosen: Positions) -> dict[int, Storage]:
    """How the chosen outputs are stored, by position: as what makes them stores them."""
    outputs = {i: value for i, value in enumerate(module.function.outputs) if i in chosen and value.type.element is ElementType.F32}
    return {i: stored_as[owner] for i, value in outputs.items() if (owner := value.owner) is not None and owner in stored_as}


def _fed(module: Module, stored_as: Mapping[Operation, Storage], chosen: Positions) -> dict[Operation, Storage]:
    """How the chosen inputs are fed: as the first operation that takes them wants them."""
    inputs = [operation for operation in module.function.operations if isinstance(operation, Input)]
    takers: dict[Operation, Storage] = {}
    for operation, stored in stored_as.items():
        for i, value in enumerate(operation.operands):
            wanted = _wanted(operation, i, stored)
            if value is not None and value.owner in inputs and wanted is not None:
                takers.setdefault(value.owner, wanted)
    return {operation: takers[operation] for i, operation in enumerate(inputs) if i in chosen and operation in takers}


def _wanted(operation: Operation, position: int, stored: Storage) -> Storage | None:
    """How an operation wants an operand: floats as it stores its results, weights and integers as they are."""
    value = operation.operands[position]
    if value is None or isinstance(value.owner, Weight) or not value.type.element.is_float:
        return None
    return stored
