"""The target ``example``: what the chip can do, compiling for it, and looking into what was compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tpumlir_core.ir import ElementType, Module, Operation, registered_operations
from tpumlir_core.plugins.extension_points import Artifact, Instruction, LayerCycles, Profile, Target
from tpumlir_example_target.chip import chip
from tpumlir_example_target.kernels import KERNELS, kernel_for
from tpumlir_example_target.package import CHIP, pack, unpack
from tpumlir_example_target.schedule import Layer, schedule, smallest_tile_bytes


class ExampleTarget(Target):
    """A made-up chip that multiplies matrices, adds, and cuts at zero, in F32."""

    name = CHIP
    host_steps = True

    def modes(self) -> Sequence[str]:
        return ("F32",)

    def supports(self, op: Operation, mode: str) -> str | None:
        """Asked about Top operations before lowering: where the answer is no, the core tries to decompose the operation."""
        if mode not in self.modes():
            return f"the chip has no {mode}, only {', '.join(self.modes())}"
        kernel = kernel_for(op)
        if kernel is None:
            return "no kernel"
        if any(value.type.element is not ElementType.F32 for value in (*op.operands, *op.results) if value is not None):
            return "all tensors must be F32"
        reason = kernel.refuses(op)
        if reason is None and smallest_tile_bytes(op, kernel) > chip().local_bytes:
            return f"one element of the result needs more than the {chip().local_bytes} bytes of local memory"
        return reason

    def operators(self) -> Mapping[str, Mapping[str, str | None]]:
        names = [opcode.removeprefix("top.") for opcode in registered_operations() if opcode.startswith("top.")]
        return {name: dict.fromkeys(self.modes(), None if name in KERNELS else "no kernel") for name in names}

    def compile(self, module: Module) -> Artifact:
        program = schedule(chip(), module)
        facts = {"chip": self.name, "instructions": sum(len(layer.commands) for layer in program.layers)}
        return Artifact(pack(chip(), module, program), facts)

    def disassemble(self, data: bytes) -> Iterator[Instruction]:
        compiled = unpack(chip(), data)
        for index, command in enumerate(compiled.commands()):
            yield Instruction(compiled.network, chip().formats[command.name].unit, index, command.name, command.values)

    def profile(self, data: bytes) -> Profile:
        """One instruction runs at a time: the cycles are the sum of all. Leaves out what the host does."""
        layers: list[LayerCycles] = []
        start = 0
        for layer in unpack(chip(), data).layers:
            layers.append(_cycles(layer, start))
            start += layers[-1].cycles
        engines = {unit: sum(layer.engines[unit] for layer in layers) for unit in chip().units}
        return Profile(start, engines, layers, sum(layer.bytes for layer in layers))


def _cycles(layer: Layer, start: int) -> LayerCycles:
    engines = dict.fromkeys(chip().units, 0)
    moved = 0
    for command in layer.commands:
        unit = chip().formats[command.name].unit
        engines[unit] += chip().cycles(command)
        moved += chip().work(command) if unit == "dma" else 0
    return LayerCycles(layer.name, sum(engines.values()), engines, layer.operation, start, moved)
