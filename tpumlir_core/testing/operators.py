"""What custom operators promise: that their parts agree, on every chip."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from tpumlir_core.errors import InputError, TpumlirError
from tpumlir_core.files import HEAD_BYTES
from tpumlir_core.ir import Array, Module, TensorType, Value
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.lowering import to_tpu
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins import RUNNER, TARGET, Health
from tpumlir_core.testing.cases import Batch, Case, Operand, batch
from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Subject, only_errors, require
from tpumlir_core.testing.networks import reference
from tpumlir_core.verify import compare_tensors

TOLERANCE = (0.9999, 0.999)
_SHAPES = ((1, 3, 6, 5), (2, 67, 3, 4), (4, 7), (9,))
"""What an operator without examples is tried on: every operand of one of these shapes."""


def infers_what_it_computes(subject: Subject) -> None:
    """``infer`` and ``reference`` agree on the number, the shapes and the types of the results."""
    for case in _cases(subject):
        operation, inputs = _operation(subject, case)
        results = operation.reference(*inputs)
        arrays = [results] if isinstance(results, np.ndarray | np.generic) else list(results)
        types = operation.infer([TensorType(array.shape) for array in inputs])
        where = f"{case}: infer says"
        require(len(types) == len(arrays), f"{where} {len(types)} results, reference gives {len(arrays)}")
        for position, (type_, array) in enumerate(zip(types, arrays, strict=True)):
            told = f"{where} that result {position} has the shape {list(type_.shape)}, reference gives {list(np.shape(array))}"
            require(tuple(type_.shape) == np.shape(array), told)


def computes_purely(subject: Subject) -> None:
    """``reference`` gives the same numbers again and writes to none of its operands."""
    for case in _cases(subject):
        operation, inputs = _operation(subject, case)
        copies = [array.copy() for array in inputs]
        first, second = (operation.evaluate(inputs) for _ in range(2))
        for position, (array, copy) in enumerate(zip(inputs, copies, strict=True)):
            require(np.array_equal(array, copy), f"{case}: reference writes to operand {position}")
        for one, two in zip(first, second, strict=True):
            require(np.array_equal(one, two, equal_nan=True), f"{case}: reference gives other numbers the second time")


def refuses_what_does_not_fit(subject: Subject) -> None:
    """``infer`` refuses operands that do not fit with ValueError, and never fails otherwise."""
    case = _cases(subject)[0]
    count = len(case.operands)
    for shape in ((), (1,), (0, 3), (2, 1, 5, 3, 4, 1, 2)):
        operation = _class(subject)(**case.attributes)
        with only_errors(subject, f"infer({', '.join([str(list(shape))] * count)})", InputError):
            operation.infer([TensorType(shape)] * count)


def decomposes_into_the_same(subject: Subject) -> None:
    """What ``decompose`` is made of computes what ``reference`` does."""
    cls = _class(subject)
    if not cls.decomposes():
        raise CheckSkipped("it has no decompose; it runs on the chips that it has kernels for")
    for case in _cases(subject):
        sample, expected = _expected(case)
        run_pipeline("prepare", sample.module, supported=lambda op: op.opcode.startswith("top."))
        left = [op for op in sample.module.function.operations if isinstance(op, Operator)]
        require(not left, f"{case}: decompose leaves {left[0].opcode if left else ''}")
        _compare(f"{case}: decompose", reference(sample.module, sample.inputs), expected)


def computes_the_same_on_chips(subject: Subject) -> None:
    """Its kernels, if it has any, compute what ``reference`` does, on each chip that they are for."""
    cls, ran = _class(subject), 0
    if not cls.kernels:
        return
    for chip in sorted(cls.kernels):
        if all(p.name != chip or p.health is not Health.OK for p in subject.plugins.plugins(TARGET)):
            continue
        for case in _cases(subject):
            sample, expected = _expected(case)
            found = _run_on(subject, chip, sample)
            if found is not None:
                _compare(f"{case} on {chip}", found, expected)
                ran += 1
    if not ran:
        raise CheckSkipped(f"none of its chips is installed with a runner ({', '.join(sorted(cls.kernels))})")


def _run_on(subject: Subject, chip: str, sample: Batch) -> dict[str, Array] | None:
    target = subject.plugins.get(TARGET, chip)
    try:
        data = target.compile(to_tpu(sample.module, chip, "F32")).data
    except TpumlirError as error:
        raise CheckFailed(f"its kernel for {chip}: {error}") from error
    path = subject.file("compiled", data)
    for _, runner in subject.plugins.load_all(RUNNER):
        if runner.recognizes(path, data[:HEAD_BYTES]):
            return runner.run(path, sample.inputs)
    return None


def survives_text(subject: Subject) -> None:
    """Written as MLIR and read back it is the same operator with the same attributes."""
    from tpumlir_core.ir.text import read_module, write_module

    cls = _class(subject)
    operators = OperatorSet(lambda: ([cls], ()))
    for case in _cases(subject):
        module = batch([case]).module
        path = subject.folder / "sample.mlir"
        write_module(module, path)
        again: Module = read_module(path, operators)
        before, after = (one.function.operations[-1] for one in (module, again))
        read = f"{case}: read back from .mlir it is {after.opcode} {after.attributes()}, was {before.attributes()}"
        require(type(after) is cls and after.attributes() == before.attributes(), read)


def _class(subject: Subject) -> type[Operator]:
    cls: type[Operator] = subject.extension
    return cls


def _cases(subject: Subject) -> list[Case]:
    """What it is tried on: its own examples, else shapes that its ``infer`` accepts. Raises CheckSkipped when there is none."""
    cls = _class(subject)
    given = [(tuple(map(tuple, shapes)), attributes) for shapes, attributes in cls.examples()]
    found = [_case(cls, shapes, attributes) for shapes, attributes in given or _guesses(cls)]
    if not found:
        raise CheckSkipped(f"give {cls.__name__} a classmethod `examples`: operand shapes and attributes to try it on")
    return found


def _guesses(cls: type[Operator]) -> Iterator[tuple[tuple[tuple[int, ...], ...], dict[str, object]]]:
    count = len(cls.operand_specs)
    for shape in _SHAPES:
        for shapes in itertools.product((shape, shape[-1:]), repeat=count) if count < 4 else [(shape,) * count]:
            if _accepts(cls, shapes):
                yield tuple(shapes), {}
                break


def _accepts(cls: type[Operator], shapes: Sequence[tuple[int, ...]]) -> bool:
    try:
        cls().infer([TensorType(shape) for shape in shapes])
    except (TpumlirError, TypeError):  # TypeError: an attribute without a default
        return False
    return True


def _case(cls: type[Operator], shapes: tuple[tuple[int, ...], ...], attributes: object) -> Case:
    assert isinstance(attributes, dict)
    types = cls(**attributes).infer([TensorType(shape) for shape in shapes])
    return Case(cls.opcode, tuple(Operand(shape) for shape in shapes), attributes, len(types), cls)


def _operation(subject: Subject, case: Case) -> tuple[Operator, list[Array]]:
    """A detached operator and arrays for its operands."""
    random = np.random.default_rng(0)
    operands = [operand for operand in case.operands if operand is not None]
    values = [Value(f"operand{i}", TensorType(operand.shape)) for i, operand in enumerate(operands)]
    operation = _class(subject).create(values, [f"result{i}" for i in range(case.results)], **case.attributes)
    return operation, [operand.draw(random) for operand in operands]


def _expected(case: Case) -> tuple[Batch, dict[str, Array]]:
    sample = batch([case])
    return sample, reference(sample.module, sample.inputs)


def _compare(where: str, found: dict[str, Array], expected: dict[str, Array]) -> None:
    missing = sorted(set(expected) - set(found))
    require(not missing, f"{where} does not give the result {', '.join(missing)}")
    report = compare_tensors(found, expected, TOLERANCE)
    worst = ", ".join(f"cos {one.cosine:.6f}, euclid {one.euclid:.6f}" for one in report.failed)
    require(not worst, f"{where} does not compute what reference does ({worst})")


CHECKS = (
    Check("infers what it computes", infers_what_it_computes),
    Check("computes purely", computes_purely),
    Check("refuses what does not fit", refuses_what_does_not_fit),
    Check("decomposes into the same", decomposes_into_the_same),
    Check("computes the same on chips", computes_the_same_on_chips),
    Check("survives text", survives_text),
)
