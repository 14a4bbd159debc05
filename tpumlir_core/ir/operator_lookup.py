"""Looking up custom operators, by their opcode or by what a framework calls them, and making operations of a framework's nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Value
from tpumlir_core.ir.operator import Operator, Source


class OperatorSet:
    """The custom operators of a run, loaded when one is first asked for; no two have an opcode or a framework's name in common.

    ``load`` gives the operators and, in a few words each, the plugins that cannot be used.
    """

    def __init__(self, load: Callable[[], tuple[Sequence[type[Operator]], Sequence[str]]] | None = None) -> None:
        self._load = load
        self._found: Sequence[type[Operator]] | None = None
        self._sick: Sequence[str] = ()

    def all(self) -> Sequence[type[Operator]]:
        """Every one."""
        if self._found is None:
            self._found, self._sick = self._load() if self._load else ((), ())
        return self._found

    def by_opcode(self, opcode: str) -> type[Operator] | None:
        """The operator of an opcode."""
        return next((cls for cls in self.all() if cls.opcode == opcode), None)

    def by_source(self, frontend: str, name: str) -> type[Operator] | None:
        """The operator that a framework calls ``name``, ``domain::type``."""
        return next((cls for cls in self.all() if (source := source_of(cls, frontend)) and source.name == name), None)

    def names(self, frontend: str) -> list[str]:
        """What a framework calls those that it can import, sorted."""
        return sorted({source.name for cls in self.all() if (source := source_of(cls, frontend))})

    def remark(self) -> str:
        """Which operator plugins cannot be used, for the error about an unknown operator; "" when all can."""
        self.all()
        return f"; operator plugins that cannot be used: {', '.join(self._sick)}" if self._sick else ""


def source_of(cls: type[Operator], frontend: str) -> Source | None:
    """What a framework calls an operator, None where it has no name there."""
    found = cls.sources.get(frontend)
    return Source(found) if isinstance(found, str) else found


def source_attributes(cls: type[Operator], frontend: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The operator's attributes from a framework's: numbers, strings, sequences or arrays by name.

    Raises InputError for one that is not known, is missing, or is of the wrong kind.
    """
    from tpumlir_core.ir.text.attributes import attribute_specs, python_value

    renamed = dict((source_of(cls, frontend) or Source("")).attributes)
    specs = attribute_specs(cls)
    theirs = {renamed.get(name, name): name for name in specs}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in theirs:
            raise InputError(f"attribute {name} is not known to {cls.opcode}; it has {', '.join(sorted(theirs)) or 'none'}")
        try:
            values[theirs[name]] = python_value(specs[theirs[name]], value)
        except ValueError as error:
            raise InputError(f"attribute {name}: {error}") from None
    missing = [name for name, ours in theirs.items() if specs[ours].required and ours not in values]
    if missing:
        raise InputError(f"attribute {missing[0]} is missing; {cls.opcode} has no default for it")
    return values


def imported_operation(
    kind: type[Operator], frontend: str, operands: Sequence[Value | None], attributes: Mapping[str, Any], outputs: Sequence[str],
    unique: Callable[[str], str],
) -> Operator:
    """The operation of a framework's node: ``outputs`` are what it calls its results (those at the end may be left out).

    ``unique`` makes a tensor name of ours from one of theirs. Raises InputError for what does not fit the declaration.
    """
    _check_operands(kind, operands)
    values = source_attributes(kind, frontend, attributes)
    types = kind(**values).infer([None if value is None else value.type for value in operands])
    repeated = kind.result_names == ("outputs",)
    if not outputs or len(outputs) > len(types) or (repeated and len(outputs) != len(types)):
        raise InputError(f"it has {len(outputs)} outputs, but the operator has {len(types)}")
    labels = [*outputs, *(f"{outputs[0]}_{name}" for name in kind.result_names[len(outputs) : len(types)])]
    return kind.create(operands, [(unique(label), type_) for label, type_ in zip(labels, types, strict=True)], **values)


def _check_operands(kind: type[Operator], operands: Sequence[Value | None]) -> None:
    specs = kind.operand_specs
    if len(operands) > len(specs) and not any(spec.variadic for spec in specs):
        raise InputError(f"it has {len(operands)} inputs, but the operator takes {len(specs)}")
    for position, spec in enumerate(specs):
        if not (spec.optional or spec.variadic) and (position >= len(operands) or operands[position] is None):
            raise InputError(f"its input {spec.name} is missing")
