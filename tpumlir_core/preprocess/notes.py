"""What a compiled file keeps about images: the preprocessing that its inputs record, as a note in JSON."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Module, top
from tpumlir_core.preprocess.options import Preprocess, recorded_preprocess
from tpumlir_core.preprocess.raw import RawFormat, raw_format

PREPROCESS = "preprocess"
"""The note: input -> fields of Preprocess, and "raw", the name of a raw format, where it takes such images."""
_RAW = "raw"
_NUMBERS: Mapping[str, Callable[[Any], Any]] = {"mean": float, "scale": float, "resize_dims": operator.index}
"""Fields that hold several numbers, and of what kind."""


def preprocess_note(module: Module) -> dict[str, Any]:
    """The note by its name, of a module whose inputs record preprocessing; else nothing. Targets put it into the file."""
    fed = [op for op in module.function.operations if isinstance(op, top.Input) and op.do_preprocess]
    return {PREPROCESS: {op.name: _plain(op) for op in fed}} if fed else {}


def _plain(operation: top.Input) -> dict[str, Any]:
    raw = {_RAW: operation.customization_format} if operation.customization_format else {}
    return {**dataclasses.asdict(recorded_preprocess(operation)), **raw}


def noted_preprocess(notes: Mapping[str, Any], name: str) -> tuple[Preprocess | None, RawFormat | None]:
    """What the notes of a file say about an input. Raises InputError where that makes no sense."""
    noted = notes.get(PREPROCESS)
    fields = noted.get(name) if isinstance(noted, dict) else None
    if fields is None:
        return None, None
    try:
        values: dict[str, Any] = {key: tuple(map(_NUMBERS[key], value)) if key in _NUMBERS else value for key, value in fields.items()}
        raw = values.pop(_RAW, "")
        return Preprocess(**values), raw_format(raw) if raw else None
    except (InputError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"input {name}: what the file says about its images makes no sense: {error}") from error
