"""Arguments of an operator's call, brought to the parameters of its converter and checked by their annotations."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from tpumlir_core.errors import InputError
from tpumlir_torch.tensor import Call, Tensor


@dataclass(frozen=True)
class Parameters:
    """A converter's signature and the types of its parameters; ``names`` are those after the importer, in order."""

    signature: inspect.Signature
    hints: Mapping[str, Any]
    names: tuple[str, ...]
    any_name: bool


@cache
def parameters_of(function: Callable[..., Any]) -> Parameters:
    """What a converter takes."""
    signature = inspect.signature(function)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    names = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return Parameters(signature, get_type_hints(function), tuple(names[1:]), inspect.Parameter.VAR_KEYWORD in kinds.values())


@dataclass(frozen=True)
class Bound:
    """Checked arguments: those of positional parameters by name, in order, what ``*args`` takes, and all that goes by name alone."""

    by_name: dict[str, Any]
    more: tuple[Any, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, function: Callable[..., Any], first: Any) -> Any:
        """The function's result."""
        if self.more:
            return function(first, *self.by_name.values(), *self.more, **self.others)
        return function(first, **self.by_name, **self.others)


def bound(function: Callable[..., Any], call: Call, number: Callable[[Tensor], Any]) -> Bound:
    """The arguments of a call for a converter; ``number`` reads a tensor where a number is needed.

    Raises InputError for arguments that are missing, unknown or of the wrong kind.
    """
    parameters = parameters_of(function)
    try:
        given = parameters.signature.bind(None, *call.arguments, **renamed(call.named, parameters, len(call.arguments))).arguments
    except TypeError as error:
        raise InputError(f"{call.operator} is called wrongly: {error}") from None
    by_name: dict[str, Any] = {}
    more: tuple[Any, ...] = ()
    others: dict[str, Any] = {}
    for name, value in list(given.items())[1:]:
        hint = parameters.hints.get(name, Any)
        match parameters.signature.parameters[name].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                more = tuple(_checked(call, name, item, hint, number) for item in value)
            case inspect.Parameter.VAR_KEYWORD:
                others |= {key: _checked(call, key, item, hint, number) for key, item in value.items()}
            case inspect.Parameter.KEYWORD_ONLY:
                others[name] = _checked(call, name, value, hint, number)
            case _:
                by_name[name] = _checked(call, name, value, hint, number)
    return Bound(by_name, more, others)


def renamed(named: Mapping[str, Any], parameters: Parameters, by_place: int = 0) -> dict[str, Any]:
    """ATen's overloads differ in what they call an argument (self or input, other or mat2); a converter has one name for each.

    A name that the converter does not have is that of the parameter at its place, behind the ``by_place`` that have no name.
    """
    result: dict[str, Any] = {}
    for place, (name, value) in enumerate(named.items(), by_place):
        known = name in parameters.signature.parameters or place >= len(parameters.names) or (place > 0 and parameters.any_name)
        result[name if known else parameters.names[place]] = value
    return result


def _checked(call: Call, name: str, value: Any, hint: Any, number: Callable[[Tensor], Any]) -> Any:
    fitted = _fitted(value, hint)
    if fitted is not _NO:
        return fitted
    if isinstance(value, Tensor) and any(kind in (int, float, bool) for kind in _alternatives(hint)):
        return _checked(call, name, number(value), hint, number)
    shown = "a tensor" if isinstance(value, Tensor) else f"{type(value).__name__} {value!r}"[:60]
    raise InputError(f"{call.operator} is called wrongly: its argument '{name}' is {shown}")


_NO = object()


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)


def _fitted(value: Any, hint: Any) -> Any:
    """The value as the first of the kinds that it fits, or _NO."""
    return next((fitted for kind in _alternatives(hint) if (fitted := _as(value, kind)) is not _NO), _NO)


def _as(value: Any, kind: Any) -> Any:
    """The value as ``kind``, or _NO: integers pass for floats, a list of the right things for a tuple, one integer for one."""
    if kind is Any:
        return value
    if kind is None or kind is type(None):
        return None if value is None else _NO
    if kind is float and type(value) is int:
        return float(value)
    if get_origin(kind) is tuple:
        element = get_args(kind)[0]
        items = value if isinstance(value, (list, tuple)) else (value,) if element in (int, float) else None
        fitted = [_fitted(item, element) for item in items] if items is not None else [_NO]
        return _NO if any(item is _NO for item in fitted) else tuple(fitted)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    return _NO
