"""The files of a Paddle model: the program, and the weights beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError

OLD, PIR, WEIGHTS = ".pdmodel", ".json", ".pdiparams"
LARGEST_PROGRAM = 1 << 28
"""Bytes of the largest program that is read; it holds no weights."""
# ProgramDesc.blocks, whose first block begins with idx 0 and a parent_idx (framework.proto).
_PROGRAM = re.compile(rb"\x0a[\x80-\xff]{0,4}[\x00-\x7f]\x08\x00\x10")
_PIR = re.compile(rb'\s*\{\s*"base_code"\s*:\s*\{[^{}]*"magic"\s*:\s*"pir"')


@dataclass(frozen=True)
class Model:
    """A program and its weights, None where it has none beside it."""

    program: Path
    weights: Path | None

    @property
    def old(self) -> bool:
        """Whether it is a ProgramDesc, not PIR."""
        return self.program.suffix == OLD


def is_model(path: Path, head: bytes) -> bool:
    """Whether a file is a program, or the weights of one."""
    return path.suffix in (OLD, WEIGHTS) or _PROGRAM.match(head) is not None or _PIR.match(head) is not None


def is_folder_of_model(folder: Path) -> bool:
    """Whether a folder holds programs: names that Paddle gives them, beside weights."""
    return bool(_programs(folder))


def _programs(folder: Path) -> Sequence[Path]:
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return ()
    stems = sorted(name.removesuffix(WEIGHTS) for name in names if name.endswith(WEIGHTS))
    return [folder / f"{stem}{suffix}" for stem in stems for suffix in (PIR, OLD) if f"{stem}{suffix}" in names]


def find_model(path: Path, weights: Path | None) -> Model:
    """The model that a path means, with ``weights`` or those beside it. Raises InputError."""
    if path.is_dir():
        programs = _programs(path)
        if len(programs) != 1:
            told = ", ".join(program.name for program in programs) or f"no {OLD} or {PIR} with its {WEIGHTS}"
            raise InputError(f"a folder must hold one model; this one holds {told}: name the file")
        path = programs[0]
        _within(path, path.parent)
    if path.suffix == WEIGHTS:
        raise InputError(f"it holds the weights; name the model, {OLD} or {PIR}, and these with --model-data")
    if not path.is_file():
        raise InputError("there is no such file")
    if path.suffix not in (OLD, PIR):
        raise InputError(f"a Paddle model must be called {OLD} or, in PIR, {PIR}; rename it")
    if weights is not None and not weights.is_file():
        raise InputError(f"the weights {weights}: there is no such file")
    if weights is None:
        beside = path.with_suffix(WEIGHTS)
        weights = beside if beside.is_file() else None
        if weights is not None:
            _within(weights, path.parent)
    return Model(path, weights)


def _within(file: Path, folder: Path) -> None:
    """Raises InputError for a link that leads out of the folder."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{file.name} is a link to {file.resolve()}, which is outside of the model's folder; name it with --model-data")


def read_program(model: Model) -> bytes:
    """The bytes of the program. Raises InputError."""
    try:
        if model.program.stat().st_size > LARGEST_PROGRAM:
            raise InputError(f"a program of more than {LARGEST_PROGRAM >> 20} MiB is not read")
        return model.program.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
