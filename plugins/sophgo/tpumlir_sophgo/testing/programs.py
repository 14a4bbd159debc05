"""Run a scheduled program on the bare CModel, command by command: no runtime, no bmodel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import Array, Module
from tpumlir_sophgo.cost import Chip
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.schedule.graph import Graph
from tpumlir_sophgo.schedule.program import Program
from tpumlir_sophgo.schedule.search import schedule
from tpumlir_sophgo.testing.cmodel import Machine


def run_module(machine: Machine, chip: Chip, kernels: KernelRegistry, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Schedule a Tpu module, execute its commands in program order, and give the outputs by name."""
    return run_program(machine, schedule(chip, Graph(module, kernels)), module, inputs)


def run_program(machine: Machine, program: Program, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Execute a program for some inputs."""
    base = machine.arch.global_base
    end = program.memory_base + program.memory_bytes - base
    if end > len(machine.ddr):
        raise ValueError(f"the program needs {end} bytes of global memory, the machine has {len(machine.ddr)}")
    machine.fill()
    machine.ddr[:end] = 0xA5
    machine.ddr[: len(program.constants)] = np.frombuffer(program.constants, np.uint8)
    for op in module.function.operations:
        if op.opcode == "top.Input":
            data = inputs[op.name].astype(op.output.type.element.numpy).reshape(-1).view(np.uint8)
            at = program.addresses[op.output] - base
            machine.ddr[at : at + len(data)] = data
    machine.execute(program.emitter)
    outputs = {}
    for value in module.function.outputs:
        at = program.addresses[program.root(value)] - base
        raw = machine.ddr[at : at + value.type.bytes].copy()
        outputs[value.name] = raw.view(value.type.element.numpy).reshape(value.shape)
    return outputs
