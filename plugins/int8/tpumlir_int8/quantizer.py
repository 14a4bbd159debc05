"""The quantizer: a Top module with calibrated ranges to a Tpu module of 8-bit numbers, floats where those do not do.

First every operation gets a mode and every tensor that 8-bit operations touch a storage (``Plan``), then all is lowered in order;
conversions come in where modes meet. Tensors that an operation passes on keep the storage that they have.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType, Module, Operation
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.lowering import KEPT, check_options, prepare_for
from tpumlir_core.plugins.extension_points import LoweringOptions, Quantizer, Target
from tpumlir_core.precision import STORED, kind
from tpumlir_core.storage_lowering import Storage, StorageLowering
from tpumlir_int8.functions import absorbed, origin
from tpumlir_int8.lookups import lower_lookup
from tpumlir_int8.plan import Plan, is_float_tensor, make_plan
from tpumlir_int8.policy import INT8, PRODUCTS
from tpumlir_int8.products import lower_product
from tpumlir_int8.scaling import lower_scale


class Int8Quantizer(Quantizer):
    """Lowers to INT8."""

    def modes(self) -> Sequence[str]:
        return (INT8,)

    def lower(self, module: Module, target: Target, options: LoweringOptions) -> Module:
        if not options.calibration:
            raise InputError(f"{module.name}: INT8 needs the range of every tensor; give --calibration-table, or samples with --dataset")
        check_options(module, options)
        prepare_for(module, target, INT8, options)
        plan = make_plan(module, target, options)
        external = {i: plan.made[value] for i, value in enumerate(module.function.outputs) if i in options.quant_outputs}
        lowering = StorageLowering(module, external)
        inputs = [op for op in module.function.operations if op.opcode == "top.Input"]
        fed = {op: plan.quantized.get(op.output) for i, op in enumerate(inputs) if i in options.quant_inputs}
        for operation in module.function.operations:
            if operation.opcode in KEPT:
                lowering.keep(operation, fed.get(operation))
            elif absorbed(operation, plan.tables, module.function.outputs):
                continue
            elif plan.modes[operation] == INT8:
                _lower_quantized(operation, plan, module, lowering, options)
            else:
                _lower_float(operation, plan.modes[operation], lowering)
        return lowering.finish(target.name, INT8)


def _lower_quantized(operation: Operation, plan: Plan, module: Module, lowering: StorageLowering, options: LoweringOptions) -> None:
    results = [plan.made[value] for value in operation.results]
    if kind(operation) in PRODUCTS:
        known = options.calibration.get(operation.input.name)
        lower_product(operation, plan.quantized[operation.input], results[0], module.weights, lowering, known.means if known else ())
        return
    if operation in plan.tables:
        steps = plan.tables[operation]
        lower_lookup(steps, plan.quantized[origin(operation.output, plan.runs)], results[0], lowering)
        return
    if operation in plan.scaled:
        lower_scale(operation, plan.quantized[operation.input], results[0], module.weights, lowering)
        return
    operands = [plan.wanted(operation, i) for i in range(len(operation.operands))]
    lowering.add(operation, lowered_class(operation), operands, results)


def _lower_float(operation: Operation, mode: str, lowering: StorageLowering) -> None:
    stored = Storage(STORED.get(mode, ElementType.F32))
    operands = [stored if is_float_tensor(value) else None for value in operation.operands]
    results = [stored if r.type.element is ElementType.F32 else Storage.of(r) for r in operation.results]
    lowering.add(operation, lowered_class(operation), operands, results)
