"""Flags as data: what each does here, or why it does nothing or is refused. Parser, refusals and documentation come from it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NoReturn

from tpumlir_core.errors import InputError

_NEGATIVE = re.compile(r"-[\d.]+(,\s*-?[\d.]+)+")
"""A list of numbers that begins with a minus, which argparse would take for a flag."""


class Effect(Enum):
    """What a flag does here."""

    ACTS = "acts"
    NOTHING = "nothing to do"
    REFUSED = "refused"


@dataclass(frozen=True)
class Flag:
    """One flag of a command.

    ``names``: as they are typed; one without dashes is positional. ``text``: what it does here, or why it is nothing to do or
    refused, as a clause. ``read`` makes its value of text (argparse's ``type``). ``accepted``: the values that a refused flag may
    have all the same, besides its default, because they ask for what is done anyway; ``refused``: those that one which acts may
    not have, with the reason of each.
    """

    names: tuple[str, ...]
    text: str
    effect: Effect = Effect.ACTS
    switch: bool = False
    default: Any = None
    read: Callable[[str], Any] = str
    choices: tuple[Any, ...] | None = None
    nargs: str | None = None
    count: bool = False
    required: bool = False
    accepted: tuple[Any, ...] = ()
    refused: Mapping[Any, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that messages use: the longest of the first ones."""
        return max(self.names[:2], key=len) if self.names[0].startswith("-") and not self.names[0].startswith("--") else self.names[0]

    @property
    def key(self) -> str:
        """The name of its value in the namespace."""
        return self.name.lstrip("-").replace("-", "_")

    def arguments(self) -> dict[str, Any]:
        """What ``add_argument`` takes besides the names."""
        named = {"dest": self.key} if self.names[0].startswith("-") else {}
        texts = {"help": f"{'' if self.effect is Effect.ACTS else self.effect.value + ': '}{self.text}".replace("%", "%%")}
        if self.switch:
            return {**named, **texts, "action": "store_true"}
        if self.count:
            return {**named, **texts, "action": "count", "default": self.default}
        required = {"required": True} if self.required and named else {}
        return {**named, **texts, **required, "type": self.read, "default": self.default, "choices": self.choices, "nargs": self.nargs}

    def check(self, value: Any) -> None:
        """Raises InputError where a value is refused."""
        if self.effect is Effect.REFUSED and value != self.unset and value not in self.accepted:
            raise InputError(f"{self._said(value)}: {self.text}")
        if isinstance(value, str) and value in self.refused:
            raise InputError(f"{self._said(value)}: {self.refused[value]}")

    @property
    def unset(self) -> Any:
        """Its value where it is not given."""
        return False if self.switch else self.default

    def _said(self, value: Any) -> str:
        return self.name if self.switch or value is None else f"{self.name} {value}"


def switch(names: str, text: str) -> Flag:
    """A flag without value that acts."""
    return Flag(tuple(names.split()), text, switch=True)


def acts(names: str, text: str, **more: Any) -> Flag:
    """A flag with a value that acts."""
    return Flag(tuple(names.split()), text, **more)


def nothing(names: str, text: str, **more: Any) -> Flag:
    """A flag that is taken and has no effect, because what it asks for is so anyway, or does not change what is computed."""
    return Flag(tuple(names.split()), text, Effect.NOTHING, **more)


def refused(names: str, text: str, **more: Any) -> Flag:
    """A flag that is refused, where its value is not what is done anyway."""
    return Flag(tuple(names.split()), text, Effect.REFUSED, **more)


@dataclass(frozen=True)
class Command:
    """A command: its name, what it does in one sentence, and its flags."""

    name: str
    text: str
    flags: tuple[Flag, ...]

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of all flags. Raises InputError for what is unknown, wrong or refused; warns of what has no effect."""
        parser = self.parser()
        values, unknown = parser.parse_known_args(_normal(words, self.flags))
        if unknown:
            parser.error(f"{unknown[0]}: no such flag or argument; see {self.name} --help")
        for flag in self.flags:
            flag.check(getattr(values, flag.key))
        for flag in self.flags:
            if flag.effect is Effect.NOTHING and getattr(values, flag.key) != flag.unset:
                print(f"{self.name}: warning: {flag.name} has no effect: {flag.text}", file=sys.stderr)
        return values

    def parser(self) -> argparse.ArgumentParser:
        """Takes what the reference's takes, abbreviated flags too."""
        parser = _Parser(prog=self.name, description=self.text)
        parser.add_argument("-V", "--version", action=_Version, help="show whose command this is")
        for flag in self.flags:
            parser.add_argument(*flag.names, **flag.arguments())
        return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} tpumlir {version('tpumlir-compat')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Raises its errors."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def _normal(words: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """Flags with the dashes that the reference's have, and lists of numbers tied to the flag that they are the value of."""
    known = {name for flag in flags for name in flag.names}
    out: list[str] = []
    for word in words:
        if _NEGATIVE.fullmatch(word) and out and out[-1].startswith("--") and "=" not in out[-1]:
            out[-1] += f"={word}"
            continue
        name, equals, value = word.partition("=")
        if name.startswith("--") and name not in known:
            name = "--" + name[2:].replace("-", "_")
        out.append(f"{name}{equals}{value}" if word.startswith("--") else word)
    return out
