"""Lowering of a Top module to float Tpu operations.

In F32 every Top operation becomes the Tpu operation of the same name; what the target has no kernel for is decomposed
into simpler Top operations first.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Function, Module, Operation, Value
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import LoweringOptions, Quantizer, Target

_KEPT = ("top.Input", "top.Weight")


class FloatQuantizer(Quantizer):
    """Lowers to F32."""

    def modes(self) -> Sequence[str]:
        return ("F32",)

    def lower(self, module: Module, target: Target, options: LoweringOptions) -> Module:
        run_pipeline(
            "prepare", module, registry=options.passes, supported=lambda op: target.supports(op, options.mode) is None, target=target.name
        )
        reasons = []
        for op in module.function.operations:
            if op.opcode not in _KEPT:
                reason = target.supports(op, options.mode)
                if reason is not None:
                    reasons.append(f"{op.name} ({op.opcode}): {reason}")
        if reasons:
            raise UnsupportedError(f"{module.name}: {target.name} cannot do", tuple(reasons))
        return _lowered(module, target, options.mode)


def _lowered(module: Module, target: Target, mode: str) -> Module:
    new: dict[Value, Value] = {}
    operations: list[Operation] = []
    for op in module.function.operations:
        kind = type(op) if op.opcode in _KEPT else lowered_class(op)
        operands = [None if v is None else new[v] for v in op.operands]
        lowered = kind.create(operands, [(r.name, r.type) for r in op.results], **op.attributes())
        new.update(zip(op.results, lowered.results, strict=True))
        operations.append(lowered)
    function = Function(module.function.name, operations, [new[v] for v in module.function.outputs])
    attributes = {
        **module.attributes, "module.state": "TPU_LOWERED", "module.chip": target.name, "module.mode": mode,
    }
    return Module(module.name, function, module.weights, attributes)
