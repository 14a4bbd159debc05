"""Units of a network that change their precision together: a product with weights, and what is made of its result alone.

A function that is float between integers gains nothing: its operand is rounded before and its result after. So a convolution goes with
its activation, whatever that consists of. What joins several units (the sum of a residual connection) is a unit of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tpumlir_core.ir import Module, Operation
from tpumlir_core.ir.top import Weight
from tpumlir_core.lowering import KEPT


@dataclass(frozen=True)
class Unit:
    """Operations in the network's order, those alone that are done in 8 bits where nothing else is asked for."""

    operations: tuple[Operation, ...]

    @property
    def name(self) -> str:
        """Of its first operation."""
        return self.operations[0].name


def units_of(module: Module, narrow: Collection[str]) -> list[Unit]:
    """The units of a Top module that have operations among those named ``narrow``, in the network's order."""
    places: dict[Operation, int] = {}
    units: list[list[Operation]] = []
    for operation in module.function.operations:
        if operation.opcode in KEPT:
            continue
        makers = _makers(operation, places)
        if len(makers) == 1 and None not in makers and not _has_matrix(operation):
            place = next(iter(makers))
            assert place is not None
        else:
            place = len(units)
            units.append([])
        places[operation] = place
        units[place].append(operation)
    chosen = (tuple(operation for operation in unit if operation.name in narrow) for unit in units)
    return [Unit(operations) for operations in chosen if operations]


def _makers(operation: Operation, places: dict[Operation, int]) -> set[int | None]:
    """The units that make the computed operands; None stands for inputs of the network."""
    owners = (value.owner for value in operation.operands if value is not None)
    return {None if owner is None else places.get(owner) for owner in owners if not isinstance(owner, Weight)}


def _has_matrix(operation: Operation) -> bool:
    """Whether an operand is a weight of more than one number a channel."""
    shapes = (value.shape for value in operation.operands if value is not None and isinstance(value.owner, Weight))
    return any(sum(extent > 1 for extent in shape) > 1 for shape in shapes)
