"""Conversion of integer tensors to float where they are computed with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Module, Operation, Value
from tpumlir_core.ir.types import ElementType, TensorType
from tpumlir_core.passes.framework import Pass

# (opcode, operand) that holds indices, of any element type.
INDEX_OPERANDS = frozenset(
    {("top.Gather", 1), ("top.GatherElements", 1), ("top.GatherND", 1), ("top.ScatterElements", 1), ("top.ScatterND", 1)}
)


def _nothing(op: Operation) -> bool:
    """The predicate of a target that reads no integers."""
    return False


@dataclass(frozen=True)
class CastIntegers(Pass):
    """Insert a Cast (or rewrite a weight) where an operation with a float result has an integer operand that is no index.

    Top operations compute in floats whatever the element type of their operands; a target's kernels need not. ``reads``: whether
    one does of an operation as it is; it is asked about numbers of 8 bits only, such as images are.
    """

    name: ClassVar[str] = "cast-integers"
    reads: Callable[[Operation], bool] = _nothing

    def run(self, module: Module) -> bool:
        names = {v.name for v in module.function.values()}
        operations: list[Operation] = []
        changed = False
        for op in module.function.operations:
            operations.append(op)
            for value in list(op.results):
                users = [] if value.type.element.is_float else [use for use in value.uses if self._needs_floats(value, *use)]
                if not users:
                    continue
                name = f"{value.name}_f32"
                while name in names:
                    name += "_"
                names.add(name)
                cast = _as_float(module, op, value, name)
                operations.append(cast)
                changed = True
                for user, position in users:
                    user.set_operand(position, cast.output)
        module.function.operations = operations
        return changed

    def _needs_floats(self, value: Value, user: Operation, position: int) -> bool:
        return _computes(user, position) and not (value.type.element.bytes == 1 and self.reads(user))


def _computes(user: Operation, position: int) -> bool:
    makes_float = any(result.type.element.is_float for result in user.results)
    return makes_float and not isinstance(user, top.Cast) and (user.opcode, position) not in INDEX_OPERANDS


def _as_float(module: Module, op: Operation, value: Value, name: str) -> Operation:
    type_ = TensorType(value.shape, ElementType.F32)
    if not isinstance(op, top.Weight):
        return top.Cast.create([value], [(name, type_)], to="F32")
    module.weights[name] = module.weights[value.name].astype(np.float32)
    return top.Weight.create([], [(name, type_)])
