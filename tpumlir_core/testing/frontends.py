"""What frontends promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.errors import AbsentFrameworkError, InputError, UnsupportedError
from tpumlir_core.files import HEAD_BYTES
from tpumlir_core.ir import Module
from tpumlir_core.ir.verify import verify
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions
from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Subject, only_errors, require
from tpumlir_core.testing.networks import reference
from tpumlir_core.verify import compare_tensors

OPTIONS = ImportOptions()
MUTANTS, QUICK_MUTANTS = 80, 8
"""How many copies of an example, each with one byte changed, are tried; the second where it has to be quick."""
TOLERANCE = (0.9999, 0.999)
"""Cosine and euclidean similarity of the imported network to what the source computes."""
_FOREIGN = {
    "empty": b"", "zeros": bytes(64), "text": b"hello, world\n", "a zip archive": b"PK\x03\x04" + bytes(40),
    "noise": bytes(range(255, 0, -3)),
}


def examples_of(subject: Subject) -> Sequence[Example]:
    """The examples of a frontend or runner, written into a folder. Raises CheckSkipped when it gives none."""
    folder = subject.folder / "examples"
    folder.mkdir(exist_ok=True)
    found: Sequence[Example] = subject.extension.examples(folder)
    if not found:
        raise CheckSkipped(f"give {type(subject.extension).__name__} a method `examples` that writes small files to try it on")
    return found


def lists_operators(subject: Subject) -> None:
    """``operators`` gives names, sorted, each once."""
    names = list(_frontend(subject).operators())
    require(names and all(isinstance(name, str) and name for name in names), "operators() must give names of operators")
    require(names == sorted(set(names)), "operators() must be sorted, each name once")


def recognizes_its_own(subject: Subject) -> None:
    """``recognizes`` says yes to its examples, and no, without an exception, to other files."""
    for name, data in _FOREIGN.items():
        path = subject.file("foreign.bin", data)
        told = f"recognizes({name}) is true: it would take other plugins' files"
        require(not subject.extension.recognizes(path, data[:HEAD_BYTES]), told)
    for example in examples_of(subject):
        head = example.path.read_bytes()[:HEAD_BYTES]
        require(subject.extension.recognizes(example.path, head), f"recognizes({example.path.name}) is false for its own example")


def loads_valid_modules(subject: Subject) -> None:
    """``load`` gives a Top module in which every type is what ``infer`` says, under the name that the options give."""
    for example in examples_of(subject):
        module = _load(subject, example.path)
        verify(module, f"load({example.path.name})", CheckFailed)
        for op in module.function.operations:
            told = f"load({example.path.name}): {op.name} is {op.opcode}; a frontend gives operations of the Top dialect only"
            require(op.opcode.startswith("top."), told)
        require(module.function.outputs, f"load({example.path.name}): the network has no output")
        named = _frontend(subject).load(example.path, ImportOptions(name="renamed"))
        require(named.name == "renamed", f"load({example.path.name}) ignores the option `name`")


def computes_the_same(subject: Subject) -> None:
    """The imported network computes what the source framework (``run``) and the examples say."""
    compared = 0
    for example in examples_of(subject):
        module = _load(subject, example.path)
        ours = reference(module, example.inputs)
        for source, theirs in (("its example's outputs", example.outputs), ("run()", _run(subject, example))):
            if theirs:
                missing = sorted(set(ours) - set(theirs))
                require(not missing, f"{example.path.name}: {source} lack the output {', '.join(missing)}")
                _compare(f"{example.path.name}: load() and {source}", ours, {name: theirs[name] for name in ours})
                compared += 1
    if not compared:
        raise CheckSkipped("neither `run` nor the outputs of an example say what its networks compute")


def _compare(where: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    report = compare_tensors(ours, theirs, TOLERANCE)
    worst = ", ".join(f"{one.name} (cos {one.cosine:.6f})" for one in report.failed)
    require(not report.failed, f"{where} differ: {worst}")


def _run(subject: Subject, example: Example) -> dict[str, np.ndarray]:
    try:
        return _frontend(subject).run(example.path, example.inputs, OPTIONS)
    except UnsupportedError:
        return {}


def loads_the_same_twice(subject: Subject) -> None:
    """The same file gives the same module, also from another instance."""
    for example in examples_of(subject):
        first, second = _load(subject, example.path), subject.fresh().load(example.path, OPTIONS)
        _same(f"load({example.path.name})", first, second)


def _same(call: str, first: Module, second: Module) -> None:
    for number, (one, two) in enumerate(zip(text(first).splitlines(), text(second).splitlines(), strict=False), 1):
        require(one == two, f"{call} gives another module the second time: line {number} is {two.strip()!r}, was {one.strip()!r}")
    require(text(first) == text(second), f"{call} gives a longer or shorter module the second time")
    for name in first.weights:
        same = name in second.weights and np.array_equal(first.weights[name], second.weights[name], equal_nan=True)
        require(same, f"{call} gives other weights {name} the second time")


def text(module: Module) -> str:
    """A module as text."""
    from tpumlir_core.ir.text import print_module

    return print_module(module)


def refuses_bad_files(subject: Subject) -> None:
    """Missing, cut-off, damaged and foreign files, and wrong options, raise InputError and nothing else."""
    for name, path in _bad_files(subject):
        with only_errors(subject, f"load({name})", InputError):
            subject.extension.load(path, OPTIONS)
    for example in examples_of(subject):
        options = ImportOptions(output_names=("no such tensor",))
        with only_errors(subject, f"load({example.path.name}) with an unknown output name", InputError):
            subject.extension.load(example.path, options)
            raise CheckFailed(f"load({example.path.name}) accepts an output name that is no tensor of the network")


def _bad_files(subject: Subject) -> Iterator[tuple[str, Path]]:
    yield "a missing file", subject.folder / "missing"
    for name, data in _FOREIGN.items():
        yield name, subject.file("foreign.bin", data)
    for example in examples_of(subject):
        data = example.path.read_bytes()
        suffix = example.path.suffix
        for size in sorted({1, len(data) // 3, len(data) // 2, len(data) - 1}):
            yield f"{example.path.name} cut off after {size} bytes", subject.file(f"cut{suffix}", data[:size])
        random = np.random.default_rng(0)
        for _ in range(QUICK_MUTANTS if subject.quick else MUTANTS):
            position, value = int(random.integers(len(data))), int(random.integers(256))
            damaged = data[:position] + bytes([value]) + data[position + 1 :]
            yield f"{example.path.name} with byte {position} set to {value}", subject.file(f"damaged{suffix}", damaged)


def _frontend(subject: Subject) -> Frontend:
    frontend: Frontend = subject.extension
    return frontend


def _load(subject: Subject, path: Path) -> Module:
    try:
        module = _frontend(subject).load(path, OPTIONS)
    except AbsentFrameworkError as error:
        raise CheckSkipped(str(error)) from None
    require(isinstance(module, Module), f"load({path.name}) gives {type(module).__name__}, not a Module")
    return module


CHECKS = (
    Check("lists operators", lists_operators),
    Check("recognizes its own files", recognizes_its_own),
    Check("loads valid modules", loads_valid_modules),
    Check("computes the same", computes_the_same),
    Check("loads the same twice", loads_the_same_twice),
    Check("refuses bad files", refuses_bad_files),
)
