"""Attribute values between Python and MLIR, by the annotations in :mod:`tpumlir_core.ir.attributes`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from tpumlir_core.ir.operation import Operation
from tpumlir_core.ir.text.floats import float_text, parse_float
from tpumlir_core.ir.text.lexer import quote

_LIMITS = {"i64": 64, "si32": 32, "i32": 32}
_PLAIN: dict[Any, str] = {int: "i64", float: "f64", bool: "bool", str: "str", tuple[int, ...]: "i64[]", tuple[float, ...]: "f64[]"}
"""Spelling of plain Python types, which operators of plugins may use."""
_PLAINLY = {"i64": "an integer", "f64": "a number", "i64[]": "a list of integers", "f64[]": "a list of numbers"}
"""What to call the values of other frameworks."""


@dataclass(frozen=True)
class AttributeSpec:
    """How one attribute is spelt: ``kind`` (i64, si32, i32, f64, i64[], f64[], i32[], str, bool, enum) and its enum choices."""

    kind: str
    required: bool
    optional: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Literally:
    """An attribute value as it stands in the text: ``kind`` is number, string, bool, list, opaque; ``suffix`` its type, if any."""

    kind: str
    value: Any
    suffix: str = ""


def attribute_specs(cls: type[Operation]) -> dict[str, AttributeSpec]:
    """Attribute name -> spelling, in declaration order, of an operation class."""
    key: Any = cls  # mypy does not see that a class is hashable when its instances define __hash__
    return _cached_specs(key)


@cache
def _cached_specs(cls: Any) -> dict[str, AttributeSpec]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: _spec(hints[f.name], f) for f in dataclasses.fields(cls)}


def _spec(hint: Any, field: dataclasses.Field[Any]) -> AttributeSpec:
    optional = get_origin(hint) is not Annotated and type(None) in get_args(hint)
    if optional:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is not Annotated:
        hint = _annotated(field.name, hint)
    base, kind = get_args(hint)[:2]
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return AttributeSpec(kind, required, optional, get_args(base) if get_origin(base) is Literal else ())


def _annotated(name: str, hint: Any) -> Any:
    """A plain Python type with its spelling."""
    if get_origin(hint) is Literal:
        return Annotated[hint, "enum"]
    for plain, kind in _PLAIN.items():
        if hint == plain:
            return Annotated[plain, kind]
    raise TypeError(f"attribute {name}: {hint} has no MLIR spelling; use int, float, bool, str, a tuple of numbers or a Literal")


def python_value(spec: AttributeSpec, given: Any) -> Any:
    """The value of an attribute from a framework's number, string, sequence or array. Raises ValueError, with what was expected."""
    if hasattr(given, "tolist"):
        given = given.reshape(-1).tolist() if spec.kind.endswith("[]") else given.tolist()
    numbers = list(given) if isinstance(given, list | tuple) else [given]
    integers, real = all(isinstance(v, int) for v in numbers), all(isinstance(v, int | float) for v in numbers)
    if spec.kind.endswith("[]") and isinstance(given, list | tuple) and (integers or (spec.kind == "f64[]" and real)):
        return tuple(float(v) if spec.kind == "f64[]" else int(v) for v in numbers)
    if spec.kind in _LIMITS and isinstance(given, int):
        return int(given)
    if spec.kind == "f64" and isinstance(given, int | float):
        return float(given)
    if spec.kind == "bool" and given in (0, 1):
        return bool(given)
    if spec.kind == "str" and isinstance(given, str):
        return given
    if spec.kind == "enum" and given in spec.choices:
        return given
    raise ValueError(f"expected {_PLAINLY.get(spec.kind) or _wanted(spec)}")


def _wanted(spec: AttributeSpec) -> str:
    if spec.choices:
        return f"one of {', '.join(spec.choices)}"
    return {"str": "a string", "bool": "true or false"}.get(spec.kind, spec.kind)


def attribute_text(kind: str, value: Any) -> str:
    """MLIR spelling of a value of ``kind``."""
    if kind in _LIMITS:
        return f"{int(value)} : {kind}"
    if kind == "f64":
        return f"{float_text(value)} : f64"
    if kind == "bool":
        return "true" if value else "false"
    if kind == "f64[]":
        return "[" + ", ".join(float_text(v) for v in value) + "]"
    if kind in ("i64[]", "i32[]"):
        return "[" + ", ".join(str(int(v)) for v in value) + "]"
    return quote(str(value))


def attribute_value(spec: AttributeSpec, given: Literally) -> Any:
    """The Python value of an attribute in the text. Raises ValueError, with what was expected."""
    kind = spec.kind
    if kind in _LIMITS and given.kind == "number":
        return _integer(given, _LIMITS[kind])
    if kind == "f64" and given.kind == "number":
        return parse_float(given.value)
    if kind == "bool" and given.kind == "bool":
        return given.value
    if kind == "str" and given.kind == "string":
        return given.value
    if kind == "enum" and given.kind == "string" and given.value in spec.choices:
        return given.value
    if kind.endswith("[]") and given.kind == "list" and all(v.kind == "number" for v in given.value):
        if kind == "f64[]":
            return tuple(parse_float(v.value) for v in given.value)
        return tuple(_integer(v, _LIMITS[kind[:-2]]) for v in given.value)
    raise ValueError(f"expected {_wanted(spec)}")


def _integer(given: Literally, bits: int) -> int:
    try:
        value = int(given.value, 16 if given.value.lstrip("-").startswith("0x") else 10)
    except ValueError:
        raise ValueError(f"expected an integer, found {given.value[:40]}") from None
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f"{given.value[:40]} does not fit in {bits} bits")
    return value


def free_text(value: Any) -> str:
    """MLIR spelling of a module attribute, whose kind only its Python type tells: bool, int, float, str, or a sequence."""
    if isinstance(value, bool):
        return attribute_text("bool", value)
    if isinstance(value, int):
        return attribute_text("i64", value)
    if isinstance(value, float):
        return attribute_text("f64", value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(free_text(v).removesuffix(" : i64").removesuffix(" : f64") for v in value) + "]"
    return quote(str(value))


def free_value(given: Literally) -> Any:
    """The Python value of a module attribute; lists become tuples. Raises ValueError for a dialect's own attribute."""
    if given.kind == "list":
        return tuple(free_value(v) for v in given.value)
    if given.kind == "number":
        is_float = given.suffix.startswith("f") or any(c in given.value for c in ".eE")
        return parse_float(given.value) if is_float and not given.value.startswith("0x") else _integer(given, 64)
    if given.kind == "opaque":
        raise ValueError(f"expected a number, string, boolean or list, found {given.value[:40]}")
    return given.value
