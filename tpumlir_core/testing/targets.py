"""What targets promise: above all that every operation they declare is computed right, through a runner of their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError, PluginError, UnsupportedError
from tpumlir_core.files import HEAD_BYTES
from tpumlir_core.ir import Array, Module
from tpumlir_core.lowering import KEPT, to_tpu
from tpumlir_core.plugins import QUANTIZER, RUNNER, TARGET
from tpumlir_core.plugins.extension_points import Artifact, LoweringOptions, Runner, Target
from tpumlir_core.testing.cases import Batch, Case, batch, cases, sampled_operations
from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Subject, describe, only_errors, place, require
from tpumlir_core.testing.networks import ranges, reference
from tpumlir_core.verify import compare_tensors

TOLERANCES = {"F32": (0.9999, 0.999), "F16": (0.999, 0.98), "BF16": (0.99, 0.90)}
"""Cosine and euclidean similarity to the numpy reference, by mode."""
COARSE = (0.95, 0.70)
"""For every other mode: those of TPU-MLIR's operator tests."""
ATOL = 1e-5
BATCH = 16
"""Operations that are compiled and run side by side in one file."""


def says_what_it_is(subject: Subject) -> None:
    """Its ``name`` is the one that users type; ``modes`` gives at least one mode, each once."""
    target = _target(subject)
    require(target.name == subject.name, f"its name is {target.name!r}, its entry point {subject.name!r}; use one name")
    modes = list(target.modes())
    require(modes and len(set(modes)) == len(modes), "modes() must give at least one mode, each once")
    require(all(mode == mode.upper() for mode in modes), f"modes() gives {modes}: use capital letters")


def declares_what_it_does(subject: Subject) -> None:
    """``operators`` has an answer for every mode, and ``supports`` says the same, with a reason where it is no."""
    target = _target(subject)
    try:
        table = target.operators()
    except UnsupportedError as error:
        raise CheckSkipped(f"{error}; give it a method `operators`, for `tpumlir ops`") from error
    require(table, "operators() lists nothing")
    for opcode, answers in table.items():
        told = f"operators()[{opcode!r}] answers for {sorted(answers)}, the modes are {sorted(target.modes())}"
        require(set(answers) == set(target.modes()), told)
        for mode, reason in answers.items():
            require(reason is None or reason.strip(), f"operators()[{opcode!r}][{mode!r}] is {reason!r}: None, or a reason")
    for opcode, mode in _declared(target):
        found = [(case, _refusal(target, case, mode)) for case in cases(opcode)]
        refused = [f"{case}: {reason}" for case, reason in found if reason is not None]
        told = f"operators() declares {opcode} in {mode}, but supports() refuses every sample: {'; '.join(refused[:2])}"
        require(not found or len(refused) < len(found), told)
    case = next((case for opcode, _ in _declared(target) for case in cases(opcode)), None)
    if case is not None:
        reason = _refusal(target, case, "NOSUCHMODE")
        require(reason, f"supports({case.opcode}, 'NOSUCHMODE') is {reason!r}: it must say that there is no such mode")


def computes_every_operator(subject: Subject) -> None:
    """Every operation that it declares gives, in every mode and on generated shapes, what the numpy reference gives."""
    target = _target(subject)
    refusals, failures, ran = [], [], 0
    for mode in target.modes():
        if mode != "F32" and _quantizer(subject, mode) is None:
            refusals.append(f"no installed quantizer lowers to {mode}")
            continue
        wanted = [case for opcode, its in _declared(target) if its == mode for case in _supported(subject, opcode, mode)]
        for start in range(0, len(wanted), BATCH):
            failures += list(_failures(subject, wanted[start : start + BATCH], mode))
        ran += len(wanted)
    require(not failures, f"{len(failures)} of {ran} samples are wrong: {'; '.join(failures)}")
    if not ran:
        raise CheckSkipped("; ".join(refusals) or "it declares no operation that the kit has samples of")


