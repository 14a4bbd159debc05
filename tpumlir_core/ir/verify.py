"""Structural verification: what every pass may rely on, and must leave behind. Linear in values and uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir.operation import Function, Module, Operation, Value

_SOURCES = ("top.Input", "top.Weight")


def verify(module: Module, stage: str = "", error: Callable[[str], Exception] = InternalError) -> None:
    """Check a module; ``stage`` says in the message after what (a pass, a frontend).

    Checked: operand counts, definitions before uses, use lists, names (unique, not empty, no spaces), types (what ``infer`` says;
    after lowering only the shapes, as storage types are lowering's choice), weights present. Raises ``error``.
    """
    _Verifier(module, stage, error).run()


class _Verifier:
    def __init__(self, module: Module, stage: str, error: Callable[[str], Exception]) -> None:
        self.module = module
        self.where = f"{module.name}{f' after {stage}' if stage else ''}"
        self.error = error
        self.defined: set[Value] = set()
        self.names: set[str] = set()
        self.uses = 0

    def fail(self, op: Operation, message: str) -> NoReturn:
        raise self.error(f"{self.where}: {op.opcode} {op.name}: {message}")

    def run(self) -> None:
        function: Function = self.module.function
        for op in function.operations:
            self.operands(op)
            self.types(op)
            self.results(op)
        self.operands(function.terminator)
        if self.uses != sum(len(v.uses) for v in self.defined):
            self.dangling()

    def operands(self, op: Operation) -> None:
        specs = op.operand_specs
        if len(op.operands) > len(specs) and not any(s.variadic for s in specs):
            self.fail(op, f"has {len(op.operands)} operands; at most {len(specs)} are declared")
        for position, spec in enumerate(specs):
            needed = not spec.optional and not spec.variadic and op.opcode not in _SOURCES
            if needed and (position >= len(op.operands) or op.operands[position] is None):
                self.fail(op, f"operand {spec.name} is missing")
        for position, value in enumerate(op.operands):
            if value is None:
                continue
            if value not in self.defined:
                self.fail(op, f"operand {value.name} is not defined before its use")
            if (op, position) not in value.uses:
                self.fail(op, f"operand {value.name} does not list this use")
            self.uses += 1

    def types(self, op: Operation) -> None:
        if op.opcode in _SOURCES:
            return
        try:
            inferred = op.infer([None if v is None else v.type for v in op.operands])
        except InputError as error:
            self.fail(op, str(error))
        for value, expected in zip(op.results, inferred, strict=False):
            same = value.shape == expected.shape and (not op.opcode.startswith("top.") or value.type.element is expected.element)
            if not same:
                self.fail(op, f"result {value!r} should be {'x'.join(map(str, expected.shape))}x{expected.element.value}")

    def results(self, op: Operation) -> None:
        if op.opcode == "top.Weight" and op.name not in self.module.weights:
            self.fail(op, "its array is missing")
        for index, value in enumerate(op.results):
            if value.owner is not op or value.index != index:
                self.fail(op, f"result {value.name} does not know its operation")
            if not value.name or any(c.isspace() for c in value.name):
                self.fail(op, f"name {value.name!r} is empty or has spaces")
            if value.name in self.names:
                self.fail(op, f"name {value.name} is used twice")
            self.names.add(value.name)
            self.defined.add(value)

    def dangling(self) -> None:
        """Name the use that no operation of the function has."""
        inside = {*self.module.function.operations, self.module.function.terminator}
        for value in self.module.function.values():
            for user, position in value.uses:
                if user not in inside or position >= len(user.operands) or user.operands[position] is not value:
                    raise self.error(f"{self.where}: {value.name} lists a use by {user!r}, which is not in the function")
