"""The independent check of finished streams: everything is read back from the encoded bytes.

It knows nothing of the emitter. From the fields of every command a chip's ``Footprints`` says which bytes it touches; the
check then makes sure that ids count up, that no engine waits for what never comes, that addresses lie where they may, and
that no two commands that can run at the same time touch the same local bytes when one of them writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.bmodel import CommandStreams
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.arch import Arch
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.isa import Format, InstructionSet
from tpumlir_sophgo.timeline import simulate

Span = tuple[int, int]  # bytes [start, stop)


@dataclass(frozen=True)
class Footprint:
    """What one command touches: byte spans inside a lane, and spans of global addresses."""

    reads: tuple[Span, ...] = ()
    writes: tuple[Span, ...] = ()
    global_reads: tuple[Span, ...] = ()
    global_writes: tuple[Span, ...] = ()


Footprints = Callable[[Format, Mapping[str, int]], Footprint]


@dataclass(frozen=True)
class GlobalLayout:
    """Where global memory may be read (constants and values) and written (values)."""

    constants: Span
    values: Span


@dataclass(frozen=True)
class _Decoded:
    waits: list[int]
    footprints: list[Footprint]


def check_streams(
    groups: Sequence[CommandStreams], arch: Arch, sets: Mapping[Engine, InstructionSet], footprints: Footprints, layout: GlobalLayout
) -> None:
    """Raises InternalError that names the command where something is wrong."""
    for number, group in enumerate(groups):
        name = f"command group {number}"
        tiu = _decode(f"{name}, tiu", group.tiu, group.tiu_commands, sets[Engine.TIU], footprints)
        dma = _decode(f"{name}, dma", group.dma, group.dma_commands, sets[Engine.DMA], footprints)
        simulate([[1] * len(tiu.waits), [1] * len(dma.waits)], [tiu.waits, dma.waits])
        for engine, stream in (("tiu", tiu), ("dma", dma)):
            for index, footprint in enumerate(stream.footprints):
                _check_addresses(f"{name}, {engine} command {index + 1}", footprint, arch, layout)
        _check_races(name, tiu, dma)


def _decode(name: str, data: bytes, count: int, instructions: InstructionSet, footprints: Footprints) -> _Decoded:
    waits: list[int] = []
    found: list[Footprint] = []
    offset = 0
    for number in range(1, count + 1):
        fmt = instructions.identify(data[offset : offset + 128])
        values = fmt.decode(data[offset : offset + fmt.size])
        offset += fmt.size
        if values["cmd_id"] != number:
            raise InternalError(f"{name}: command {number} has the id {values['cmd_id']}")
        if number < count:
            waits.append(values["cmd_id_dep"])
            found.append(footprints(fmt, values))
    if any(data[offset:]):
        raise InternalError(f"{name}: there is more behind its {count} commands")
    return _Decoded(waits, found)


def _check_addresses(name: str, footprint: Footprint, arch: Arch, layout: GlobalLayout) -> None:
    for start, stop in (*footprint.reads, *footprint.writes):
        if not 0 <= start < stop <= arch.lane_bytes:
            raise InternalError(f"{name}: local bytes {start:#x} to {stop:#x} are not in a lane of {arch.lane_bytes:#x}")
    for start, stop in footprint.global_reads:
        if not (_within((start, stop), layout.constants) or _within((start, stop), layout.values)):
            raise InternalError(f"{name}: reads global memory {start:#x} to {stop:#x}, which is not the network's")
    for start, stop in footprint.global_writes:
        if not _within((start, stop), layout.values):
            raise InternalError(f"{name}: writes global memory {start:#x} to {stop:#x}, which holds no values")


def _within(span: Span, outer: Span) -> bool:
    return outer[0] <= span[0] and span[1] <= outer[1]


def _check_races(name: str, tiu: _Decoded, dma: _Decoded) -> None:
    """Command i of the TIU runs beside those DMA commands that it does not wait for and that do not wait for it."""
    before = np.maximum.accumulate(np.array([0, *tiu.waits]))[1:]  # DMA commands surely done when i starts
    after = np.maximum.accumulate(np.array([0, *dma.waits]))[1:]  # TIU commands surely done when DMA j starts
    reads, writes = _table(dma, lambda f: f.reads), _table(dma, lambda f: f.writes)
    for index, footprint in enumerate(tiu.footprints):
        first, last = int(before[index]), int(np.searchsorted(after, index + 1))
        if first >= last:
            continue
        for span, tables in [(s, (writes,)) for s in footprint.reads] + [(s, (reads, writes)) for s in footprint.writes]:
            for table in tables:
                hit = table.overlap(span, first, last)
                if hit is not None:
                    raise InternalError(
                        f"{name}: tiu command {index + 1} and dma command {hit + 1} can run at the same time and both touch "
                        f"local bytes {span[0]:#x} to {span[1]:#x}"
                    )


@dataclass(frozen=True)
class _Table:
    """Spans of a stream's commands, in order; ``first[j]`` is where command j's spans begin."""

    owner: np.ndarray[Any, np.dtype[np.int64]]
    start: np.ndarray[Any, np.dtype[np.int64]]
    stop: np.ndarray[Any, np.dtype[np.int64]]
    first: np.ndarray[Any, np.dtype[np.int64]]

    def overlap(self, span: Span, first: int, last: int) -> int | None:
        """A command in [first, last) that touches the span, or None."""
        part = slice(int(self.first[first]), int(self.first[last]))
        hits = np.flatnonzero((self.start[part] < span[1]) & (self.stop[part] > span[0]))
        return int(self.owner[part][hits[0]]) if len(hits) else None


def _table(stream: _Decoded, spans: Callable[[Footprint], tuple[Span, ...]]) -> _Table:
    rows = [(index, *span) for index, footprint in enumerate(stream.footprints) for span in spans(footprint)]
    array = np.array(rows, np.int64).reshape(-1, 3)
    first = np.searchsorted(array[:, 0], np.arange(len(stream.footprints) + 1))
    return _Table(array[:, 0], array[:, 1], array[:, 2], first)
