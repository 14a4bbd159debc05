"""Type inference over a whole function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Module
from tpumlir_core.passes.framework import Pass


@dataclass(frozen=True)
class InferShapes(Pass):
    """Give every result the type that its operation infers from the operands' types. Raises InputError, with the tensor's name."""

    name: ClassVar[str] = "infer-shapes"

    def run(self, module: Module) -> bool:
        changed = False
        for op in module.function.operations:
            if op.opcode in ("top.Input", "top.Weight"):
                continue
            try:
                types = op.infer([None if v is None else v.type for v in op.operands])
            except InputError as error:
                raise InputError(f"{module.name}: {op.name}: {error}") from None
            for value, type_ in zip(op.results, types, strict=False):
                found = replace(value.type, shape=type_.shape, element=type_.element)
                changed |= found != value.type
                value.type = found
        return changed
