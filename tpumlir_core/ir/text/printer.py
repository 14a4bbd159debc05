"""Modules as MLIR text, spelt as TPU-MLIR 1.30.2 spells it."""

from __future__ import annotations

from dataclasses import replace

from tpumlir_core.ir.operation import Module, Operation, Value
from tpumlir_core.ir.text.attributes import attribute_specs, attribute_text, free_text
from tpumlir_core.ir.text.lexer import quote
from tpumlir_core.ir.text.types import type_text
from tpumlir_core.ir.types import TensorType

# Operands that the reference's dialect leaves out when they are absent; all others are written as a top.None.
_LEFT_OUT = frozenset(
    f"{dialect}.{name}" for dialect in ("top", "tpu") for name in ("Expand", "Pad", "Reshape", "Tile", "TopK")
)


def print_module(module: Module) -> str:
    """The text of a module, the same for the same module; weights are only named. See :func:`write_module` for the file."""
    return _Printer(module).text()


class _Printer:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.function = module.function
        self.spelt: dict[Value, str] = {}
        self.locations: list[str] = []
        self.none = ""

    def text(self) -> str:
        inputs = [op for op in self.function.operations if op.opcode == "top.Input"]
        arguments = {op: f"%arg{i}" for i, op in enumerate(inputs)}
        signature = ", ".join(f"{arguments[op]}: {type_text(_plain(op.output))} loc(unknown)" for op in inputs)
        outputs = self.function.outputs
        lines = [
            "#loc = loc(unknown)",
            f"module @{_symbol(self.module.name)}{self.module_attributes()} {{",
            f"  func.func @{_symbol(self.function.name)}({signature}) -> {_results([type_text(v.type) for v in outputs])} {{",
        ]
        number = 0
        if any(None in _padded(op) or _absent_results(op) for op in self.function.operations):
            self.none, number = "%0", 1
            lines.append('    %0 = "top.None"() : () -> none loc(#loc)')
        for op in self.function.operations:
            lines.append("    " + self.operation(op, f"%{number}", arguments.get(op)))
            number += 1
        returned = ", ".join(self.spelt[v] for v in outputs) + " : " + ", ".join(type_text(v.type) for v in outputs) if outputs else ""
        lines.append(f"    return {returned} loc(#loc)".replace("  loc", " loc"))
        lines += ["  } loc(#loc)", "} loc(#loc)"]
        lines += [f"#loc{i} = loc({text})" for i, text in enumerate(self.locations, 1)]
        return "\n".join(lines) + "\n"

    def module_attributes(self) -> str:
        items = sorted(self.module.attributes.items())
        return " attributes {" + ", ".join(f"{name} = {free_text(value)}" for name, value in items) + "}" if items else ""

    def operation(self, op: Operation, number: str, argument: str | None) -> str:
        absent = _absent_results(op)
        count = len(op.results) + absent
        bound = "" if not count else f"{number} = " if count == 1 else f"{number}:{count} = "
        for index, value in enumerate(op.results):
            self.spelt[value] = number if count == 1 else f"{number}#{index}"
        operands = [self.none if v is None else self.spelt[v] for v in _padded(op)]
        types = [type_text(None if v is None else v.type) for v in _padded(op)]
        if argument:
            operands, types = [argument], [type_text(_plain(op.output))]
        results = [type_text(v.type) for v in op.results] + ["none"] * absent
        head = f"{bound}{quote(op.opcode)}({', '.join(operands)}){_attributes(op)}"
        return f"{head} : ({', '.join(types)}) -> {_results(results)} loc({self.location(op)})"

    def location(self, op: Operation) -> str:
        """The alias of an operation's name or names, which is written at the end."""
        if not op.results:
            return "#loc"
        first = len(self.locations) + 1
        self.locations += [quote(v.name) for v in op.results]
        if len(op.results) == 1:
            return f"#loc{first}"
        parts = ", ".join(f"#loc{first + i}" for i in range(len(op.results)))
        self.locations.append(f"fused[{parts}]")
        return f"#loc{len(self.locations)}"


def _plain(value: Value) -> TensorType:
    """The type of the argument behind an Input: calibration and address belong to the Input's result."""
    return replace(value.type, quantization=None, address=None)


def _padded(op: Operation) -> list[Value | None]:
    """Operands as the reference's dialect wants them: absent optional ones at the end are given, or left out."""
    operands = list(op.operands)
    if op.opcode in _LEFT_OUT:
        while operands and operands[-1] is None:
            operands.pop()
        return operands
    wanted = sum(not s.variadic for s in op.operand_specs)
    if op.opcode != "top.Input" and len(operands) < wanted:
        operands += [None] * (wanted - len(operands))
    return operands


def _absent_results(op: Operation) -> int:
    """How many declared optional results at the end the operation does not have."""
    return 0 if op.result_names == ("outputs",) else max(0, len(op.result_names) - len(op.results))


def _attributes(op: Operation) -> str:
    values = sorted((name, value) for name, value in op.attributes().items() if value is not None)
    specs = attribute_specs(type(op))
    return " {" + ", ".join(f"{name} = {attribute_text(specs[name].kind, value)}" for name, value in values) + "}" if values else ""


def _results(types: list[str]) -> str:
    return types[0] if len(types) == 1 else f"({', '.join(types)})"


def _symbol(name: str) -> str:
    plain = name.replace("_", "a").replace("$", "a").replace(".", "a")
    return name if plain.isascii() and plain.isalnum() and not name[0].isdigit() else quote(name)
