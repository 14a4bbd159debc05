"""Single instructions on the bare emulator: tensors placed in local memory, commands run, what they wrote compared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import rows_by_lane
from tpumlir_bm1684x.footprint import footprint
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.emitter import Command
from tpumlir_sophgo.tensor import LocalTensor, Shape4
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.kernels import read_local, write_local

BF16 = ElementType.BF16


@dataclass
class Bench:
    """Local memory with a free address; tensors go to banks of their own. Commands go to ``e``, and ``read`` runs them."""

    machine: Machine
    free: int = 0
    e: Bm1684xEmitter = field(default_factory=Bm1684xEmitter.new)
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self) -> None:
        self.machine.fill()

    def draw(self, element: ElementType, *shape: int) -> Array:
        """Integers over the whole range with its ends, or normally distributed floats."""
        if element.is_float:
            return narrow(self.generator.standard_normal(shape).astype(np.float32), element)
        limits = np.iinfo(element.numpy)
        drawn = self.generator.integers(limits.min, limits.max, shape, element.numpy, endpoint=True)
        edges = [limits.min, limits.max, 0, 1, limits.max - 1, limits.min + 1][: drawn.size]
        drawn.reshape(-1)[: len(edges)] = edges
        return drawn

    def room(self, shape: Shape4, element: ElementType, lane: int = 0) -> LocalTensor:
        """Space in the standard layout."""
        tensor = LocalTensor.aligned(arch(), self.free, shape, element, lane)
        self.free = align(self.free + tensor.span, arch().bank_bytes)
        return tensor

    def put(self, data: Array, element: ElementType, lane: int = 0, compact: bool = False) -> LocalTensor:
        """An array in the standard layout, or compact."""
        n, c, h, w = data.shape
        make = LocalTensor.compact if compact else LocalTensor.aligned
        tensor = make(arch(), self.free, (n, c, h, w), element, lane)
        self.free = align(self.free + tensor.span, arch().bank_bytes)
        write_local(self.machine, tensor, data)
        return tensor

    def put_rows(self, rows: Array, lane: int = 0) -> int:
        """Rows to the lanes from ``lane`` on, one after the other, group after group; gives their address."""
        before = np.zeros((lane, rows.shape[1]), rows.dtype)
        data = rows_by_lane(np.concatenate([before, rows])).view(np.uint8)
        at = self.free
        self.machine.local[: len(data), at : at + data.shape[1]] = data
        self.free = align(at + data.shape[1], arch().bank_bytes)
        return at

    def read(self, out: LocalTensor) -> Array:
        """What ``out`` holds after the commands of ``e``; all that they change is what the independent check has them write."""
        before = self.machine.local.copy()
        self.machine.execute(self.e)
        changed = (self.machine.local != before).any(axis=0)
        for command in self.e.commands:
            known(command)
            for start, stop in footprint(command.format, _complete(command)).writes:
                changed[start:stop] = False
        assert not changed.any(), f"bytes {np.flatnonzero(changed)[:4]} of a lane changed unforeseen"
        self.e = Bm1684xEmitter.new()
        return read_local(self.machine, out)


def known(command: Command) -> None:
    """The builder's dependencies cover all that the independent check finds."""
    found = footprint(command.format, _complete(command))
    for spans, ranges in ((found.reads, command.reads), (found.writes, command.writes)):
        for start, stop in spans:
            whole = (start // arch().eu_bytes, -(-stop // arch().eu_bytes))
            covered = any(a // arch().eu_bytes <= whole[0] and whole[1] <= -(-b // arch().eu_bytes) for a, b in ranges)
            assert covered, f"{command.format.name} touches {start}..{stop}, its builder tells of {ranges}"


def _complete(command: Command) -> dict[str, int]:
    return {name: command.values.get(name, 0) for name in command.format.fields}


def wide(data: Array, element: ElementType) -> Array:
    """Floats as F32."""
    return (data.astype(np.uint32) << 16).view(np.float32) if element is BF16 else data.astype(np.float32)


def narrow(data: Array, element: ElementType) -> Array:
    """F32 as another float, rounded to even."""
    if element is not BF16:
        with np.errstate(over="ignore"):
            return data.astype(element.numpy)
    bits = data.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def windows(x: Array, sweep: Sweep, outside: float = 0) -> list[Array]:
    """What each tap of the kernel, row by row, sees of (n, c, h, w) for all results."""
    up, down, left, right = sweep.pads
    padded = np.pad(x, ((0, 0), (0, 0), (up, down), (left, right)), constant_values=outside)
    (kh, kw), (sh, sw), (dh, dw) = sweep.kernel, sweep.stride, sweep.dilation
    oh, ow = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1, (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    rows = [slice(i * dh, i * dh + sh * (oh - 1) + 1, sh) for i in range(kh)]
    columns = [slice(j * dw, j * dw + sw * (ow - 1) + 1, sw) for j in range(kw)]
    return [padded[:, :, row, column] for row in rows for column in columns]
