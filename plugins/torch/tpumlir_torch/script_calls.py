"""What TorchScript's text calls: functions of numbers and lists are computed, operators on tensors go to the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_torch import scalars
from tpumlir_torch.dtypes import SCRIPT_DTYPES
from tpumlir_torch.program import Machine
from tpumlir_torch.tensor import Call, Device


@dataclass(frozen=True)
class Path:
    """A dotted name that stands for a function, class or namespace."""

    name: str


def dtype_number(name: str) -> int:
    """The number of an element type in TorchScript."""
    return next(number for number, known in SCRIPT_DTYPES.items() if known == name)


class Uninitialized:
    """What a variable holds that no branch that is taken has set."""


class Calls:
    """Calls on behalf of a program."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def call(self, path: str, arguments: Sequence[Any], named: Mapping[str, Any], scope: str) -> Any:
        """The value of ``torch.f(...)``, ``ops.domain.f(...)`` or a function of Python. Raises UnsupportedError for others."""
        space, _, name = path.rpartition(".")
        if space in ("", "torch", "ops.prim") and not named:
            with suppress(scalars.NoScalarCall):
                return self.function(name, arguments)
        if space == "torch":
            return self._operator(f"aten::{name}", arguments, named, scope)
        if space.startswith("ops.") and space.count(".") == 1:
            return self._operator(f"{space[4:]}::{name}", arguments, named, scope)
        raise UnsupportedError(f"a call of '{path}'")

    def _operator(self, operator: str, arguments: Sequence[Any], named: Mapping[str, Any], scope: str) -> Any:
        name = operator.partition("::")[2].strip("_")
        result = f"{scope}.{name}" if scope else name
        return self._machine.call(Call(operator, tuple(arguments), dict(named), (result,), result))

    def function(self, name: str, arguments: Sequence[Any]) -> Any:
        """The value of a function of numbers, lists, text or shapes. Raises NoScalarCall for operators on tensors."""
        first = arguments[0] if arguments else None
        if name in _SPECIAL:
            return _SPECIAL[name](self, arguments)
        if self._machine.is_tensor(first):
            return self._of_tensor(name, arguments)
        if any(self._machine.is_tensor(a) for a in arguments) and name not in ("__is__", "__isnot__"):
            if name in _LISTS:
                return _changed_list(name, arguments)
            raise scalars.NoScalarCall
        if name in _LISTS and isinstance(first, list):
            return _changed_list(name, arguments)
        if name == "slice" and isinstance(first, (list, str, tuple)):
            return first[_slice(arguments[1:])]
        if name in ("min", "max") and len(arguments) == 1 and isinstance(first, list):
            return scalars.checked(scalars.FUNCTIONS[name], arguments)
        if name in scalars.FUNCTIONS:
            return scalars.checked(_division if name == "div" else scalars.FUNCTIONS[name], arguments)
        raise scalars.NoScalarCall

    def _of_tensor(self, name: str, arguments: Sequence[Any]) -> Any:
        tensor = arguments[0]
        if name in ("__is__", "__isnot__"):
            return (tensor is arguments[1]) == (name == "__is__")
        if name in ("int", "float", "bool", "Int", "Float", "Bool", "IntImplicit", "FloatImplicit", "ScalarImplicit", "item"):
            number = self._machine.number(tensor)
            return {"i": int, "f": float, "b": bool}.get(name[0].lower(), lambda v: v)(number) if name != "item" else number
        if name == "len":
            return self._machine.shape(tensor)[0]
        if name == "dtype":
            return dtype_number(self._machine.dtype(tensor))
        if name == "shape":
            return list(self._machine.shape(tensor))
        if name in scalars.SHAPES:
            return scalars.shape_of(self._machine, name, arguments)
        raise scalars.NoScalarCall

    def item(self, owner: Any, index: Any) -> Any:
        """An element of a list, tuple, dictionary or text."""
        if isinstance(owner, (list, tuple, str)) and isinstance(index, int) and -len(owner) <= index < len(owner):
            return owner[index]
        if isinstance(owner, dict) and isinstance(index, (str, int, float)) and index in owner:
            return owner[index]
        raise InputError(f"element {scalars.short(index)} of {scalars.short(owner)} does not exist")


def _division(left: Any, right: Any) -> Any:
    return left / right


