"""What interpreters (of Top modules) and executors (of Tpu modules) promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Module
from tpumlir_core.lowering import KEPT, to_tpu
from tpumlir_core.testing.cases import Batch
from tpumlir_core.testing.kit import Check, CheckFailed, Subject, only_errors, require
from tpumlir_core.testing.networks import reference, small_networks
from tpumlir_core.verify import compare_tensors

TOLERANCE = (0.9999, 0.999)
_MANY = 3


def computes_every_tensor(subject: Subject) -> None:
    """``run`` gives every tensor of the network by name, as the core's reference computes it."""
    for name, module, sample in _samples(subject):
        found = _run(subject, module, sample.inputs)
        wanted = {value.name for op in module.function.operations if op.opcode not in KEPT for value in op.results}
        require(wanted <= set(found), f"run({name}) does not give {', '.join(sorted(wanted - set(found)))}")
        expected = reference(module, sample.inputs)
        report = compare_tensors({key: found[key] for key in expected}, expected, TOLERANCE)
        worst = ", ".join(f"{one.name} (cos {one.cosine:.6f})" for one in report.failed)
        require(not worst, f"run({name}) computes something else than the reference: {worst}")


def computes_the_same_twice(subject: Subject) -> None:
    """The same inputs give the same tensors, and are not written to."""
    for name, module, sample in _samples(subject):
        copies = {key: array.copy() for key, array in sample.inputs.items()}
        first, second = _run(subject, module, sample.inputs), _run(subject, module, sample.inputs)
        for key, copy in copies.items():
            require(np.array_equal(copy, sample.inputs[key]), f"run({name}) writes to its input {key}")
        for key in first:
            require(np.array_equal(first[key], second[key], equal_nan=True), f"run({name}): {key} is another one the second time")


def runs_many_samples(subject: Subject) -> None:
    """``run_each`` gives, sample by sample, what ``run`` does (as exactly as float32 can), and takes no sample before it is its turn."""
    for name, module, sample in _samples(subject):
        taken: list[int] = []
        runs = subject.extension.run_each(module, _each(sample.inputs, taken))
        for turn in range(_MANY):
            found, factor = next(runs), np.float32(turn + 1)
            expected = _run(subject, module, {key: array * factor for key, array in sample.inputs.items()})
            require(taken == list(range(turn + 1)), f"run_each({name}) takes {len(taken)} samples for {turn + 1} results")
            worst = compare_tensors({key: found[key] for key in expected}, expected, TOLERANCE).failed
            require(not worst, f"run_each({name}) computes something else than run: {', '.join(one.name for one in worst)}")


def _each(inputs: Mapping[str, Array], taken: list[int]) -> Iterator[dict[str, Array]]:
    """Samples that are multiples of ``inputs``; the numbers of those that were taken come into ``taken``."""
    for turn in range(_MANY):
        taken.append(turn)
        yield {key: array * np.float32(turn + 1) for key, array in inputs.items()}


def refuses_bad_inputs(subject: Subject) -> None:
    """A missing input and one of a wrong size raise InputError."""
    for name, module, sample in _samples(subject):
        wrong = {key: np.zeros(array.size + 1, np.float32) for key, array in sample.inputs.items()}
        for told, inputs in (("no inputs", {}), ("inputs of a wrong size", wrong)):
            with only_errors(subject, f"run({name}) with {told}", InputError):
                subject.extension.run(module, inputs)
                raise CheckFailed(f"run({name}) takes {told}; raise InputError that names the input")


def _samples(subject: Subject) -> Iterator[tuple[str, Module, Batch]]:
    for name, sample in small_networks().items():
        yield name, sample.module if subject.kind.name == "interpreter" else to_tpu(sample.module, "anychip", "F32"), sample


def _run(subject: Subject, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    try:
        found: dict[str, Array] = subject.extension.run(module, inputs)
    except UnsupportedError as error:
        raise CheckFailed(f"run refuses a plain network: {error}") from error
    return found


EXECUTOR_CHECKS = (
    Check("computes every tensor", computes_every_tensor),
    Check("computes the same twice", computes_the_same_twice),
    Check("refuses bad inputs", refuses_bad_inputs),
)
CHECKS = (*EXECUTOR_CHECKS, Check("runs many samples", runs_many_samples))