def _failures(subject: Subject, some: Sequence[Case], mode: str) -> Iterator[str]:
    """What is wrong with each case; together they are tried first, one by one only where that fails outright."""
    sample = batch(some)
    expected = reference(sample.module, sample.inputs)
    try:
        found = _run(subject, sample, mode)
    except CheckSkipped:
        raise
    except (Exception, SystemExit) as error:
        if len(some) > 1:
            for case in some:
                yield from _failures(subject, [case], mode)
        else:
            yield f"{some[0]} in {mode}: {describe(error)}{place(error, subject)}"
        return
    for number, case in enumerate(some):
        names = [name for name in expected if name.partition(".")[0] == str(number)]
        if difference := _difference(found, expected, names, mode):
            yield f"{case} in {mode}: {difference}"


def _difference(found: Mapping[str, Array], expected: Mapping[str, Array], names: Sequence[str], mode: str) -> str:
    """What is wrong with some of the outputs, "" where nothing is."""
    missing = [name for name in names if name not in found]
    if missing:
        return f"the result {missing[0].partition('.')[2]} is not among the outputs"
    sizes = [name for name in names if found[name].size != expected[name].size]
    if sizes:
        return f"the result has the shape {list(found[sizes[0]].shape)}, not {list(expected[sizes[0]].shape)}"
    ours = {name: found[name].reshape(expected[name].shape) for name in names}
    if all(np.allclose(ours[name], expected[name], ATOL, ATOL) for name in names):
        return ""
    report = compare_tensors(ours, {name: expected[name] for name in names}, TOLERANCES.get(mode, COARSE))
    return ", ".join(f"the result differs from the reference (cos {one.cosine:.6f}, euclid {one.euclid:.6f})" for one in report.failed)


def compiles_the_same_twice(subject: Subject) -> None:
    """The same network gives the same bytes, and the runner the same numbers."""
    for mode in _target(subject).modes():
        some = _some(subject, mode)
        first, second = (_compile(subject, batch(some), mode) for _ in range(2))
        if first.data != second.data:
            alone = [case for case in some if len({_compile(subject, batch([case]), mode).data for _ in range(2)}) > 1]
            raise CheckFailed(f"compile gives other bytes the second time: {'; '.join(map(str, alone or some))} in {mode}")
        once, again = (_run(subject, batch(some), mode) for _ in range(2))
        for name in once:
            told = f"{some[int(name.partition('.')[0])]} in {mode}: running the same file twice gives two results"
            require(np.array_equal(once[name], again[name], equal_nan=True), told)


