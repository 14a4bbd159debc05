"""The chip in numpy: two memories, and a function for each instruction. It executes what was encoded, and trusts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_example_target.chip import Chip, Command

Floats = np.ndarray[Any, np.dtype[np.float32]]
WORD = 4
"""Bytes of an element, and what addresses are multiples of."""


class Machine:
    """A chip with this much of its global memory in use. Local memory holds NaN at first, so that what was never loaded shows."""

    def __init__(self, chip: Chip, memory_bytes: int) -> None:
        if not 0 <= memory_bytes <= chip.global_bytes:
            raise InputError(f"{memory_bytes} bytes of memory, the chip has {chip.global_bytes}")
        self._local = np.full(chip.local_bytes // WORD, np.nan, np.float32)
        self._memory = np.zeros(memory_bytes // WORD, np.float32)
        self._execute: Mapping[str, Callable[..., None]] = {
            "LOAD": self._load, "STORE": self._store, "MATMUL": self._matmul, "ADD": self._add, "RELU": self._relu,
        }

    def write(self, address: int, values: Floats) -> None:
        """Put values into global memory. Raises InputError outside of it."""
        _view(self._memory, address, 1, values.size)[:] = values.reshape(1, -1)

    def read(self, address: int, count: int) -> Floats:
        """Values in global memory. Raises InputError outside of it."""
        return _view(self._memory, address, 1, count).flatten()

    def run(self, commands: Iterable[Command]) -> None:
        """Execute one after the other. Raises InputError that names the command which leaves a memory."""
        for index, command in enumerate(commands):
            try:
                self._execute[command.name](**command.values)
            except InputError as error:
                raise InputError(f"instruction {index}, {command.name}: {error}") from error

    def _load(self, address: int, local: int, rows: int, row_bytes: int, stride: int) -> None:
        source = _view(self._memory, address, rows, row_bytes // WORD, stride)
        _view(self._local, local, rows, row_bytes // WORD)[:] = source

    def _store(self, address: int, local: int, rows: int, row_bytes: int, stride: int) -> None:
        result = _view(self._memory, address, rows, row_bytes // WORD, stride)
        result[:] = _view(self._local, local, rows, row_bytes // WORD)

    def _matmul(self, left: int, right: int, result: int, m: int, k: int, n: int) -> None:
        _view(self._local, result, m, n)[:] = _view(self._local, left, m, k) @ _view(self._local, right, k, n)

    def _add(self, left: int, right: int, result: int, rows: int, columns: int, right_rows: int, right_columns: int) -> None:
        if right_rows not in (1, rows) or right_columns not in (1, columns):
            raise InputError(f"{right_rows} rows of {right_columns} cannot be added to {rows} of {columns}")
        total = _view(self._local, left, rows, columns) + _view(self._local, right, right_rows, right_columns)
        _view(self._local, result, rows, columns)[:] = total

    def _relu(self, source: int, result: int, count: int) -> None:
        _view(self._local, result, 1, count)[:] = np.maximum(_view(self._local, source, 1, count), 0)


def _view(memory: Floats, address: int, rows: int, columns: int, stride: int | None = None) -> Floats:
    """Memory as [rows, columns], ``stride`` bytes from row to row (dense by default). Raises InputError outside of it."""
    step = columns * WORD if stride is None else stride
    end = address + max(rows - 1, 0) * step + columns * WORD
    if address % WORD or step % WORD or end > memory.nbytes or rows * columns > memory.size:
        raise InputError(f"{rows} rows of {columns} elements at {address:#x}, {step} bytes apart, are not within {memory.nbytes} bytes")
    return np.lib.stride_tricks.as_strided(memory[address // WORD :], (rows, columns), (step, WORD))
