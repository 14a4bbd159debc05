"""Finished bmodels on the bare emulator of BM1684X: in this process, from the encoded streams, in any order that they allow.

The runtime has one order of its own; here the TIU runs as far ahead as its waits let it, or the DMA engine does. A
dependency that is missing in the streams shows as a difference between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tpumlir_bm1684x.chip import arch, instruction_sets
from tpumlir_bmrt.wire import element, from_wire, shape, to_wire
from tpumlir_core.bmodel import read_model
from tpumlir_core.bmodel.schema import CmdGroup, NetParameter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.testing.cmodel import Machine

MEMORY_BYTES = 1 << 28
POISON = 0xA5


@dataclass(frozen=True)
class _Command:
    engine: Engine
    id: int
    waits: int
    data: bytes


@cache
def machine(ddr_bytes: int = MEMORY_BYTES) -> Machine:
    """The emulator of this process."""
    return Machine(arch(), ddr_bytes)


def run_bmodel(data: bytes, inputs: Sequence[Array], first: Engine = Engine.TIU, ddr_bytes: int = MEMORY_BYTES) -> list[Array]:
    """Outputs of a file's only network in order, inputs in order; ``first``: the engine that runs ahead."""
    emulator = machine(ddr_bytes)
    stage = read_model(data).net[0].parameter[0]
    base = emulator.arch.global_base
    end = stage.ctx_addr + stage.ctx_size - base
    if end > len(emulator.ddr):
        raise InternalError(f"the network needs {end} bytes of global memory, the emulator has {len(emulator.ddr)}")
    emulator.fill(POISON)
    emulator.ddr[:end] = POISON
    if stage.coeff_mem is not None:
        weights = np.frombuffer(stage.coeff_mem.binary_coeff or b"", np.uint8)
        emulator.ddr[stage.coeff_mem.address - base :][: len(weights)] = weights
    for tensor, array in zip(stage.input_tensor, inputs, strict=True):
        stored = to_wire(tensor, array).reshape(-1).view(np.uint8)
        emulator.ddr[tensor.device_addr - base :][: len(stored)] = stored
    for group in _groups(stage):
        for command in _ordered(_commands(group, Engine.TIU), _commands(group, Engine.DMA), first):
            emulator.execute_encoded(command.data, command.engine)
    return [_output(emulator, tensor) for tensor in stage.output_tensor]


def _output(emulator: Machine, tensor: object) -> Array:
    kind, extents = element(tensor), shape(tensor)  # type: ignore[arg-type]
    raw = emulator.ddr[tensor.device_addr - emulator.arch.global_base :][: tensor.size].copy()  # type: ignore[attr-defined]
    return from_wire(tensor, raw.view(kind.numpy)[: int(np.prod(extents))].reshape(extents))  # type: ignore[arg-type]


def _groups(stage: NetParameter) -> Sequence[CmdGroup]:
    return [group for subnet in stage.sub_net for group in subnet.cmd_group] or stage.cmd_group


def _commands(group: CmdGroup, engine: Engine) -> list[_Command]:
    """The commands of one stream without its end command."""
    stream = bytes((group.binary_bdc if engine is Engine.TIU else group.binary_gdma) or b"")
    count = group.bdc_num if engine is Engine.TIU else group.gdma_num
    found, offset = [], 0
    for _ in range(count - 1):
        kind = instruction_sets()[engine].identify(stream[offset : offset + 128])
        data = stream[offset : offset + kind.size]
        values = kind.decode(data)
        found.append(_Command(engine, values.get("cmd_id", 0), values.get("cmd_id_dep", 0), data))
        offset += kind.size
    return found


def _ordered(tiu: list[_Command], dma: list[_Command], first: Engine) -> list[_Command]:
    """One order of both streams: the first engine runs until it has to wait."""
    ahead, behind = (tiu, dma) if first is Engine.TIU else (dma, tiu)
    order: list[_Command] = []
    a = b = 0
    while a < len(ahead) or b < len(behind):
        if a < len(ahead) and _done(behind, b) >= ahead[a].waits:
            order.append(ahead[a])
            a += 1
        elif b < len(behind) and _done(ahead, a) >= behind[b].waits:
            order.append(behind[b])
            b += 1
        else:
            raise InternalError(f"the engines wait for each other after {a} and {b} commands")
    return order


def _done(stream: list[_Command], position: int) -> int:
    return stream[position - 1].id if position else 0
