"""What calibrators promise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array
from tpumlir_core.ir.text import print_module
from tpumlir_core.plugins.extension_points import CalibratedRange, Calibrator, Effort
from tpumlir_core.testing.kit import Check, CheckFailed, Subject, only_errors, require
from tpumlir_core.testing.networks import ranges, small_networks

SAMPLES = 4


def _samples() -> list[dict[str, Array]]:
    """Tensors as networks have them: around zero, after a ReLU, all zeros, one constant, a single number."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(SAMPLES):
        normal = random.standard_normal((2, 5, 7)).astype(np.float32)
        zeros, constant = np.zeros((3, 4), np.float32), np.full((4,), 0.25, np.float32)
        number = random.standard_normal((1,)).astype(np.float32)
        found.append({"normal": normal, "positive": np.maximum(normal, 0), "zeros": zeros, "constant": constant, "number": number})
    return found


def gives_every_range(subject: Subject) -> None:
    """Every tensor gets a finite range that lies within what was seen (or holds zero), and a threshold above zero."""
    samples = _samples()
    ranges = _calibrate(subject, samples)
    require(sorted(ranges) == sorted(samples[0]), f"calibrate gives ranges for {sorted(ranges)}, the tensors are {sorted(samples[0])}")
    for name, found in ranges.items():
        require(isinstance(found, CalibratedRange), f"calibrate: the range of {name} is {type(found).__name__}, not a CalibratedRange")
        numbers = (found.threshold, found.low, found.high)
        require(all(math.isfinite(number) for number in numbers), f"calibrate: the range of {name} is not finite: {found}")
        require(found.low <= found.high, f"calibrate: the range of {name} ends before it starts: {found}")
        require(found.threshold > 0, f"calibrate: the threshold of {name} is {found.threshold:g}; it must be above 0")
        seen = max(float(np.abs(sample[name]).max()) for sample in samples)
        wide = f"calibrate: the range of {name} is {found}, no value is beyond {seen:g}"
        require(max(-found.low, found.high) <= max(seen, 1e-3) * 1.01, wide)


def walks_once(subject: Subject) -> None:
    """It walks its samples once (an iterator does), writes to none of them and is done with each when it takes the next."""
    samples = _samples()
    copies = [{name: array.copy() for name, array in sample.items()} for sample in samples]
    _calibrate(subject, samples)
    for sample, copy in zip(samples, copies, strict=True):
        for name in sample:
            require(np.array_equal(sample[name], copy[name]), f"calibrate writes to the tensor {name} that it is given")


def calibrates_the_same_twice(subject: Subject) -> None:
    """The same samples give the same ranges."""
    first, second = _calibrate(subject, _samples()), _calibrate(subject, _samples())
    for name in first:
        require(first[name] == second[name], f"calibrate: the range of {name} is {second[name]} the second time, was {first[name]}")


def refines_in_bounds(subject: Subject) -> None:
    """``refine`` gives a range for every tensor that had one, and changes no weight below high effort, and never an operation."""
    sample = small_networks()["a convolution"]
    tensors = NumpyInterpreter().run(sample.module, sample.inputs)
    weights = {name: sample.module.weights[name].copy() for name in sample.module.weights}
    before = print_module(sample.module)
    for effort in (Effort.NORMAL, Effort.HIGH):
        found = subject.extension.refine(sample.module, ranges(sample), [tensors], NumpyInterpreter(), effort)
        require(set(found) == set(tensors), f"refine gives ranges for {sorted(found)}, those given are of {sorted(tensors)}")
        low = [name for name, one in found.items() if not (math.isfinite(one.threshold) and one.threshold > 0)]
        require(not low, f"refine: the threshold of {', '.join(low)} is not above 0")
        changed = [name for name, array in weights.items() if not np.array_equal(array, sample.module.weights[name])]
        require(effort is Effort.HIGH or not changed, f"refine changes the weights {', '.join(changed)} at {effort.value} effort")
        require(print_module(sample.module) == before, "refine changes the operations of the network")


def refuses_no_samples(subject: Subject) -> None:
    """No sample, and numbers that are none, raise InputError."""
    with only_errors(subject, "calibrate(no samples)", InputError):
        _calibrate(subject, [])
        raise CheckFailed("calibrate(no samples) gives ranges; raise InputError")
    with only_errors(subject, "calibrate(not a number)", InputError):
        ranges = _calibrate(subject, [{"x": np.array([1.0, np.nan, np.inf], np.float32)}])
        for name, found in ranges.items():
            told = f"calibrate(not a number): the threshold of {name} is {found.threshold}; raise InputError"
            require(math.isfinite(found.threshold), told)


def _calibrate(subject: Subject, samples: list[dict[str, Array]]) -> Mapping[str, CalibratedRange]:
    def once() -> Iterator[Mapping[str, Array]]:
        yield from samples

    calibrator: Calibrator = subject.extension
    return calibrator.calibrate(once())


CHECKS = (
    Check("gives every range", gives_every_range),
    Check("walks once", walks_once),
    Check("calibrates the same twice", calibrates_the_same_twice),
    Check("refines in bounds", refines_in_bounds),
    Check("refuses no samples", refuses_no_samples),
)
