"""The text of a .prototxt as a NetParameter message, and which of its fields nobody here knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tpumlir_caffe.schema import message_class
from tpumlir_core.errors import InputError

LARGEST_TEXT = 16 << 20
"""Bytes of the largest .prototxt that is read: networks take 0.1 MB."""
LENIENT = frozenset(
    ("NetParameter", "LayerParameter", "V1LayerParameter", "V0LayerParameter", "ParamSpec", "FillerParameter", "SaveOutputParameter")
)
"""Messages that may have fields which are not known: parameters of other layers, and what concerns training and files only."""
_TOKEN = re.compile(r"#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[A-Za-z_]\w*|\n|\S")
_OPENING, _CLOSING = "{<", "}>"


@dataclass(frozen=True)
class UnknownField:
    """A field that a message does not have: the field that holds the message, its own name, and its line, from 1."""

    holder: str
    name: str
    line: int


def parse_prototxt(data: bytes) -> tuple[Any, list[UnknownField]]:
    """The network of a .prototxt, and the fields that could change what it computes but are not known.

    Raises InputError with protobuf's words, which tell the line, for what is no such text.
    """
    from google.protobuf import text_format

    if len(data) > LARGEST_TEXT:
        raise InputError(f"{len(data)} bytes are too many for a .prototxt; is it one?")
    try:
        text = data.decode("utf-8")
        network = text_format.Parse(text, message_class("NetParameter")(), allow_unknown_field=True)
    except (text_format.ParseError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"no .prototxt of Caffe: {error}") from None
    except RecursionError:
        raise InputError("no .prototxt of Caffe: it is nested too deeply") from None
    return network, list(unknown_fields(text))


def unknown_fields(text: str) -> Iterator[UnknownField]:
    """The unknown fields of messages that are not lenient, in the order of the text, which protobuf has parsed."""
    stack: list[tuple[str, Any]] = [("", message_class("NetParameter").DESCRIPTOR)]
    inner: tuple[str, Any] = ("", None)
    tokens = [*_tokens(text), ("", 0), ("", 0)]
    for at, (token, line) in enumerate(tokens[:-2]):
        following = tokens[at + 1][0]
        if token in _OPENING:
            stack.append(inner)
        elif token in _CLOSING:
            stack = stack[:-1] or stack
        elif _is_field(token, tokens[at - 1][0] if at else "") and following and following in ":{<":
            holder, message = stack[-1]
            field = message.fields_by_name.get(token) if message is not None else None
            inner = (token, field.message_type if field is not None else None)
            if message is not None and field is None and message.name not in LENIENT:
                yield UnknownField(holder, token, line)


def _is_field(token: str, before: str) -> bool:
    """Whether a token is a name, and not a value."""
    return (token[0].isalpha() or token[0] == "_") and before != ":"


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """The tokens and their lines, comments left out."""
    line = 1
    for found in _TOKEN.finditer(text):
        token = found.group()
        if token == "\n":
            line += 1
        elif token[0] != "#":
            yield token, line
