"""Compiled files read back: every command decoded, and the estimated time line of the two engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tpumlir_core.bmodel import read_model
from tpumlir_core.bmodel.schema import CmdGroup
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.plugins.extension_points import Instruction, Profile
from tpumlir_sophgo.cost import CostModel
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.isa import InstructionSet
from tpumlir_sophgo.timeline import simulate

Sets = Mapping[Engine, InstructionSet]


def disassemble(data: bytes, sets: Sets) -> Iterator[Instruction]:
    """Every command, a stream after the other. Raises InputError where a stream makes no sense."""
    for name, group in _groups(data):
        for engine in Engine:
            for index, command in enumerate(_commands(name, group, engine, sets)):
                variant = command.format.variant_name(command.values)
                mnemonic = f"{command.format.name}.{variant}" if variant else command.format.name
                yield Instruction(name, engine.name.lower(), index, mnemonic, command.values)


def profile(data: bytes, sets: Sets, cost: CostModel) -> Profile:
    """Estimated cycles: groups run one after the other, in each the engines side by side, waiting for each other's ids.

    Leaves out: loading the file, what the host does, and contention of the two engines for local memory.
    """
    total = 0
    work = dict.fromkeys(Engine, 0)
    for name, group in _groups(data):
        streams = [_commands(name, group, engine, sets) for engine in Engine]
        cycles = [[cost.cycles(command) for command in stream] for stream in streams]
        for engine in Engine:
            work[engine] += sum(cycles[engine])
        waits = [[command.waits for command in stream] for stream in streams]
        total += _timeline(name, cycles, waits)
    return Profile(total, {engine.name.lower(): work[engine] for engine in Engine})


def _groups(data: bytes) -> Iterator[tuple[str, CmdGroup]]:
    """Command groups with a name: network, stage, number."""
    for net in read_model(data).net:
        for number, stage in enumerate(net.parameter):
            groups = [group for subnet in stage.sub_net for group in subnet.cmd_group] or stage.cmd_group
            for index, group in enumerate(groups):
                yield f"{net.name}/{number}/{index}", group


def _commands(name: str, group: CmdGroup, engine: Engine, sets: Sets) -> list[Command]:
    """The commands of one stream; the bytes that fill it up to a whole fetch are left out."""
    binary = group.binary_bdc if engine is Engine.TIU else group.binary_gdma
    count = group.bdc_num if engine is Engine.TIU else group.gdma_num
    stream = bytes(binary or b"")
    commands: list[Command] = []
    offset = 0
    while len(commands) < count:
        try:
            found = sets[engine].identify(stream[offset : offset + 128])
        except InputError as error:
            raise InputError(f"{name}, {engine.name.lower()} command {len(commands)}: {error}") from error
        values = found.decode(stream[offset : offset + found.size])
        commands.append(Command(engine, found, values, (), (), "", values.get("cmd_id", 0), values.get("cmd_id_dep", 0)))
        offset += found.size
    return commands


def _timeline(name: str, cycles: Sequence[Sequence[int]], waits: Sequence[Sequence[int]]) -> int:
    try:
        return simulate(cycles, waits).total
    except InternalError as error:
        raise InputError(f"{name}: {error}") from error
