"""The grammar of the subset of MLIR that networks use: one module, one function, generic operations without regions.

Turns text into plain records, without knowing any operation; every error is an InputError with source, line and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from tpumlir_core.errors import InputError
from tpumlir_core.ir.text.attributes import Literally
from tpumlir_core.ir.text.lexer import Token, tokenize, unquote
from tpumlir_core.ir.text.types import parse_tensor
from tpumlir_core.ir.types import TensorType

T = TypeVar("T")
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class TypeText:
    """A type in the text: a tensor, or ``none`` (``absent``), or an unranked tensor (``tensor`` is None)."""

    tensor: TensorType | None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """A ``loc``: the names it gives (one per result), or the alias that does."""

    names: tuple[str, ...] = ()
    alias: str = ""
    parts: tuple[Location, ...] = ()


@dataclass(slots=True)
class OperationText:
    """One operation as written: opcode, ``%`` names, attributes, types, location."""

    line: int
    opcode: str
    results: list[tuple[str, int]]
    operands: list[str]
    attributes: dict[str, Literally]
    operand_types: list[TypeText]
    result_types: list[TypeText]
    location: Location


@dataclass(slots=True)
class ModuleText:
    """A file as written."""

    name: str = "module"
    function: str = "main"
    attributes: dict[str, Literally] = field(default_factory=dict)
    arguments: list[tuple[str, TypeText]] = field(default_factory=list)
    operations: list[OperationText] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    returned_line: int = 0
    aliases: dict[str, Location] = field(default_factory=dict)


class Parser:
    """Recursive descent over the tokens of one file."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.tokens = tokenize(text, source)
        self.position = 0

    # --- tokens -----------------------------------------------------------------------------------------------------
    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def fail(self, expected: str, token: Token | None = None) -> NoReturn:
        token = token or self.token
        raise InputError(f"{self.source}:{token.line}: expected {expected}, found {token.text[:60]}")

    def take(self, kind: str, expected: str) -> str:
        token = self.token
        if token.kind != kind:
            self.fail(expected)
        self.position += 1
        return token.text

    def accept(self, text: str) -> bool:
        token = self.token
        if token.text == text and token.kind in ("punct", "word"):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"'{text}'")

    def listed(self, close: str, item: Callable[[], T]) -> list[T]:
        """Items separated by commas, up to and with ``close``."""
        items: list[T] = []
        if self.accept(close):
            return items
        while True:
            items.append(item())
            if self.accept(close):
                return items
            if not self.accept(","):
                self.fail(f"',' or '{close}'")

    # --- pieces -----------------------------------------------------------------------------------------------------
    def type(self) -> TypeText:
        if self.accept("none"):
            return TypeText(None, absent=True)
        token = self.token
        text = self.take("tensor", "a type (tensor<...> or none)")
        try:
            return TypeText(parse_tensor(text))
        except ValueError as error:
            raise InputError(f"{self.source}:{token.line}: {text[:80]}: {error}") from None

    def types(self) -> list[TypeText]:
        """``(a, b)`` or a single type without parentheses."""
        return self.listed(")", self.type) if self.accept("(") else [self.type()]

    def attribute(self, depth: int = 0) -> Literally:
        token = self.token
        if depth > MAX_DEPTH:
            self.fail(f"at most {MAX_DEPTH} nested lists")
        if self.accept("["):
            return Literally("list", tuple(self.listed("]", lambda: self.attribute(depth + 1))))
        if self.accept("true") or self.accept("false"):
            return Literally("bool", token.text == "true")
        if token.kind not in ("number", "string", "opaque"):
            self.fail("an attribute value (number, string, true, false, list)")
        self.position += 1
        suffix = self.take("word", "a type such as i64") if token.kind == "number" and self.accept(":") else ""
        return Literally(token.kind, unquote(token.text) if token.kind == "string" else token.text, suffix)

    def attributes(self) -> dict[str, Literally]:
        """``{a = 1 : i64, b}``; a name alone is a unit attribute, which means true."""
        found: dict[str, Literally] = {}

        def entry() -> None:
            token = self.token
            name = unquote(token.text) if token.kind == "string" else token.text
            if token.kind not in ("word", "string"):
                self.fail("an attribute name or '}'")
            self.position += 1
            if name in found:
                raise InputError(f"{self.source}:{token.line}: attribute {name} is given twice; keep one")
            found[name] = self.attribute() if self.accept("=") else Literally("bool", True)

        if self.accept("{"):
            self.listed("}", entry)
        return found

    def location(self) -> Location:
        """``loc(...)`` if there is one."""
        if not self.accept("loc"):
            return Location()
        self.expect("(")
        found = self.location_body(0)
        self.expect(")")
        return found

    def location_body(self, depth: int) -> Location:
        if depth > MAX_DEPTH:
            self.fail(f"at most {MAX_DEPTH} nested locations")
        token = self.token
        if token.kind == "alias":
            self.position += 1
            return Location(alias=token.text)
        if self.accept("unknown"):
            return Location()
        if self.accept("fused"):
            self.expect("[")
            return Location(parts=tuple(self.listed("]", lambda: self.location_body(depth + 1))))
        name = unquote(self.take("string", 'a location ("name", fused[...], #loc or unknown)'))
        if self.accept(":"):
            self.take("number", "a line number")
            self.expect(":")
            self.take("number", "a column number")
            return Location()
        if self.accept("("):
            self.location_body(depth + 1)
            self.expect(")")
        return Location(names=(name,))

    def symbol(self) -> str:
        text = self.take("symbol", "a symbol such as @main")[1:]
        return unquote(text) if text.startswith('"') else text

    # --- the file ---------------------------------------------------------------------------------------------------
    def module(self) -> ModuleText:
        out = ModuleText()
        self.aliases(out)
        self.expect("module")
        if self.token.kind == "symbol":
            out.name = self.symbol()
        if self.accept("attributes"):
            out.attributes = self.attributes()
        self.expect("{")
        self.function(out)
        if self.accept("func.func"):
            self.fail("one function", self.tokens[self.position - 1])
        self.expect("}")
        self.location()
        self.aliases(out)
        if self.token.kind != "end":
            self.fail("the end of the file")
        return out

    def aliases(self, out: ModuleText) -> None:
        """``#loc1 = loc("x")`` lines, which stand before and after the module."""
        while self.token.kind == "alias":
            token = self.token
            self.position += 1
            self.expect("=")
            if self.token.text != "loc":
                self.fail("loc(...)")
            if token.text in out.aliases:
                raise InputError(f"{self.source}:{token.line}: alias {token.text} is defined twice; keep one")
            out.aliases[token.text] = self.location()

    def function(self, out: ModuleText) -> None:
        self.expect("func.func")
        out.function = self.symbol()
        self.expect("(")
        out.arguments = self.listed(")", self.argument)
        if self.accept("->"):
            self.types()
        if self.accept("attributes"):
            self.attributes()
        self.expect("{")
        while not self.accept("return"):
            out.operations.append(self.operation())
        out.returned_line = self.tokens[self.position - 1].line
        out.returned = self.returned()
        self.expect("}")
        self.location()

    def argument(self) -> tuple[str, TypeText]:
        name = self.take("value", "an argument such as %arg0")
        self.expect(":")
        type_ = self.type()
        self.attributes()
        self.location()
        return name, type_

    def returned(self) -> list[str]:
        names: list[str] = []
        if self.token.kind == "value":
            names.append(self.take("value", "a value"))
            while self.accept(","):
                names.append(self.take("value", "a value such as %1"))
            self.expect(":")
            self.type()
            while self.accept(","):
                self.type()
        self.location()
        return names

    def operation(self) -> OperationText:
        line = self.token.line
        results: list[tuple[str, int]] = []
        if self.token.kind == "value":
            results.append(self.bound())
            while self.accept(","):
                results.append(self.bound())
            self.expect("=")
        opcode = unquote(self.take("string", 'an operation such as "top.Conv"(...), or return'))
        self.expect("(")
        operands = self.listed(")", lambda: self.take("value", "an operand such as %1"))
        if self.token.text == "(":
            self.fail("attributes or ':' (operations with regions are not read; give the file before layer grouping)")
        attributes = self.attributes()
        self.expect(":")
        if self.token.text != "(":
            self.fail("'(' and the operand types")
        operand_types = self.types()
        self.expect("->")
        result_types = self.types()
        return OperationText(line, opcode, results, operands, attributes, operand_types, result_types, self.location())

    def bound(self) -> tuple[str, int]:
        """A result binding ``%3`` or ``%3:2``: name and count."""
        name = self.take("value", "a result such as %1")
        if not self.accept(":"):
            return name, 1
        count = self.take("number", "a number of results")
        if not count.isdigit() or not 1 <= len(count) <= 5:
            self.fail("a number of results below 100000", self.tokens[self.position - 1])
        return name, int(count)
