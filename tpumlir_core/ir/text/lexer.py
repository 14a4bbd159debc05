"""Tokens of MLIR's generic form. One regular expression, one pass: linear time."""

from __future__ import annotations

import re
from typing import NamedTuple

from tpumlir_core.errors import InputError

_TOKEN = re.compile(
    r"""[ \t]*(?:
      (?P<space>[ \t\r\n]+|//[^\n]*)
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
    | (?P<tensor>tensor<)
    | (?P<number>-?(?:0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?)?))
    | (?P<value>%[\w.$-]+(?:\#[0-9]+)?)
    | (?P<opaque>[\#!][A-Za-z_][\w.$]*<)
    | (?P<alias>\#[A-Za-z_][\w.$-]*)
    | (?P<symbol>@(?:[\w.$-]+|"(?:[^"\\\n]|\\[^\n])*"))
    | (?P<word>[A-Za-z_][\w.$]*)
    | (?P<punct>->|[()\[\]{}<>,:=*])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))")
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


class Token(NamedTuple):
    """One token: ``kind`` (string, tensor, number, value, opaque, alias, symbol, word, punct, end), its text, its line (from 1).

    A ``tensor`` is the whole type ``tensor<...>``; an ``opaque`` is a whole ``#dialect<...>`` or ``!dialect<...>``. It is a tuple
    because large files have millions, and a frozen dataclass takes twice as long to make.
    """

    kind: str
    text: str
    line: int


def tokenize(text: str, source: str) -> list[Token]:
    """All tokens of ``text`` and a final ``end``. Raises InputError, with ``source`` and line, at a character that is none."""
    tokens: list[Token] = []
    position, line, size = 0, 1, len(text)
    while position < size:
        found = _TOKEN.match(text, position)
        if found is None:
            raise InputError(f"{source}:{line}: unexpected character {text[position]!r}; expected MLIR text")
        kind = str(found.lastgroup)
        start, position = found.span(kind)
        if kind == "space":
            line += text.count("\n", start, position)  # no other token has a line's end in it
            continue
        if kind in ("tensor", "opaque"):
            position = _closing(text, position, source, line)
        tokens.append(Token(kind, text[start:position], line))
    tokens.append(Token("end", "the end of the file", line))
    return tokens


def _closing(text: str, position: int, source: str, line: int) -> int:
    """The position after the ``>`` that closes the ``<`` just before ``position``, on the same line."""
    depth = 1
    while depth:
        character = text[position : position + 1]
        if character in ("", "\n"):
            raise InputError(f"{source}:{line}: '<' is not closed; expected '>' on the same line")
        if character == "<":
            depth += 1
        elif character == ">" and text[position - 1] != "-":
            depth -= 1
        position += 1
    return position


def quote(text: str) -> str:
    r"""A string literal as MLIR prints it: UTF-8 bytes, with ``"``, ``\`` and what is not printable ASCII as ``\XX``."""
    out = []
    for byte in text.encode():
        printable = 32 <= byte < 127 and byte not in b'"\\'
        out.append(chr(byte) if printable else "\\\\" if byte == 92 else f"\\{byte:02X}")
    return '"' + "".join(out) + '"'


def unquote(token: str) -> str:
    """The text of a string literal (with its quotes). Bytes that are not UTF-8 become replacement characters."""
    raw = token[1:-1].encode()
    if b"\\" in raw:
        raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else _NAMED.get(m[2], m[2]), raw)
    return raw.decode(errors="replace")
