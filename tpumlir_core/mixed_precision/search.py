"""The search for operations that keep floats: those whose 8 bits add most noise to the outputs, as many as it takes.

What a unit adds is measured with all other units in floats, by the executor of the chip, whose arithmetic is the chip's. Noises of
units are nearly independent, so that their powers add up: how many units have to be floats is first guessed from the sum of those left,
then found by bisection. A network of n units takes n runs on the samples that suffer most and about log2(n) on all of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.evaluation.networks import open_module_network
from tpumlir_core.interpreter import matched_inputs
from tpumlir_core.ir import Array, Function, Module, Operation, Value
from tpumlir_core.mixed_precision.units import Unit, units_of
from tpumlir_core.plugins.extension_points import LoweringOptions
from tpumlir_core.precision import fits_f16
from tpumlir_core.preprocess import Sample, input_specs, read_sample
from tpumlir_core.stages import Session

STAGE = "search precision"
Lower = Callable[[Module, LoweringOptions], Module]
"""Lowers a Top module, which is used up, with options."""


@dataclass(frozen=True)
class Search:
    """What to search on and for: every output of the network, over all ``samples``, has a cosine of ``least_cosine`` at least with
    the float network's. The noise of single units is measured on those ``measured`` samples that suffer most. ``float_mode`` is what units
    get instead: F16, or F32."""

    samples: Sequence[Sample | Mapping[str, Array]]
    least_cosine: float = 0.99
    measured: int = 2
    float_mode: str = "F16"


@dataclass(frozen=True)
class UnitNoise:
    """The noise of one unit in 8 bits: its power over the signal's at the output that suffers most."""

    name: str
    noise: float


@dataclass(frozen=True)
class Mixed:
    """What was found: the mode of every operation that gets another one, the least cosine of an output with and without these, and
    the noise of units, largest first (none where 8 bits alone do)."""

    modes: Mapping[str, str]
    cosine: float
    cosine_before: float
    units: Sequence[UnitNoise] = ()


@dataclass(frozen=True)
class _Likeness:
    """Of one output: |b|^2, |a|^2, a b, |a - b|^2, of ``a`` and the float network's ``b``."""

    sums: Array

    @classmethod
    def of(cls, ours: Array, original: Array) -> _Likeness:
        a, b = (np.asarray(array, np.float64).reshape(-1) for array in (ours, original))
        return cls(np.array([b @ b, a @ a, a @ b, (a - b) @ (a - b)]))

    @property
    def noise(self) -> float:
        return float(self.sums[3] / max(self.sums[0], np.finfo(np.float64).tiny))

    @property
    def cosine(self) -> float:
        lengths = math.sqrt(float(self.sums[0] * self.sums[1]))
        return float(self.sums[2]) / lengths if lengths else float(not self.sums[3])


class _Trials:
    """Runs lowered copies of a module beside the float network."""

    def __init__(self, module: Module, lower: Lower, options: LoweringOptions, wanted: Search, session: Session) -> None:
        self._module, self._lower, self._options, self._session = module, lower, options, session
        self._inputs = _inputs(module, wanted)
        self._floats = list(open_module_network(module, session).run_each(self._inputs))

    def lowered(self, modes: Mapping[str, str]) -> Module:
        return self._lower(copied(self._module), dataclasses.replace(self._options, modes={**self._options.modes, **modes}))

    def compare(self, lowered: Module, places: Sequence[int] | None = None) -> list[list[_Likeness]]:
        """For every sample, or those at ``places``, every output."""
        places = range(len(self._inputs)) if places is None else places
        runs = open_module_network(lowered, self._session).run_each(self._inputs[place] for place in places)
        pairs = ((ours, self._floats[place]) for place, ours in zip(places, runs, strict=True))
        return [[_Likeness.of(ours[name], array) for name, array in floats.items()] for ours, floats in pairs]

    def cosine(self, modes: Mapping[str, str]) -> float:
        return min(one.cosine for one in _over_samples(self.compare(self.lowered(modes))))


