"""What programs compute from shapes and numbers: evaluated at import, in exact integers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_torch.program import Machine

LARGEST_INTEGER = (1 << 63) - 1
MOST_ELEMENTS = 1 << 16
"""Elements of the longest list that a program may make."""


class NoScalarCall(Exception):
    """The call is one of an operator on tensors."""


def _divided(left: Any, right: Any) -> Any:
    return left / right


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, int) and abs(exponent) > 64 and abs(base) > 1:
        return float(base) ** exponent
    return base**exponent


def _shifted(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def shift(value: int, places: int) -> int:
        if not 0 <= places < 64:
            raise InputError(f"a shift by {places} places")
        return function(value, places)

    return shift


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": _divided, "div": _divided, "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv, "mod": operator.mod, "remainder": operator.mod, "fmod": math.fmod, "neg": operator.neg,
    "pos": operator.pos, "pow": _power,
    "abs": abs, "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "__and__": operator.and_, "and_": operator.and_, "__or__": operator.or_, "or_": operator.or_,
    "__xor__": operator.xor, "__not__": operator.not_, "not_": operator.not_, "sym_not": operator.not_, "__is__": operator.is_,
    "__isnot__": operator.is_not, "__lshift__": _shifted(operator.lshift), "__rshift__": _shifted(operator.rshift),
    "__contains__": operator.contains, "Int": int, "Float": float, "Bool": bool, "int": int, "float": float, "bool": bool, "sym_int": int,
    "sym_float": float, "trunc": math.trunc, "ceil": math.ceil, "floor": math.floor, "round": round, "sqrt": math.sqrt,
    "_sym_sqrt": math.sqrt,
    "exp": math.exp, "log": math.log, "log2": math.log2, "sym_max": max, "sym_min": min, "max": max, "min": min,
    "sym_ite": lambda condition, chosen, other: chosen if condition else other, "len": len, "str": str,
}
"""Functions of numbers, by what the two formats call them."""
SHAPES = frozenset(("size", "sym_size", "sym_numel", "numel", "dim", "sym_stride", "is_floating_point", "is_complex", "ndimension"))
"""Operators that ask for a tensor's shape or type."""


def shape_of(machine: Machine, name: str, arguments: Sequence[Any]) -> Any:
    """The answer of an operator that asks for a shape or type."""
    if not arguments or not machine.is_tensor(arguments[0]):
        raise NoScalarCall
    tensor = arguments[0]
    if name == "is_floating_point":
        return machine.dtype(tensor).startswith(("float", "bfloat"))
    if name == "is_complex":
        return False
    shape = machine.shape(tensor)
    if name in ("numel", "sym_numel"):
        return math.prod(shape)
    if name in ("dim", "ndimension"):
        return len(shape)
    values = [math.prod(shape[i + 1 :]) for i in range(len(shape))] if name == "sym_stride" else list(shape)
    if len(arguments) == 1:
        return values
    if not isinstance(arguments[1], int) or not -len(shape) <= arguments[1] < len(shape):
        raise InputError(f"axis {arguments[1]} of shape {list(shape)}")
    return values[arguments[1]]


def computed(machine: Machine, name: str, arguments: Sequence[Any]) -> Any:
    """The value of a function of numbers, lists or text. Raises NoScalarCall where a tensor is among them, or for an unknown function."""
    if name not in FUNCTIONS or any(machine.is_tensor(a) for a in arguments):
        raise NoScalarCall
    return checked(FUNCTIONS[name], arguments)


def checked(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """The value of a function. Raises InputError for arguments that do not fit, and for results that no program needs."""
    _check_lengths(function, arguments)
    try:
        result = function(*arguments)
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{getattr(function, '__name__', 'a function')} of {short(arguments)}: {short(str(error))}") from None
    if isinstance(result, int) and abs(result) > LARGEST_INTEGER + 1:
        raise InputError(f"an integer of {result.bit_length()} bits")
    return result


def _check_lengths(function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """Raise InputError where lists or text would be joined or repeated without end."""
    if function is operator.mod and any(isinstance(a, str) for a in arguments):
        raise InputError("a remainder of text")
    if function in (operator.add, operator.mul):
        lengths = [len(a) for a in arguments if isinstance(a, (list, tuple, str))]
        factors = [abs(a) for a in arguments if isinstance(a, int)]
        if lengths and sum(lengths) * max(factors, default=1) > MOST_ELEMENTS:
            raise InputError("a list that is too long")


def short(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(short(v) for v in value[:6])}{', ...' if len(value) > 6 else ''}]" if len(value) < 100 else "a long list"
    if isinstance(value, str):
        return value[:80]
    return f"{value!r}"[:80] if isinstance(value, (int, float, type(None))) else type(value).__name__
