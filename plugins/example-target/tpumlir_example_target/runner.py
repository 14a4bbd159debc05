"""The runner ``example``: a compiled file on the simulator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tpumlir_core.container import container_chip
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Runner
from tpumlir_example_target.chip import chip
from tpumlir_example_target.package import CHIP, Compiled, unpack
from tpumlir_example_target.simulator import Machine


class ExampleRunner(Runner):
    """Runs what ``ExampleTarget`` compiled."""

    def recognizes(self, path: Path, head: bytes) -> bool:
        return container_chip(head) == CHIP

    def run(self, path: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return _run(unpack(chip(), path.read_bytes()), inputs)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _run(compiled: Compiled, inputs: Mapping[str, Array]) -> dict[str, Array]:
    machine = Machine(chip(), compiled.memory_bytes)
    machine.write(0, compiled.weights)
    for tensor in compiled.inputs:
        given = inputs.get(tensor.name)
        if given is None:
            raise InputError(f"input {tensor.name} is missing; given are {', '.join(sorted(inputs)) or 'none'}")
        if given.shape != tensor.shape:
            raise InputError(f"input {tensor.name} has the shape {given.shape}; it must be {tensor.shape}")
        machine.write(tensor.address, given.astype(np.float32))
    machine.run(compiled.commands())
    return {tensor.name: machine.read(tensor.address, math.prod(tensor.shape)).reshape(tensor.shape) for tensor in compiled.outputs}