def search_modes(module: Module, lower: Lower, options: LoweringOptions, wanted: Search, session: Session) -> Mixed:
    """Which operations of a Top module keep floats, beside what ``options`` says. Raises InputError where there is no sample."""
    if not wanted.samples:
        raise InputError("there is no sample to search with; give at least one input")
    with session.stage(STAGE, module.name):
        trials = _Trials(module, lower, options, wanted, session)
        whole = trials.lowered({})
        samples = trials.compare(whole)
        found = _over_samples(samples)
        before, noise = min(one.cosine for one in found), max(one.noise for one in found)
        if before >= wanted.least_cosine:
            return Mixed({}, before, before)
        units = units_of(module, _narrow(module, whole) - options.modes.keys())
        worst = sorted(range(len(samples)), key=lambda place: -max(one.noise for one in samples[place]))[: wanted.measured]
        noises = list(_noises(units, trials, worst, session))
        order = sorted(range(len(units)), key=lambda place: (-noises[place], place))
        ranked = [units[place] for place in order]
        count, cosine = _fewest(ranked, [noises[place] for place in order], noise, trials, options, wanted)
        modes = _float_modes(ranked[:count], options, wanted)
        return Mixed(modes, cosine, before, [UnitNoise(units[place].name, noises[place]) for place in order])


def _over_samples(samples: Sequence[Sequence[_Likeness]]) -> list[_Likeness]:
    """Every output over all samples."""
    return [_Likeness(np.sum([one.sums for one in found], axis=0)) for found in zip(*samples, strict=True)]


def _noises(units: Sequence[Unit], trials: _Trials, places: Sequence[int], session: Session) -> Iterator[float]:
    """What each unit alone adds in 8 bits on some samples; the others are F32, which runs fastest."""
    for place, unit in enumerate(units):
        session.advance(STAGE, place, len(units))
        modes = {operation.name: "F32" for other in units if other is not unit for operation in other.operations}
        yield max(one.noise for one in _over_samples(trials.compare(trials.lowered(modes), places)))


def _fewest(
    ranked: Sequence[Unit], noises: Sequence[float], noise: float, trials: _Trials, options: LoweringOptions, wanted: Search
) -> tuple[int, float]:
    """How many of the units that add most have to be floats, and the cosine then; all of them where even that does not do."""
    tried: dict[int, float] = {}

    def does(count: int) -> bool:
        if count not in tried:
            tried[count] = trials.cosine(_float_modes(ranked[:count], options, wanted))
        return tried[count] >= wanted.least_cosine

    low, high, place = 0, len(ranked), _guess(noises, noise, wanted.least_cosine)
    while high - low > 1:
        place = min(max(place, low + 1), high - 1)
        low, high = (low, place) if does(place) else (place, high)
        place = (low + high) // 2
    does(high)
    return high, tried[high]


def _guess(noises: Sequence[float], noise: float, least_cosine: float) -> int:
    """So many that the noise of the rest, of all that there is, makes a small enough angle: 1 - cosine is half of it."""
    allowed = 2 * (1 - least_cosine) / max(noise, np.finfo(np.float64).tiny) * sum(noises)
    left = np.cumsum(np.array(noises)[::-1])[::-1]
    return int(np.count_nonzero(left > allowed))


def _float_modes(units: Iterable[Unit], options: LoweringOptions, wanted: Search) -> dict[str, str]:
    return {operation.name: _float_mode(operation, options, wanted.float_mode) for unit in units for operation in unit.operations}


def _float_mode(operation: Operation, options: LoweringOptions, mode: str) -> str:
    """The mode, or F32 where what an operation reads or makes is too large for 16 bits."""
    return mode if fits_f16((*operation.operands, *operation.results), options.calibration) else "F32"


def _narrow(module: Module, lowered: Module) -> set[str]:
    """Names of operations that are done in 8 bits: the lowered network stores their results so, has them in a table of another, or makes
    floats of numbers as stored."""
    wide = {
        operation.name for operation in lowered.function.operations
        if operation.results and operation.output.type.element.is_float and operation.opcode != "tpu.Cast" and not operation.stored
    }
    return {operation.name for operation in module.function.operations if operation.results} - wide


def _inputs(module: Module, wanted: Search) -> list[dict[str, Array]]:
    specs = input_specs(module)
    arrays = (sample if isinstance(sample, Mapping) else read_sample(sample, specs) for sample in wanted.samples)
    return [matched_inputs(module, one) for one in arrays]


def copied(module: Module) -> Module:
    """Another module of the same operations and weights, which may be used up."""
    new: dict[Value, Value] = {}
    operations = []
    for operation in module.function.operations:
        operands = [None if value is None else new[value] for value in operation.operands]
        made = type(operation).create(operands, [(r.name, r.type) for r in operation.results], **operation.attributes())
        operations.append(made)
        new.update(zip(operation.results, made.results, strict=True))
    function = Function(module.function.name, operations, [new[value] for value in module.function.outputs])
    return Module(module.name, function, module.weights.copy(), dict(module.attributes), dict(module.made_by))
