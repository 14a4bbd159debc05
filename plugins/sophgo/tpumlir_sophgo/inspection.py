"""Compiled files read back: every command decoded, and the estimated time line of the two engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tpumlir_core.bmodel import read_model, read_notes
from tpumlir_core.bmodel.schema import CmdGroup, NetParameter
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.plugins.extension_points import Instruction, LayerCycles, Profile
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.isa import InstructionSet
from tpumlir_sophgo.layers import NOTE, LayerTable
from tpumlir_sophgo.timeline import simulate

Sets = Mapping[Engine, InstructionSet]
RESERVED = "_"
"""The name under which bits of no field are listed, in place, where they are not 0."""


def disassemble(data: bytes, sets: Sets) -> Iterator[Instruction]:
    """Every command, a stream after the other. Raises InputError where a stream makes no sense."""
    for stage_name, stage in _stages(data):
        groups = [(name, {engine: _commands(name, group, engine, sets) for engine in Engine}) for name, group in _groups(stage_name, stage)]
        counts = {engine: sum(len(streams[engine]) - 1 for _, streams in groups) for engine in Engine}
        table = LayerTable.read(read_notes(stage).get(NOTE), counts)
        layers = {engine: iter(()) if table is None else table.layers(engine) for engine in Engine}
        for name, streams in groups:
            for engine in Engine:
                for index, command in enumerate(streams[engine]):
                    ends = index + 1 == len(streams[engine])
                    layer = "" if ends else next(layers[engine], "")
                    yield Instruction(name, engine.name.lower(), index, _mnemonic(command), command.values, layer)


def _mnemonic(command: Command) -> str:
    variant = command.format.variant_name(command.values)
    return f"{command.format.name}.{variant}" if variant else command.format.name


@dataclass(frozen=True)
class Figures:
    """What a chip says about a command: its cycles, and the bytes that it moves."""

    cycles: Callable[[Command], int]
    bytes: Callable[[Command], int]


def profile(data: bytes, sets: Sets, figures: Figures) -> Profile:
    """Estimated cycles: groups run one after the other, in each the engines side by side, waiting for each other's ids.

    Leaves out: loading the file, what the host does, and contention of the two engines for local memory. Where a stage has a
    table of layers, so has the profile.
    """
    clock = moved = 0
    work = dict.fromkeys(Engine, 0)
    layers: list[LayerCycles] = []
    stages = list(_stages(data))
    for stage_name, stage in stages:
        timed: list[_Timed] = []
        for name, group in _groups(stage_name, stage):
            found, clock = _time(name, group, sets, figures, clock)
            timed += found
        for one in timed:
            work[one.engine] += one.end - one.start
            moved += one.bytes
        layers += _layers(stage_name if len(stages) > 1 else "", read_notes(stage).get(NOTE), timed)
    return Profile(clock, {engine.name.lower(): work[engine] for engine in Engine}, layers, moved)


@dataclass(frozen=True)
class _Timed:
    """One command on the time line. ``last``: the end command of its stream, which is no layer's."""

    engine: Engine
    start: int
    end: int
    bytes: int
    last: bool


def _time(name: str, group: CmdGroup, sets: Sets, figures: Figures, begin: int) -> tuple[list[_Timed], int]:
    """The commands of one group, stream by stream, and when the group ends."""
    streams = [_commands(name, group, engine, sets) for engine in Engine]
    cycles = [[figures.cycles(command) for command in stream] for stream in streams]
    waits = [[command.waits for command in stream] for stream in streams]
    try:
        timeline = simulate(cycles, waits, begin)
    except InternalError as error:
        raise InputError(f"{name}: {error}") from error
    timed = [
        _Timed(engine, int(timeline.start[engine][i]), int(timeline.end[engine][i]), figures.bytes(command), i + 1 == len(streams[engine]))
        for engine in Engine
        for i, command in enumerate(streams[engine])
    ]
    return timed, timeline.total


def _layers(network: str, note: object, timed: Sequence[_Timed]) -> list[LayerCycles]:
    """The layers of one stage in the order of the network; empty where its table is missing or does not fit."""
    streams = {engine: [one for one in timed if one.engine is engine and not one.last] for engine in Engine}
    table = LayerTable.read(note, {engine: len(stream) for engine, stream in streams.items()})
    if table is None:
        return []
    members: list[list[_Timed]] = [[] for _ in table.names]
    for engine, stream in streams.items():
        for number, one in zip(table.numbers(engine), stream, strict=True):
            members[number].append(one)
    every = zip(table.names, table.operations, members, strict=True)
    return [_layer(network, name, operation, part) for name, operation, part in every if part]


def _layer(network: str, name: str, operation: str, members: Sequence[_Timed]) -> LayerCycles:
    start, end = min(one.start for one in members), max(one.end for one in members)
    work = {engine.name.lower(): sum(one.end - one.start for one in members if one.engine is engine) for engine in Engine}
    return LayerCycles(name, end - start, work, operation, start, sum(one.bytes for one in members), network)


def _stages(data: bytes) -> Iterator[tuple[str, NetParameter]]:
    """Every stage with a name: network, number."""
    for net in read_model(data).net:
        for number, stage in enumerate(net.parameter):
            yield f"{net.name}/{number}", stage


def _groups(name: str, stage: NetParameter) -> Iterator[tuple[str, CmdGroup]]:
    """The command groups of a stage with a name: network, stage, number."""
    groups = [group for subnet in stage.sub_net for group in subnet.cmd_group] or stage.cmd_group
    for index, group in enumerate(groups):
        yield f"{name}/{index}", group


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
        reserved = found.reserved(stream[offset : offset + found.size])
        if reserved:
            values[RESERVED] = reserved
        commands.append(Command(engine, found, values, (), (), "", values.get("cmd_id", 0), values.get("cmd_id_dep", 0)))
        offset += found.size
    return commands
