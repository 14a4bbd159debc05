"""From the syntax records to a module: operations, types and names are checked here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tpumlir_core.ir.tpu  # noqa: F401  (declares the Top and Tpu operations)
from tpumlir_core.errors import InputError
from tpumlir_core.ir.operation import Function, Module, Operation, Value, WeightStore, operation_class
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.ir.text.attributes import attribute_specs, attribute_value, free_value
from tpumlir_core.ir.text.syntax import MAX_DEPTH, Location, ModuleText, OperationText, Parser, TypeText
from tpumlir_core.ir.text.types import type_text
from tpumlir_core.ir.types import TensorType


def parse_module(text: str, source: str = "<text>", operators: OperatorSet | None = None) -> Module:
    """The module that MLIR text describes; its weight store is empty (``read_module`` fills it).

    ``source`` is how errors call the text; ``operators`` are the custom ones that may occur in it. Raises
    InputError with the line and what was expected.
    """
    return _Builder(Parser(text, source).module(), source, operators or OperatorSet()).module()


class _Builder:
    def __init__(self, text: ModuleText, source: str, operators: OperatorSet) -> None:
        self.text = text
        self.custom = operators
        self.source = source
        self.values: dict[str, Value | None] = {}
        self.arguments = dict(text.arguments)
        self.names: set[str] = set()
        self.operations: list[Operation] = []

    def fail(self, line: int, message: str) -> InputError:
        return InputError(f"{self.source}:{line}: {message}")

    def module(self) -> Module:
        for entry in self.text.operations:
            self.operation(entry)
        outputs = [self.value(name, self.text.returned_line) for name in self.text.returned]
        if None in outputs:
            raise self.fail(self.text.returned_line, "an output is none; return a tensor")
        attributes: dict[str, Any] = {}
        for name, given in self.text.attributes.items():
            try:
                attributes[name] = free_value(given)
            except ValueError as error:
                raise InputError(f"{self.source}: module attribute {name}: {error}") from None
        function = Function(self.text.function, self.operations, [v for v in outputs if v is not None])
        return Module(self.text.name, function, WeightStore(), attributes)

    # --- one operation ----------------------------------------------------------------------------------------------
    def operation(self, entry: OperationText) -> None:
        if entry.opcode == "top.None":
            self.bind(entry, [None])
            return
        cls = self.operation_class(entry)
        if cls.opcode == "top.Input":
            self.input(entry, cls)
            return
        operands = [self.value(name, entry.line) for name in entry.operands]
        self.check_operands(entry, cls, operands)
        op = cls(**self.attributes(entry, cls))
        op.operands, op.results = [], []
        types = list(entry.result_types)
        while types and types[-1].absent:
            types.pop()
        names = self.result_names(entry, len(types), len(entry.result_types))
        for value in operands:
            op.append_operand(value)
        if all(t.tensor for t in types):
            op.results = [Value(name, t.tensor, op, i) for i, (name, t) in enumerate(zip(names, types, strict=True)) if t.tensor]
        inferred = self.inferred(entry, op, operands) if cls.operand_specs else []
        result_types = [self.result_type(entry, given, inferred, index) for index, given in enumerate(types)]
        op.results = [Value(name, t, op, i) for i, (name, t) in enumerate(zip(names, result_types, strict=True))]
        self.bind(entry, [*op.results, *[None] * (len(entry.result_types) - len(types))])
        self.operations.append(op)

    def operation_class(self, entry: OperationText) -> type[Operation]:
        """The class of a Top or Tpu operation, or of a custom operator. Raises InputError when there is none."""
        if entry.opcode.startswith(("top.", "tpu.")):
            cls = operation_class(entry.opcode)
            expected = "expected one of the Top or Tpu dialect of this version"
        else:
            cls = self.custom.by_opcode(entry.opcode)
            expected = f"no operator plugin brings it, install the one that does or name its file with --plugin{self.custom.remark()}"
        if cls is None:
            raise self.fail(entry.line, f"operation {entry.opcode} is not known; {expected}")
        return cls

    def input(self, entry: OperationText, cls: type[Operation]) -> None:
        """An Input has no operands here; the element type is that of the function's argument."""
        argument = self.arguments.get(entry.operands[0]) if len(entry.operands) == 1 else None
        if argument is None or argument.tensor is None or len(entry.result_types) != 1:
            raise self.fail(entry.line, "top.Input: expected one argument of the function, of a ranked type, and one result")
        given = entry.result_types[0].tensor or argument.tensor
        if given.shape != argument.tensor.shape:
            raise self.fail(entry.line, f"top.Input: expected {type_text(argument.tensor)} as the argument has, found {type_text(given)}")
        (name,) = self.result_names(entry, 1, 1)
        type_ = given if argument.tensor.element.is_float else given.with_element(argument.tensor.element)
        op = cls.create([], [(name, type_)], **self.attributes(entry, cls))
        self.bind(entry, [op.output])
        self.operations.append(op)

    def value(self, name: str, line: int) -> Value | None:
        key = name if "#" in name else f"{name}#0"
        if key not in self.values:
            raise self.fail(line, f"{name} is used before it is defined; expected a value defined above")
        return self.values[key]

    def bind(self, entry: OperationText, values: list[Value | None]) -> None:
        keys = [f"{name}#{i}" for name, count in entry.results for i in range(count)]
        if len(keys) != len(entry.result_types):
            raise self.fail(entry.line, f"{entry.opcode}: expected {len(keys)} result types, found {len(entry.result_types)}")
        for key, value in zip(keys, values, strict=True):
            if key in self.values:
                raise self.fail(entry.line, f"{key.removesuffix('#0')} is defined twice; give each value its own number")
            self.values[key] = value

    def check_operands(self, entry: OperationText, cls: type[Operation], operands: list[Value | None]) -> None:
        if len(entry.operand_types) != len(operands):
            raise self.fail(entry.line, f"{entry.opcode}: expected {len(operands)} operand types, found {len(entry.operand_types)}")
        specs = cls.operand_specs
        variadic = any(s.variadic for s in specs)
        if len(operands) > len(specs) and not variadic:
            raise self.fail(entry.line, f"{entry.opcode}: expected at most {len(specs)} operands, found {len(operands)}")
        for position, spec in enumerate(specs):
            if not spec.optional and not spec.variadic and (position >= len(operands) or operands[position] is None):
                raise self.fail(entry.line, f"{entry.opcode}: operand {spec.name} is missing")
        if variadic and (not operands or None in operands[len(specs) - 1 :]):
            raise self.fail(entry.line, f"{entry.opcode}: expected tensors as {specs[-1].name}")
        for name, value, given in zip(entry.operands, operands, entry.operand_types, strict=True):
            own = None if value is None else value.type
            clash = (own is None) != given.absent or (own is not None and given.tensor is not None and given.tensor.shape != own.shape)
            if clash:
                raise self.fail(entry.line, f"{entry.opcode}: {name} has type {type_text(own)}, found {type_text(given.tensor)}")

    def attributes(self, entry: OperationText, cls: type[Operation]) -> dict[str, Any]:
        specs, out = attribute_specs(cls), {}
        for name, given in entry.attributes.items():
            if name not in specs:
                known = ", ".join(sorted(specs)) or "none"
                raise self.fail(entry.line, f"{entry.opcode}: attribute {name} is not known; expected one of: {known}")
            try:
                out[name] = attribute_value(specs[name], given)
            except ValueError as error:
                raise self.fail(entry.line, f"{entry.opcode}: attribute {name}: {error}") from None
        missing = [name for name, spec in specs.items() if spec.required and name not in out]
        if missing:
            raise self.fail(entry.line, f"{entry.opcode}: attribute {missing[0]} is missing; it has no default")
        return out

    # --- types and names --------------------------------------------------------------------------------------------
    def inferred(self, entry: OperationText, op: Operation, operands: list[Value | None]) -> list[TensorType]:
        try:
            return op.infer([None if v is None else v.type for v in operands])
        except InputError as error:
            raise self.fail(entry.line, str(error)) from None
        except (ValueError, IndexError, TypeError, ArithmeticError, AssertionError) as error:
            raise self.fail(entry.line, f"{entry.opcode}: attributes and operands do not fit ({error})") from None

    def result_type(self, entry: OperationText, given: TypeText, inferred: list[TensorType], index: int) -> TensorType:
        """The type in the text; Top operations take the element type that inference finds (the reference writes f32 for indices)."""
        found = inferred[index] if index < len(inferred) else None
        if given.tensor is None:
            if found is None:
                raise self.fail(entry.line, f"{entry.opcode}: the type of result {index} must be ranked")
            return found
        if found is None:
            return given.tensor
        if found.shape != given.tensor.shape:
            raise self.fail(entry.line, f"{entry.opcode}: expected result type {type_text(found)}, found {type_text(given.tensor)}")
        return replace(given.tensor, element=found.element) if entry.opcode.startswith("top.") else given.tensor

    def result_names(self, entry: OperationText, count: int, declared: int) -> list[str]:
        names = self.located(entry, entry.location, 0)
        if len(names) == declared:
            names = names[:count]
        if len(names) == 1 and count > 1:
            present = [i for i, t in enumerate(entry.result_types[:count]) if not t.absent]
            names = [names[0] if [i] == present else f"{names[0]}_{i}" for i in range(count)]
        if len(names) != count:
            raise self.fail(entry.line, f'{entry.opcode}: expected loc("name") with {count} name(s), found {len(names)}')
        for name in names:
            if not name or any(c.isspace() or c == "\0" for c in name):
                raise self.fail(entry.line, f"{entry.opcode}: name {name!r} is empty or has spaces; expected a name without spaces")
            if name in self.names:
                raise self.fail(entry.line, f"{entry.opcode}: name {name} is used twice; every tensor needs its own name")
            self.names.add(name)
        return names

    def located(self, entry: OperationText, location: Location, depth: int) -> list[str]:
        if depth > MAX_DEPTH:
            raise self.fail(entry.line, f"location aliases nest deeper than {MAX_DEPTH}")
        if location.alias:
            if location.alias not in self.text.aliases:
                raise self.fail(entry.line, f"alias {location.alias} is not defined; expected {location.alias} = loc(...) in the file")
            return self.located(entry, self.text.aliases[location.alias], depth + 1)
        if location.parts:
            return [name for part in location.parts for name in self.located(entry, part, depth + 1)]
        return list(location.names)