def reads_its_own_files(subject: Subject) -> None:
    """``recognizes``, ``disassemble`` and ``profile`` take what ``compile`` makes; what is cut off raises InputError."""
    target = _target(subject)
    mode = next(iter(target.modes()))
    data = _compile(subject, batch(_some(subject, mode)), mode).data
    for size in (0, 4, len(data) // 2, len(data) - 1, len(data)):
        cut = data[:size]
        path = subject.file("compiled", cut)
        with only_errors(subject, f"recognizes(a file cut off after {size} bytes)"):
            target.recognizes(path, cut[:HEAD_BYTES])
        which = f"its own file{f' cut off after {size} bytes' if size < len(data) else ''}"
        with only_errors(subject, f"disassemble({which})", InputError):
            list(target.disassemble(cut))
        with only_errors(subject, f"profile({which})", InputError):
            target.profile(cut)


def refuses_what_it_cannot(subject: Subject) -> None:
    """A network without inputs or outputs raises InputError or compiles; nothing else is raised."""
    from tpumlir_core.ir import Function, WeightStore

    empty = Module("empty", Function("main", [], []), WeightStore(), {"module.state": "TPU_LOWERED", "module.mode": "F32"})
    with only_errors(subject, "compile(a network without operations)", InputError):
        _target(subject).compile(empty)


def _declared(target: Target) -> list[tuple[str, str]]:
    """Operation and mode, for everything that the target says yes to."""
    try:
        table = target.operators()
    except UnsupportedError:  # it need not have one: then what it supports is asked for every sample
        tried = [(opcode, mode) for opcode in sampled_operations() for mode in target.modes()]
        return [(opcode, mode) for opcode, mode in tried if any(_refusal(target, case, mode) is None for case in cases(opcode))]
    return [(opcode, mode) for opcode, answers in sorted(table.items()) for mode, reason in answers.items() if reason is None]


def _refusal(target: Target, case: Case, mode: str) -> str | None:
    """Why the target does not do a case; None where it does."""
    operations = to_tpu(batch([case]).module, target.name, mode).function.operations
    return target.supports(next(op for op in operations if op.opcode not in KEPT), mode)


def _supported(subject: Subject, opcode: str, mode: str) -> list[Case]:
    """The samples of an operation that the target does, or where it has to be quick one of them, not the same of each operation."""
    found = [case for case in cases(opcode) if _refusal(_target(subject), case, mode) is None]
    return [found[len(opcode) % len(found)]] if found and subject.quick else found


def _some(subject: Subject, mode: str) -> list[Case]:
    """One supported case of each of a few operations. Raises CheckSkipped when there is none."""
    target = _target(subject)
    opcodes = [opcode for opcode, its in _declared(target) if its == mode]
    firsts = (next((case for case in cases(opcode) if _refusal(target, case, mode) is None), None) for opcode in opcodes)
    found = [case for case in firsts if case is not None][:BATCH]
    if not found:
        raise CheckSkipped(f"it declares no operation in {mode} that the kit has samples of")
    return found


def _quantizer(subject: Subject, mode: str) -> str | None:
    """Name of the first quantizer that lowers to a mode."""
    return next((name for name, quantizer in subject.plugins.load_all(QUANTIZER) if mode in quantizer.modes()), None)


def _compile(subject: Subject, sample: Batch, mode: str) -> Artifact:
    """Lower and compile: F32 as it stands, so that what is tried is the operation itself."""
    target = _target(subject)
    if mode == "F32":
        return target.compile(to_tpu(sample.module, target.name, mode))
    name = _quantizer(subject, mode)
    if name is None:
        raise CheckSkipped(f"no installed quantizer lowers to {mode}")
    options = LoweringOptions(mode, calibration=ranges(sample))
    return target.compile(subject.plugins.get(QUANTIZER, name).lower(sample.module, target, options))


def _run(subject: Subject, sample: Batch, mode: str) -> dict[str, Array]:
    data = _compile(subject, sample, mode).data
    path = subject.file("compiled", data)
    for _, runner in _runners(subject):
        if runner.recognizes(path, data[:HEAD_BYTES]):
            try:
                return runner.run(path, sample.inputs)
            except PluginError as error:
                raise CheckFailed(f"the runner fails: {error}") from error
    raise CheckSkipped("no installed runner recognizes its files; give the target one (group tpumlir.runners)")


def _runners(subject: Subject) -> list[tuple[str, Runner]]:
    """All that load, those of the target's own distribution first."""
    own = subject.plugins.find(TARGET, subject.name).candidate.distribution
    found = list(subject.plugins.load_all(RUNNER))
    return sorted(found, key=lambda pair: (subject.plugins.find(RUNNER, pair[0]).candidate.distribution != own, pair[0]))


def _target(subject: Subject) -> Target:
    target: Target = subject.extension
    return target


CHECKS = (
    Check("says what it is", says_what_it_is),
    Check("declares what it does", declares_what_it_does),
    Check("computes every operator", computes_every_operator),
    Check("compiles the same twice", compiles_the_same_twice),
    Check("reads its own files", reads_its_own_files),
    Check("refuses what it cannot", refuses_what_it_cannot),
)
