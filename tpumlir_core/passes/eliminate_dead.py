"""Dead code elimination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import drop_unused_weights


@dataclass(frozen=True)
class EliminateDead(Pass):
    """Remove operations that no output depends on, and weights that no operation names. Inputs stay: they are the signature."""

    name: ClassVar[str] = "eliminate-dead"

    def run(self, module: Module) -> bool:
        dead: set[Operation] = set()
        for op in reversed(module.function.operations):
            if op.opcode != "top.Input" and all(user in dead for v in op.results for user, _ in v.uses):
                dead.add(op)
        if dead:
            module.function.remove(dead)
        weights = len(module.weights)
        drop_unused_weights(module)
        return bool(dead) or len(module.weights) != weights
