"""What overflows F16 before a softmax counts as the largest number."""

from __future__ import annotations

from tpumlir_core.ir import Module, Operation, Value
from tpumlir_core.ir.top import MinConst, Softmax
from tpumlir_core.precision import LARGEST_F16


def keep_probabilities_finite(module: Module, modes: dict[Operation, str]) -> None:
    """Limit the operand of every Softmax of what is stored in F16, in place, and add the limits to ``modes``.

    A score beyond the largest F16 number is infinite when it is stored, and the difference of two infinities, which softmax takes,
    is no number: one score that is too large would leave nothing of the others.
    """
    names = {value.name for value in module.function.values()}
    operations: list[Operation] = []
    for operation in module.function.operations:
        if isinstance(operation, Softmax) and "F16" in {modes.get(one) for one in (operation, operation.input.owner) if one is not None}:
            limit = _limit(operation.input, names)
            operation.set_operand(0, limit.output)
            modes[limit] = "F16"
            operations.append(limit)
        operations.append(operation)
    module.function.operations = operations


def _limit(value: Value, names: set[str]) -> Operation:
    name, count = f"{value.name}_finite", 1
    while name in names:
        count += 1
        name = f"{value.name}_finite_{count}"
    names.add(name)
    return MinConst.create([value], [name], const_val=LARGEST_F16)