def _slice(bounds: Sequence[Any]) -> slice:
    values = [*bounds, *(None,) * 3][:3]
    if not all(v is None or isinstance(v, int) for v in values) or values[2] == 0:
        raise InputError("a slice of a list whose bounds are no integers")
    return slice(*values)


def _changed_list(name: str, arguments: Sequence[Any]) -> Any:
    """A list operator that works in place."""
    target, *others = arguments
    if not isinstance(target, list) or len(target) > scalars.MOST_ELEMENTS:
        raise InputError(f"{name} of what is no list, or of one that is too long")
    match name, others:
        case "append", [item]:
            target.append(item)
        case "extend", [list() as items] if len(items) <= scalars.MOST_ELEMENTS:
            target.extend(items)
        case "insert", [int() as place, item]:
            target.insert(place, item)
        case "_set_item", [int() as place, item] if -len(target) <= place < len(target):
            target[place] = item
        case "pop", _ if target and all(isinstance(o, int) and -len(target) <= o < len(target) for o in others[:1]):
            return target.pop(*others[:1])
        case "clear", []:
            target.clear()
        case "reverse", []:
            target.reverse()
        case _:
            raise InputError(f"{name} of a list with arguments that do not fit")
    return target


_LISTS = frozenset(("append", "extend", "insert", "_set_item", "pop", "clear", "reverse"))


# --- functions with a meaning of their own ------------------------------------------------------------------------
def _raise(calls: Calls, arguments: Sequence[Any]) -> Any:
    raise InputError(f"the model itself refuses its inputs: {scalars.short(arguments[0] if arguments else '')}")


def _range(calls: Calls, arguments: Sequence[Any]) -> Any:
    if not 1 <= len(arguments) <= 3 or not all(isinstance(a, int) for a in arguments) or (len(arguments) == 3 and not arguments[2]):
        raise InputError("a loop over what is no range of integers")
    return range(*arguments)


def _listed(calls: Calls, arguments: Sequence[Any]) -> Any:
    if len(arguments) != 1 or not isinstance(arguments[0], (list, tuple, str)):
        raise scalars.NoScalarCall
    return list(arguments[0])


def _copied(calls: Calls, arguments: Sequence[Any]) -> Any:
    if len(arguments) == 1 and isinstance(arguments[0], (list, dict)):
        return arguments[0].copy()
    raise scalars.NoScalarCall


def _getitem(calls: Calls, arguments: Sequence[Any]) -> Any:
    if len(arguments) != 2:
        raise InputError("an element without a list or without its place")
    return calls.item(*arguments)


def _view_of_dict(name: str) -> Callable[[Calls, Sequence[Any]], Any]:
    def view(calls: Calls, arguments: Sequence[Any]) -> Any:
        if len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise scalars.NoScalarCall
        return list(getattr(arguments[0], name)())

    return view


def _range_length(calls: Calls, arguments: Sequence[Any]) -> Any:
    return len(_range(calls, arguments))


def _derived_index(calls: Calls, arguments: Sequence[Any]) -> Any:
    if len(arguments) != 3 or not all(isinstance(a, int) for a in arguments):
        raise InputError("an index of a range that is none")
    return arguments[1] + arguments[0] * arguments[2]


def _same(calls: Calls, arguments: Sequence[Any]) -> Any:
    if len(arguments) != 1:
        raise InputError("a value that is not one")
    return arguments[0]


_SPECIAL: Mapping[str, Callable[[Calls, Sequence[Any]], Any]] = {
    "RaiseException": _raise, "range": _range, "list": _listed, "__getitem__": _getitem, "__range_length": _range_length,
    "__derive_index": _derived_index, "keys": _view_of_dict("keys"), "values": _view_of_dict("values"), "items": _view_of_dict("items"),
    "copy": _copied, "warn": lambda calls, arguments: None,
    "format": lambda calls, arguments: scalars.short(arguments[0] if arguments else ""),
    "device": lambda calls, arguments: Device(str(arguments[0] if arguments else "cpu")), "layout": lambda calls, arguments: 0,
    "is_cuda": lambda calls, arguments: False, "is_mkldnn": lambda calls, arguments: False, "requires_grad": lambda calls, arguments: False,
    "is_scripting": lambda calls, arguments: True, "has_torch_function": lambda calls, arguments: False,
    "unchecked_unwrap_optional": _same, "is_autocast_enabled": lambda calls, arguments: False,
}

