"""What interpreters (of Top modules) and executors (of Tpu modules) promise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Module
from tpumlir_core.lowering import KEPT, to_tpu
from tpumlir_core.testing.cases import Batch
from tpumlir_core.testing.kit import Check, CheckFailed, Subject, only_errors, require
from tpumlir_core.testing.networks import reference, small_networks
from tpumlir_core.verify import compare_tensors

TOLERANCE = (0.9999, 0.999)


def computes_every_tensor(subject: Subject) -> None:
    """``run`` gives every tensor of the network by name, as the core's reference computes it."""
    for name, module, sample in _samples(subject):
        found = _run(subject, module, sample)
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
        first, second = _run(subject, module, sample), _run(subject, module, sample)
        for key, copy in copies.items():
            require(np.array_equal(copy, sample.inputs[key]), f"run({name}) writes to its input {key}")
        for key in first:
            require(np.array_equal(first[key], second[key], equal_nan=True), f"run({name}): {key} is another one the second time")


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


def _run(subject: Subject, module: Module, sample: Batch) -> dict[str, Array]:
    try:
        found: dict[str, Array] = subject.extension.run(module, sample.inputs)
    except UnsupportedError as error:
        raise CheckFailed(f"run refuses a plain network: {error}") from error
    return found


CHECKS = (
    Check("computes every tensor", computes_every_tensor),
    Check("computes the same twice", computes_the_same_twice),
    Check("refuses bad inputs", refuses_bad_inputs),
)
