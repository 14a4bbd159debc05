"""What the targets of SOPHGO's chips share: from a Tpu module to a bmodel."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from tpumlir_core.bmodel import MADE_BY, BmodelNet, BmodelTensor, CommandStreams, build_model, model_parts
from tpumlir_core.errors import InputError
from tpumlir_core.host import host_note
from tpumlir_core.ir import ElementType, Module, Operation, Value
from tpumlir_core.ir.operator import Operator
from tpumlir_core.lowering import retyped
from tpumlir_core.plugins.extension_points import Artifact, Instruction, Profile, Target
from tpumlir_core.preprocess import preprocess_note
from tpumlir_sophgo import inspection
from tpumlir_sophgo.check import Footprint, GlobalLayout, check_streams
from tpumlir_sophgo.cost import Chip
from tpumlir_sophgo.custom import with_custom
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.isa import Format
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.layers import NOTE, LayerTable
from tpumlir_sophgo.schedule.graph import RENAMING, Graph, choose_kernel
from tpumlir_sophgo.schedule.program import Program
from tpumlir_sophgo.schedule.search import schedule
from tpumlir_sophgo.widening import stored_as

STORED = {"F16": ElementType.F16, "BF16": ElementType.BF16}
"""What a Top operation's tensors are stored as in a mode, where that is not F32: in INT8 that is settled operation by operation."""


class SophgoTarget(Target):
    """A chip of the family. Subclasses give its figures, kernels, emitter, cost model and stream endings."""

    host_steps: ClassVar[bool] = True
    runtime_name: str  # as the runtime spells the chip

    @abstractmethod
    def chip(self) -> Chip:
        """Figures, emitter and cost model."""

    @abstractmethod
    def kernels(self) -> KernelRegistry:
        """All kernels of the chip."""

    @abstractmethod
    def streams(self, emitter: Emitter) -> list[CommandStreams]:
        """The encoded streams, each with its end command, in command groups."""

    @abstractmethod
    def footprints(self, fmt: Format, values: Mapping[str, int]) -> Footprint:
        """What a command touches, for the check."""

    @abstractmethod
    def transferred_bytes(self, fmt: Format, values: Mapping[str, int]) -> int:
        """Bytes that a command moves between memories; 0 for one that computes."""

    def supports(self, op: Operation, mode: str) -> str | None:
        if mode not in self.modes():
            return f"{self.name} has no {mode} (it has {', '.join(self.modes())})"
        opcode = op.opcode.replace("top.", "tpu.")
        if opcode in RENAMING:
            return None
        stored = STORED.get(mode, ElementType.F32)
        if op.opcode != opcode and stored is not ElementType.F32:
            op = retyped(op, stored_as(stored))
        found = choose_kernel(op, self.kernels_for([op]))
        return found if isinstance(found, str) else None

    def kernels_for(self, operations: Iterable[Operation]) -> KernelRegistry:
        """The chip's kernels, and those that custom operators among ``operations`` bring for it."""
        custom = {op.opcode: op for op in operations if isinstance(op, Operator)}
        return with_custom(self.kernels(), self.name, custom.values()) if custom else self.kernels()

    def operators(self) -> Mapping[str, Mapping[str, str | None]]:
        """Every Tpu operation: None where there is a kernel, or nothing to compute."""
        from tpumlir_core.ir import registered_operations, tpu  # noqa: F401  (declares the operations)

        kernels = self.kernels()
        opcodes = [opcode for opcode in registered_operations() if opcode.startswith("tpu.")]
        return {op.removeprefix("tpu."): {mode: _listed(op, mode, kernels) for mode in self.modes()} for op in opcodes}

    def disassemble(self, data: bytes) -> Iterator[Instruction]:
        return inspection.disassemble(data, self.chip().new_emitter().sets)

    def profile(self, data: bytes) -> Profile:
        chip = self.chip()
        figures = inspection.Figures(chip.cost.cycles, lambda command: self.transferred_bytes(command.format, command.values))
        return inspection.profile(data, chip.new_emitter().sets, figures)

    def compile(self, module: Module) -> Artifact:
        if not any(op.opcode == "top.Input" for op in module.function.operations):
            raise InputError(f"{module.name}: the network has no input, its outputs are constants; there is nothing to compile")
        started = time.perf_counter()
        graph = Graph(module, self.kernels_for(module.function.operations))
        module.weights.clear()  # the graph has them, and frees them one by one
        program = schedule(self.chip(), graph)
        scheduled = time.perf_counter()
        groups = self.streams(program.emitter)
        self.check(program, groups)
        checked = time.perf_counter()
        parts = model_parts(build_model([self._net(module, program, groups)]))
        facts = self._facts(program, sum(map(len, parts)))
        packaged = time.perf_counter()
        facts["seconds"] = {"schedule": scheduled - started, "check": checked - scheduled, "package": packaged - checked}
        return Artifact(parts, facts)

    def check(self, program: Program, groups: Sequence[CommandStreams]) -> None:
        """Re-read the encoded streams. Raises InternalError where an address or a dependency is wrong."""
        chip = self.chip()
        constants = (program.constants_base, program.constants_base + len(program.constants))
        layout = GlobalLayout(constants, (program.memory_base, program.memory_base + program.memory_bytes))
        check_streams(groups, chip.arch, program.emitter.sets, self.footprints, layout)

    def _net(self, module: Module, program: Program, groups: list[CommandStreams]) -> BmodelNet:
        def tensor(value: Value) -> BmodelTensor:
            address = program.addresses[program.root(value)]
            scale, zero_point = value.type.scaling
            return BmodelTensor(value.name, value.type.element, value.shape or (1,), address, value.type.bytes, scale, zero_point)

        fed = [tensor(op.output) for op in module.function.operations if op.opcode == "top.Input"]
        inputs = tuple(replace(one, scale=1 / one.scale) for one in fed)  # as the runtime's users expect
        outputs = tuple(tensor(value) for value in module.function.outputs)
        provenance = {MADE_BY: module.made_by} if module.made_by else {}
        layers = LayerTable.of(module.function.operations, program.emitter.commands)
        return BmodelNet(
            module.name, self.runtime_name, inputs, outputs, memoryview(program.constants), program.constants_base, program.memory_base,
            program.memory_bytes, tuple(groups), notes={NOTE: layers.note(), **provenance, **preprocess_note(module), **host_note(module)},
        )

    def _facts(self, program: Program, file_bytes: int) -> dict[str, Any]:
        commands = program.emitter.commands
        return {
            "chip": self.name,
            "instructions": {engine.name.lower(): sum(c.engine is engine for c in commands) for engine in Engine},
            "constant_bytes": len(program.constants),
            "memory_bytes": program.memory_bytes,
            "file_bytes": file_bytes,
        }


def _listed(opcode: str, mode: str, kernels: KernelRegistry) -> str | None:
    """None where some operation of this opcode can be done in a mode."""
    if opcode in RENAMING or opcode in kernels.local:
        return None
    whole = kernels.whole.get(opcode)
    if whole is None:
        return "no kernel"
    return None if STORED.get(mode, ElementType.F32) in whole.native else f"no kernel for {mode}"
