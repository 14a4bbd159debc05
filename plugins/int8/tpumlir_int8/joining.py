"""What is concatenated is stored as the result is where that costs nothing, or as little as it gains: nothing is converted then.

A conversion takes cycles, and rounds a second time. An operand that nothing but concatenations take is made in the storage of the
result in the first place. Others that take it too would have coarser steps by the ratio of the thresholds: up to ``NEAR`` that adds no
more noise to them than a second rounding adds to what is concatenated. Where an operand reaches a little further than the result,
as the noise of calibration has it, the result's range is raised, else each link of a chain of concatenations would round anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tpumlir_core.ir import Module, Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.precision import kind
from tpumlir_int8.bounds import Bounds
from tpumlir_int8.policy import JOINING, follows

NEAR = math.sqrt(2)
"""Ratio of thresholds: steps coarser by it have twice the noise, as much as rounding twice in the finer ones."""

Ranges = dict[str, CalibratedRange]


def joined(module: Module, ranges: Mapping[str, CalibratedRange], bounds: Mapping[Value, Bounds]) -> tuple[Ranges, dict[Value, Bounds]]:
    """The ranges, and the bounds that tensors cannot leave, with those of operands of concatenations as their results have them."""
    found, limits = dict(ranges), dict(bounds)
    for operation in module.function.operations:
        if kind(operation) in JOINING and _known(operation.output, found):
            _raise(operation, found)
    sources: dict[Value, Value] = {}
    for operation in reversed(module.function.operations):
        result = operation.results[0] if operation.results else None
        if result is None or not (kind(operation) in JOINING or (follows(operation) and result in sources)):
            continue
        for value in operation.operands if kind(operation) in JOINING else operation.operands[:1]:
            if value is not None and value not in sources and _joins(value, result, found, sources):
                sources[value] = result
                found[value.name] = _as(found[value.name], found[result.name])
                limits.pop(value, None)
                if result in limits:
                    limits[value] = limits[result]
    return found, limits


def _raise(operation: Operation, ranges: Ranges) -> None:
    """Let the result of a concatenation reach as far as those operands that have other uses and reach a little further."""
    result = ranges[operation.output.name]
    near = [
        ranges[value.name] for value in operation.operands
        if value is not None and len(value.uses) > 1 and _known(value, ranges) and _alike(ranges[value.name], result)
        and ranges[value.name].threshold <= NEAR * result.threshold
    ]
    threshold = max(one.threshold for one in (*near, result))
    if result.low >= 0:
        low, high = 0.0, threshold  # as activations say their ranges
    elif threshold > result.threshold:
        low, high = min(one.low for one in (*near, result)), max(one.high for one in (*near, result))
    else:
        low, high = result.low, result.high
    ranges[operation.output.name] = replace(result, threshold=threshold, low=low, high=high)


def _joins(value: Value, result: Value, ranges: Ranges, sources: Mapping[Value, Value]) -> bool:
    """Whether a value is to be stored as ``result`` is, of which it becomes a part."""
    if not (_known(value, ranges) and _known(result, ranges)) or not _alike(ranges[value.name], ranges[result.name]):
        return False
    own, other = ranges[value.name].threshold, ranges[result.name].threshold
    if 0.0 < getattr(value.owner, "relu_limit", -1.0) < other:
        return False  # what is limited there is stored up to the limit
    only = all(_is_part(user, result, ranges, sources) for user, _ in value.uses)
    return only or own <= other <= NEAR * own


def _is_part(user: Operation, result: Value, ranges: Ranges, sources: Mapping[Value, Value]) -> bool:
    """Whether a user stores what it makes of a value as ``result`` is stored."""
    if kind(user) in JOINING:
        return user.output is result or (user.output.name in ranges and _stored_alike(ranges[user.output.name], ranges[result.name]))
    return follows(user) and all(made in sources and _stored_alike(ranges[made.name], ranges[result.name]) for made in user.results)


def _known(value: Value, ranges: Mapping[str, CalibratedRange]) -> bool:
    """Whether a tensor is calculated and its range may be changed."""
    return value.name in ranges and not ranges[value.name].fixed and not isinstance(value.owner, Weight)


def _alike(one: CalibratedRange, other: CalibratedRange) -> bool:
    """Whether both are stored with a sign, or neither."""
    return (one.low >= 0) == (other.low >= 0)


def _stored_alike(one: CalibratedRange, other: CalibratedRange) -> bool:
    return (one.threshold, one.low, one.high) == (other.threshold, other.low, other.high)


def _as(own: CalibratedRange, other: CalibratedRange) -> CalibratedRange:
    return replace(own, threshold=other.threshold, low=other.low, high=other.high)
