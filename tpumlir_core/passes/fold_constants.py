"""Constant folding: operations whose operands are all weights are computed now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Array, Module, Operation
from tpumlir_core.ir.top import Weight
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import drop_unused_weights

# Need only the types of their operands, which are static.
_OF_TYPES = frozenset({"top.PriorBox", "top.Shape", "top.Size"})

# What numpy raises for values that do not fit, such as indices outside a tensor.
_FAULTS = (InputError, ArithmeticError, IndexError, ValueError, TypeError, MemoryError)


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace an operation on weights by a weight of its result's name; also one of any tensors of which only the shapes count.

    ``limit_bytes``: a result larger than this and than its operands together is left to the target. Outputs stay computed.
    """

    name: ClassVar[str] = "fold-constants"
    limit_bytes: int = 64 << 20

    def run(self, module: Module) -> bool:
        operations: list[Operation] = []
        dead: set[Operation] = set()
        for op in module.function.operations:
            try:
                arrays = self._evaluate(op, module)
            except _FAULTS as error:
                raise InputError(f"{module.name}: {op.name} ({op.opcode}) of constants cannot be computed: {error}") from error
            if arrays is None:
                operations.append(op)
                continue
            dead.add(op)
            for value, array in zip(op.results, arrays, strict=True):
                module.weights[value.name] = array
                weight = Weight.create([], [(value.name, value.type)])
                value.replace_all_uses_with(weight.output)
                operations.append(weight)
        if not dead:
            return False
        for op in dead:
            op.drop_operands()
        unused = {o for o in operations if isinstance(o, Weight) and not o.output.uses}
        module.function.operations = [o for o in operations if o not in unused]
        drop_unused_weights(module)
        return True

    def _evaluate(self, op: Operation, module: Module) -> list[Array] | None:
        """The results of an operation that can be folded, else None."""
        present = [v for v in op.operands if v is not None]
        if not present or op.opcode == "top.Input" or any(user is module.function.terminator for v in op.results for user, _ in v.uses):
            return None
        if op.opcode in _OF_TYPES:
            return self._stored(op, [np.broadcast_to(np.float32(0), value.shape) for value in present])
        if not all(isinstance(v.owner, Weight) for v in present):
            return None
        if sum(v.type.bytes for v in op.results) > max(self.limit_bytes, sum(v.type.bytes for v in present)):
            return None
        return self._stored(op, [None if v is None else module.weights[v.name] for v in op.operands])

    def _stored(self, op: Operation, inputs: list[Array | None]) -> list[Array]:
        """The results in the storage of their types."""
        pairs = zip(op.results, op.evaluate(inputs), strict=True)
        return [np.ascontiguousarray(array, value.type.element.numpy).reshape(value.shape) for value, array in pairs]
