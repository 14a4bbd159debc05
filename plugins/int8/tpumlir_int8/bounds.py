"""Bounds that tensors cannot leave whatever the network is fed with, because of the functions that make them.

What was seen on samples is no such bound: the scores of a detector are negative on all photos without the thing that it detects. But
a SiLU is above -0.28 for every operand, and so is what is pooled or moved from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tpumlir_core.ir import Module, Operation, Value
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.precision import kind
from tpumlir_int8.functions import POINTS, Steps, evaluate, steps_of
from tpumlir_int8.policy import JOINING, follows

_BLENDING = frozenset({"AvgPool", "Interp"})
"""Every result lies between operands, or between them and zero."""


@dataclass(frozen=True)
class Bounds:
    """Real numbers from ``low`` to ``high``, either of which may be infinite."""

    low: float = -np.inf
    high: float = np.inf

    def joined(self, other: Bounds) -> Bounds:
        """What holds both."""
        return Bounds(min(self.low, other.low), max(self.high, other.high))


UNBOUNDED = Bounds()


def bounds_of(module: Module, ranges: Mapping[str, CalibratedRange]) -> dict[Value, Bounds]:
    """The bounds of those tensors that have some. Of functions they hold for the operands that ``ranges`` let be stored."""
    found: dict[Value, Bounds] = {}
    runs: dict[Operation, Steps] = {}
    for operation in module.function.operations:
        steps = steps_of(operation, runs)
        if steps:
            runs[operation] = steps
        bounds = _of_function(steps, ranges) if steps else _of_operands(operation, found)
        if bounds != UNBOUNDED:
            found.update(dict.fromkeys(operation.results, bounds))
    return found


def _of_function(steps: Steps, ranges: Mapping[str, CalibratedRange]) -> Bounds:
    source = steps[0].operands[0]
    assert source is not None
    if source.name not in ranges:
        return UNBOUNDED
    reach = ranges[source.name].threshold
    with np.errstate(all="ignore"):
        values = evaluate(steps, source, np.linspace(-reach, reach, POINTS, dtype=np.float32))
    return Bounds(float(values.min()), float(values.max())) if np.isfinite(values).all() else UNBOUNDED


def _of_operands(operation: Operation, known: Mapping[Value, Bounds]) -> Bounds:
    if not operation.operands or not (follows(operation) or kind(operation) in JOINING | _BLENDING):
        return UNBOUNDED
    taken = operation.operands if kind(operation) in JOINING else operation.operands[:1]
    found = [known.get(value, UNBOUNDED) for value in taken if value is not None]
    whole = Bounds(0.0, 0.0) if kind(operation) in _BLENDING else found[0]
    for bounds in found:
        whole = whole.joined(bounds)
    return whole
