"""The compiled file: the core's container, with the encoded instructions and the weights as sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.container import Container, StoredTensor, read_container, write_container
from tpumlir_core.errors import InputError
from tpumlir_core.host import host_note
from tpumlir_core.ir import Array, Module, Value
from tpumlir_core.preprocess import preprocess_note
from tpumlir_example_target.chip import Chip, Command
from tpumlir_example_target.schedule import Layer, Program

CHIP = "example"


@dataclass(frozen=True)
class Compiled:
    """A compiled file read back: its layers with their instructions, the values at address 0, the memory it needs."""

    network: str
    inputs: Sequence[StoredTensor]
    outputs: Sequence[StoredTensor]
    layers: Sequence[Layer]
    weights: Array
    memory_bytes: int

    def commands(self) -> Iterator[Command]:
        """All instructions in order."""
        for layer in self.layers:
            yield from layer.commands


def pack(chip: Chip, module: Module, program: Program) -> bytes:
    """The file of a program."""

    def stored(value: Value) -> StoredTensor:
        return StoredTensor(value.name, value.type.element, value.shape, program.addresses[value])

    inputs = tuple(stored(op.output) for op in module.function.operations if op.opcode == "top.Input")
    outputs = tuple(stored(value) for value in module.function.outputs)
    code = b"".join(chip.encode(command) for layer in program.layers for command in layer.commands)
    layers = [[layer.name, layer.operation, len(layer.commands)] for layer in program.layers]
    facts = {"memory_bytes": program.memory_bytes, "layers": layers, **preprocess_note(module), **host_note(module)}
    sections = {"code": code, "weights": program.weights}
    return write_container(Container(CHIP, module.name, inputs, outputs, sections, facts, module.made_by))


def unpack(chip: Chip, data: bytes) -> Compiled:
    """The content of a file. Raises InputError where it is not as ``pack`` writes it."""
    container = read_container(data)
    if container.chip != CHIP:
        raise InputError(f"the file is for the chip {container.chip}, not for {CHIP}")
    try:
        commands = list(chip.decode(container.sections["code"]))
        weights = np.frombuffer(container.sections["weights"], np.float32)
        memory_bytes = int(container.facts["memory_bytes"])
        layers = []
        taken = 0
        for name, operation, count in container.facts["layers"]:
            layers.append(Layer(str(name), str(operation), commands[taken : taken + count]))
            taken += count
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the file is not as this target writes it: {type(error).__name__}: {error}") from error
    if taken != len(commands):
        raise InputError(f"the file's layers have {taken} instructions, but there are {len(commands)}")
    return Compiled(container.network, container.inputs, container.outputs, layers, weights, memory_bytes)
