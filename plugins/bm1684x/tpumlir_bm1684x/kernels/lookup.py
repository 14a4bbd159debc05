"""Functions of 8-bit numbers by a table of 256 results (Lookup)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.lookup import ENTRIES
from tpumlir_bm1684x.kernels.common import Scratch, is_weight, needs_packing
from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views, default_view
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes


class LookupKernel(Kernel):
    """The table is loaded into one lane and broadcast to all."""

    def takes(self, op: Operation) -> bool:
        return op.input.type.element.bytes == 1

    def supports(self, op: Any) -> str | None:
        table = op.operands[1]
        return None if is_weight(table) and table.type.elements == ENTRIES else "a table that is computed, or not of 256 entries"

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        view = known[0] if known and known[0] is not None else default_view(op.output.shape)
        return Views((view, None), (view,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nchw"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1})

    def constants(self, op: Any, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        table = weights[op.operands[1].name].reshape(1, ENTRIES)
        return table.view("uint8")

    def constant_bytes(self, op: Any, views: Views, out: Box, weights: WeightStore) -> int:
        return ENTRIES * int(op.output.type.element.bytes)

    def scratch(self, op: Operation, tile: Tile) -> int:
        x, out = tile.operands[0], tile.results[0]
        assert x is not None
        packed = aligned_bytes(arch(), out.shape, x.element) if needs_packing(x, out.shape) else 0
        return aligned_bytes(arch(), (1, arch().lanes, 1, ENTRIES), out.element) + packed

    def emit(self, op: Operation, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out, s = tile.operands[0], tile.results[0], Scratch(tile.scratch)
        assert x is not None
        table = s.take((1, arch().lanes, 1, ENTRIES), out.element)
        e.lane_broadcast(table, LocalTensor.aligned(arch(), tile.constants, (1, 1, 1, ENTRIES), out.element))
        if needs_packing(x, out.shape):
            packed = s.take(out.shape, x.element)
            e.copy(packed, x)
            x = packed
        e.lookup(out, x, table)


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.Lookup", LookupKernel())
