"""Pickles read as data: no class is looked up and nothing is called, whatever they name."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tpumlir_core.errors import InputError

_MOST_STEPS = 1 << 24
_TOKEN = object()


@dataclass(frozen=True)
class Global:
    """A class or function by name, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False)
class Persistent:
    """What the pickle refers to outside itself: for PyTorch, a storage."""

    key: Any


@dataclass(eq=False)
class Made:
    """What a pickle would make by calling ``maker``, and the state that it would set then."""

    maker: Any
    arguments: Any
    state: Any = None
    items: list[Any] = field(default_factory=list)


def read_pickle(data: bytes) -> Any:
    """The data of a pickle: Python's plain types, and Global, Made and Persistent for all else.

    Raises InputError for a damaged pickle, or one with anything that PyTorch does not write.
    """
    try:
        return _Machine().run(data)
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise InputError(f"damaged pickle ({type(error).__name__})") from None


class _Machine:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > _MOST_STEPS:
                raise InputError("a pickle that is too long")
            if opcode.name == "STOP":
                return self.stack.pop()
            self._step(opcode.name, argument)
        raise InputError("damaged pickle (it has no end)")

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _SIMPLE:
            _SIMPLE[name](self)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.stack.append(Global(*argument.split(" ", 1)))
        elif name not in ("PROTO", "FRAME"):
            raise InputError(f"a pickle with the opcode {name}, which PyTorch does not write")

    def marked(self) -> list[Any]:
        """What lies above the last mark, which goes."""
        at = len(self.stack) - 1 - self.stack[::-1].index(_TOKEN)
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> list[Any]:
        """The uppermost values, in the order in which they were pushed."""
        if count > len(self.stack):
            raise InputError("damaged pickle (its stack is empty)")
        found = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return found

    def pop(self) -> None:
        self.take(1)

    def pop_mark(self) -> None:
        self.marked()

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        (target.items if isinstance(target, Made) else _as_list(target)).extend(values)

    def set_items(self, values: list[Any]) -> None:
        pairs = list(zip(values[::2], values[1::2], strict=True))
        target = self.stack[-1]
        if isinstance(target, Made):
            target.items.extend(pairs)
        elif isinstance(target, dict):
            target.update((key if isinstance(key, (str, int, float, tuple)) else str(type(key)), value) for key, value in pairs)
        else:
            raise InputError("damaged pickle (items are set in what has none)")

    def build(self) -> None:
        target, state = self.take(2)
        if not isinstance(target, Made):
            raise InputError("damaged pickle (a state is set in what has none)")
        target.state = state
        self.stack.append(target)


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError("damaged pickle (elements are added to what is no list)")
    return value


def _made(machine: _Machine) -> None:
    maker, arguments = machine.take(2)
    machine.push(Made(maker, arguments))


def _stack_global(machine: _Machine) -> None:
    module, name = machine.take(2)
    machine.push(Global(str(module), str(name)))


_LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "STRING", "BINSTRING", "SHORT_BINSTRING",
))
_SIMPLE: dict[str, Callable[[_Machine], None]] = {
    "NONE": lambda m: m.push(None), "NEWTRUE": lambda m: m.push(True), "NEWFALSE": lambda m: m.push(False),
    "MARK": lambda m: m.push(_TOKEN), "EMPTY_LIST": lambda m: m.push([]), "EMPTY_DICT": lambda m: m.push({}),
    "EMPTY_TUPLE": lambda m: m.push(()), "EMPTY_SET": lambda m: m.push([]), "TUPLE": lambda m: m.push(tuple(m.marked())),
    "LIST": lambda m: m.push(m.marked()), "TUPLE1": lambda m: m.push(tuple(m.take(1))), "TUPLE2": lambda m: m.push(tuple(m.take(2))),
    "TUPLE3": lambda m: m.push(tuple(m.take(3))), "APPEND": lambda m: m.append(m.take(1)), "APPENDS": lambda m: m.append(m.marked()),
    "ADDITEMS": lambda m: m.append(m.marked()), "SETITEM": lambda m: m.set_items(m.take(2)), "SETITEMS": lambda m: m.set_items(m.marked()),
    "POP": _Machine.pop, "DUP": lambda m: m.push(m.stack[-1]), "POP_MARK": _Machine.pop_mark,
    "MEMOIZE": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]), "REDUCE": _made, "NEWOBJ": _made, "BUILD": _Machine.build,
    "BINPERSID": lambda m: m.push(Persistent(m.take(1)[0])), "STACK_GLOBAL": _stack_global,
}
