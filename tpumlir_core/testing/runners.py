"""What runners promise: on the examples that they give, and on what the installed targets compile."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.files import HEAD_BYTES
from tpumlir_core.lowering import to_tpu
from tpumlir_core.plugins import TARGET
from tpumlir_core.plugins.extension_points import Example, Runner
from tpumlir_core.testing.frontends import recognizes_its_own
from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Subject, only_errors, require
from tpumlir_core.testing.networks import reference, small_networks
from tpumlir_core.verify import compare_tensors

TOLERANCE = (0.999, 0.99)
"""Cosine and euclidean similarity of what it computes to what an example says."""


def recognizes(subject: Subject) -> None:
    """``recognizes`` says yes to the files it runs, and no, without an exception, to others."""
    try:
        recognizes_its_own(subject)
    except CheckSkipped:
        files(subject)


def runs_files(subject: Subject) -> None:
    """``run`` gives every output by name, with the numbers that are known, and the same ones again."""
    for example in files(subject):
        copies = {name: array.copy() for name, array in example.inputs.items()}
        first, second = (_runner(subject).run(example.path, example.inputs) for _ in range(2))
        where = f"run({example.path.name})"
        for name, copy in copies.items():
            require(np.array_equal(copy, example.inputs[name]), f"{where} writes to its input {name}")
        for name, array in first.items():
            require(isinstance(array, np.ndarray), f"{where}: the output {name} is {type(array).__name__}, not an array")
            require(np.array_equal(array, second[name], equal_nan=True), f"{where}: the output {name} is another one the second time")
        missing = sorted(set(example.outputs) - set(first))
        require(not missing, f"{where} does not give the output {', '.join(missing)}")
        if example.outputs:
            report = compare_tensors({name: first[name] for name in example.outputs}, example.outputs, TOLERANCE)
            worst = ", ".join(f"{one.name} (cos {one.cosine:.6f})" for one in report.failed)
            require(not worst, f"{where} computes something else: {worst}")


def refuses_bad_input(subject: Subject) -> None:
    """Cut-off files, missing inputs and inputs of a wrong size raise InputError or PluginError and nothing else."""
    for example in files(subject):
        data = example.path.read_bytes()
        for size in (0, len(data) // 2, len(data) - 1):
            path = subject.file(f"cut{example.path.suffix}", data[:size])
            with only_errors(subject, f"run({example.path.name} cut off after {size} bytes)", InputError, PluginError):
                _runner(subject).run(path, example.inputs)
        wrong = {name: np.zeros(array.size + 1, array.dtype) for name, array in example.inputs.items()}
        for name, inputs in (("no inputs", {}), ("inputs of a wrong size", wrong)):
            with only_errors(subject, f"run({example.path.name}) with {name}", InputError):
                _runner(subject).run(example.path, inputs)
                raise CheckFailed(f"run({example.path.name}) takes {name}; raise InputError that names the input")


def files(subject: Subject) -> list[Example]:
    """The runner's examples and what installed targets make that it recognizes. Raises CheckSkipped when there is neither."""
    folder = subject.folder / "examples"
    folder.mkdir(exist_ok=True)
    found = [*_runner(subject).examples(folder), *_compiled(subject)]
    if not found:
        raise CheckSkipped("it gives no `examples`, and no installed target makes files that it recognizes")
    return found


def _compiled(subject: Subject) -> Iterator[Example]:
    for name, target in subject.plugins.load_all(TARGET):
        sample = small_networks()["a ReLU"]
        if "F32" in target.modes() and all(target.supports(op, "F32") is None for op in sample.module.function.operations[1:]):
            artifact = target.compile(to_tpu(sample.module, name, "F32"))
            path = subject.file(f"relu.{name}", artifact.data)
            if _runner(subject).recognizes(path, artifact.data[:HEAD_BYTES]):
                yield Example(path, sample.inputs, reference(sample.module, sample.inputs))


def _runner(subject: Subject) -> Runner:
    runner: Runner = subject.extension
    return runner


CHECKS = (
    Check("recognizes its own files", recognizes),
    Check("runs files", runs_files),
    Check("refuses bad input", refuses_bad_input),
)
