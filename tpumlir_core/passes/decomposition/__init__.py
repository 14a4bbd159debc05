"""Decomposition of operations that a target has no kernel for into simpler ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir.operation import Module, Operation, Value
from tpumlir_core.ir.operator import Operator
from tpumlir_core.passes.decomposition.activations import ACTIVATIONS
from tpumlir_core.passes.decomposition.arithmetic import ARITHMETIC
from tpumlir_core.passes.decomposition.movement import MOVEMENT
from tpumlir_core.passes.decomposition.normalization import NORMALIZATION
from tpumlir_core.passes.decomposition.ranks import BROADCASTING, RANKS, expand_operands
from tpumlir_core.passes.decomposition.scatter import SCATTER
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps
from tpumlir_core.passes.decomposition.windows import WINDOWS
from tpumlir_core.passes.framework import Pass, everything
from tpumlir_core.passes.rewriting import Rewriter, rewrite

DECOMPOSITIONS: Mapping[str, Decomposition] = {**ACTIVATIONS, **ARITHMETIC, **MOVEMENT, **NORMALIZATION, **RANKS, **SCATTER, **WINDOWS}


def split_activation(op: Operation, steps: Steps) -> bool:
    """The activation of an operation as a Relu of its own."""
    if not getattr(op, "do_relu", False):
        return False
    return steps.done(type(op), *op.operands, **{**op.attributes(), "do_relu": False, "relu_limit": -1.0})


def decompose_operator(op: Operator, steps: Steps) -> bool:
    """A custom operator by its own ``decompose``. Raises PluginFault where that contradicts ``infer``."""
    given = op.decompose(steps)
    if given is None:
        return False
    values = [given] if isinstance(given, Value) else list(given)
    expected, found = [v.type for v in op.results], [v.type for v in values]
    if expected != found:
        raise op.fault("decompose", f"infer says that the results are {expected}, decompose gives {found}")
    return steps.done_values(values)


@dataclass(frozen=True)
class DecomposeUnsupported(Pass):
    """Rewrite every operation for which ``supported`` says no and a decomposition is known, until none is left.

    What has no decomposition, or decomposes into what is not supported either, stays for the lowering to report.
    """

    name: ClassVar[str] = "decompose-unsupported"
    supported: Callable[[Operation], bool] = everything

    def run(self, module: Module) -> bool:
        with_activation = {o.opcode for o in module.function.operations if getattr(o, "do_relu", False)}
        custom = {o.opcode: decompose_operator for o in module.function.operations if isinstance(o, Operator)}
        known = {**DECOMPOSITIONS, **custom}
        opcodes = {*known, *BROADCASTING, *with_activation}
        return rewrite(module, {opcode: (self._rule(known.get(opcode)),) for opcode in sorted(opcodes)})

    def _rule(self, decomposition: Decomposition | None) -> Callable[[Operation, Rewriter], bool]:
        def rule(op: Operation, rewriter: Rewriter) -> bool:
            if self.supported(op):
                return False
            steps = Steps(op, rewriter)
            if op.opcode in BROADCASTING and expand_operands(op, steps):
                return True
            return (decomposition is not None and decomposition(op, steps)) or split_activation(op, steps)

        return rule


__all__ = ["DECOMPOSITIONS", "DecomposeUnsupported"]
