"""Ranges without the ends over which all that is made of a tensor stays the same.

HardSwish gives 0 for everything below -3: a convolution whose results reach down to -20 need not tell -20 from -3 when nothing but a
HardSwish takes them. Without that end the steps of its storage are finer, which is most of what networks with such activations lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tpumlir_core.ir import Array, Module, Operation, Value
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_int8.bounds import UNBOUNDED, Bounds
from tpumlir_int8.functions import POINTS, Steps, absorbed, evaluate, origin, steps_of

_HALF_STEP = 1 / 510
"""Of the range of a result: what differs by no more is the same number of 8 bits, or the next."""
_LEAST = POINTS // 32
"""Points that are worth leaving out: every function is flat over a few."""


@dataclass(frozen=True)
class Cut:
    """A range without its flat ends, and the bounds that the ends make: nothing beyond needs to be stored."""

    range: CalibratedRange
    bounds: Bounds


def narrowed(module: Module, ranges: Mapping[str, CalibratedRange]) -> dict[Value, Cut]:
    """The tensors that only functions of one tensor take, some of which are flat at an end; fixed ranges stay as they are."""
    functions = {value: runs for value, runs in _functions_by_tensor(module).items() if value.name in ranges}
    found = {value: _cut(ranges[value.name], runs, ranges) for value, runs in functions.items() if not ranges[value.name].fixed}
    return {value: cut for value, cut in found.items() if cut is not None}


def _functions_by_tensor(module: Module) -> dict[Value, list[Steps]]:
    """The tensors that nothing takes but functions of them alone, each with those functions whose results are used."""
    runs: dict[Operation, Steps] = {}
    for operation in module.function.operations:
        steps = steps_of(operation, runs)
        if steps:
            runs[operation] = steps
    found: dict[Value, list[Steps]] = {}
    for operation, steps in runs.items():
        if not absorbed(operation, runs, module.function.outputs):
            found.setdefault(origin(operation.output, runs), []).append(steps)
    outputs = set(module.function.outputs)
    return {value: functions for value, functions in found.items() if value not in outputs and _taken_by_functions(value, runs)}


def _taken_by_functions(value: Value, runs: Mapping[Operation, Steps]) -> bool:
    return all(user in runs and origin(user.results[0], runs) is value for user, _ in value.uses)


def _cut(known: CalibratedRange, functions: Sequence[Steps], ranges: Mapping[str, CalibratedRange]) -> Cut | None:
    """Flat is what is flat on both sides of zero as far as either reaches: there may be more than the samples show."""
    low, high = max(known.low, -known.threshold), min(known.high, known.threshold)
    reach = max(-low, high)
    points = np.linspace(-reach, reach, POINTS, dtype=np.float32)
    ends = [_flat_ends(steps, points, ranges.get(steps[-1].output.name)) for steps in functions]
    first, last = (float(points[place]) for place in (min(start for start, _ in ends), max(end for _, end in ends)))
    bounds = Bounds(first if first > low else -np.inf, last if last < high else np.inf)
    low, high = max(low, first), min(high, last)
    if bounds == UNBOUNDED or low >= high:
        return None
    return Cut(replace(known, low=low, high=high, threshold=max(-low, high)), bounds)


def _flat_ends(steps: Steps, points: Array, result: CalibratedRange | None) -> tuple[int, int]:
    """Up to which of the points a function is flat, and from which on."""
    source = steps[0].operands[0]
    assert source is not None
    with np.errstate(all="ignore"):
        values = np.nan_to_num(evaluate(steps, source, points).astype(np.float64))
    tolerance = (result.high - result.low) * _HALF_STEP if result is not None else 0.0
    return _flat(values, tolerance), len(points) - 1 - _flat(values[::-1], tolerance)


def _flat(values: Array, tolerance: float) -> int:
    """The last place up to which all values before differ from the one there by no more than the tolerance; 0 where it is near."""
    largest, least = np.maximum.accumulate(values), np.minimum.accumulate(values)
    differs = np.maximum(largest - values, values - least) > tolerance
    last = int(differs.argmax()) - 1 if differs.any() else len(values) - 1
    return last if last >= _LEAST else 0
