"""Runs of operations that together are a function of one tensor, number by number: in 8 bits one table does them all.

``x * clip(x + 3, 0, 6) / 6``, as frameworks spell HardSwish, is four operations on ``x`` alone. Each by itself would round its
result to 8 bits; a table from ``x`` to the last result rounds once, and is one instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tpumlir_core.ir import Array, Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.precision import kind
from tpumlir_int8.policy import LOOKED_UP

_OF_ONE = LOOKED_UP | {"AddConst", "SubConst", "MulConst", "DivConst", "MaxConst", "MinConst", "Abs", "Clip", "Relu", "LeakyRelu"}
_OF_TWO = frozenset({"Add", "Sub", "Mul", "Max", "Min"})

_LONGEST = 32  # operations of a run: a longer one begins anew, so that a chain of any length takes linear time

POINTS = 1021
"""Numbers of a range at which functions are evaluated: four for each of 255 steps."""

Steps = tuple[Operation, ...]
"""Operations in order, the last of which makes the result; the first takes nothing but the origin."""


def steps_of(operation: Operation, known: Mapping[Operation, Steps]) -> Steps:
    """The run that ends with an operation, () where it is no function of one tensor. ``known``: the runs of those before it."""
    if kind(operation) not in _OF_ONE | _OF_TWO or any(not _computed(value, operation) for value in operation.operands):
        return ()
    origins = {origin(value, known) for value in operation.operands if value is not None}
    if len(origins) != 1:
        return ()
    before = {step: None for value in operation.operands if value is not None for step in _run(value, known)}
    if len(before) >= _LONGEST:
        return (operation,) if kind(operation) in _OF_ONE else ()
    return (*before, operation)


def _run(value: Value, known: Mapping[Operation, Steps]) -> Steps:
    """The run that makes a value."""
    return () if value.owner is None else known.get(value.owner, ())


def _computed(value: Value | None, operation: Operation) -> bool:
    return value is not None and not isinstance(value.owner, Weight) and value.shape == operation.output.shape


def origin(value: Value, known: Mapping[Operation, Steps]) -> Value:
    """The tensor that a value is a function of; itself where it is none."""
    steps = _run(value, known)
    found = steps[0].operands[0] if steps else value
    assert found is not None
    return found


def evaluate(steps: Steps, source: Value, numbers: Array) -> Array:
    """The result of a run for numbers of its origin."""
    arrays: dict[Value | None, Array] = {source: numbers}
    for step in steps:
        arrays[step.output] = step.evaluate([arrays[value] for value in step.operands])[0]
    return arrays[steps[-1].output]


def absorbed(operation: Operation, runs: Mapping[Operation, Steps], outputs: Sequence[Value]) -> bool:
    """Whether all that take an operation's result have it done by their own tables."""
    users = [user for result in operation.results for user, _ in result.uses]
    kept = any(result in outputs for result in operation.results)
    return bool(users) and not kept and all(operation in runs.get(user, ()) for user in users)
