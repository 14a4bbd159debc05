"""The schedule: where tensors lie in global memory, how an operation is cut into tiles, and the commands around kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType, Module, Operation, Value
from tpumlir_example_target.chip import Chip, Command
from tpumlir_example_target.kernels import Kernel, Operand, Window, kernel_for, matrix

ELEMENT_BYTES = ElementType.F32.bytes


@dataclass(frozen=True)
class Layer:
    """The commands of one operation: its name and what it is."""

    name: str
    operation: str
    commands: Sequence[Command]


@dataclass(frozen=True)
class Program:
    """The layers of a network in order, and its global memory: weights from address 0, then all other tensors."""

    layers: Sequence[Layer]
    addresses: Mapping[Value, int]
    weights: bytes
    memory_bytes: int


def schedule(chip: Chip, module: Module) -> Program:
    """A Tpu module as a program. Raises InputError where it does not fit the chip's memory."""
    operations = module.function.operations
    constants = [op.output for op in operations if op.opcode == "top.Weight"]
    others = [value for op in operations if op.opcode != "top.Weight" for value in op.results]
    weights = b"".join(np.asarray(module.weights[value.name], np.float32).tobytes() for value in constants)
    addresses: dict[Value, int] = {}
    end = 0
    for value in (*constants, *others):
        addresses[value] = end
        end += value.type.bytes
    if end > chip.global_bytes:
        raise InputError(f"{module.name}: its tensors are {end} bytes, the chip has {chip.global_bytes}; make the network smaller")
    kernels = [(op, kernel_for(op)) for op in operations]
    layers = [Layer(op.name, op.opcode, list(_commands(chip, op, kernel, addresses))) for op, kernel in kernels if kernel is not None]
    return Program(layers, addresses, weights, end)


def smallest_tile_bytes(op: Operation, kernel: Kernel) -> int:
    """Local memory that one element of the result needs: what the chip must have to compute the operation at all."""
    return _bytes(op, kernel, Window(range(1), range(1)))


def _commands(chip: Chip, op: Operation, kernel: Kernel, addresses: Mapping[Value, int]) -> Iterator[Command]:
    """Tile by tile: load what it needs, compute, store."""
    for window in _tiles(chip, op, kernel):
        local = 0
        operands = []
        for value, part in zip(op.operands, kernel.needs(op, window), strict=True):
            if value is not None:
                operands.append(Operand(part, local))
                yield _transfer("LOAD", value, part, addresses[value], local)
                local += part.elements * ELEMENT_BYTES
        yield from kernel.emit(window, operands, local)
        yield _transfer("STORE", op.output, window, addresses[op.output], local)


def _tiles(chip: Chip, op: Operation, kernel: Kernel) -> Iterator[Window]:
    """Equal parts of the result, as large as local memory allows: the longer side is halved until they fit."""
    whole = matrix(op.output)
    rows, columns = max(1, len(whole.rows)), max(1, len(whole.columns))
    while _bytes(op, kernel, Window(range(rows), range(columns))) > chip.local_bytes:
        rows, columns = (-(-rows // 2), columns) if rows > columns else (rows, -(-columns // 2))
    for row in whole.rows[::rows]:
        for column in whole.columns[::columns]:
            yield Window(whole.rows[row : row + rows], whole.columns[column : column + columns])


def _bytes(op: Operation, kernel: Kernel, window: Window) -> int:
    return ELEMENT_BYTES * (window.elements + sum(part.elements for part in kernel.needs(op, window)))


def _transfer(name: str, value: Value, part: Window, address: int, local: int) -> Command:
    """The command that moves a part of a tensor."""
    stride = len(matrix(value).columns) * ELEMENT_BYTES
    start = address + part.rows.start * stride + part.columns.start * ELEMENT_BYTES
    sizes = {"rows": len(part.rows), "row_bytes": len(part.columns) * ELEMENT_BYTES, "stride": stride}
    return Command(name, {"address": start, "local": local, **sizes})
