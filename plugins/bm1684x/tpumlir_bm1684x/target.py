"""The BM1684X target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from tpumlir_bm1684x.chip import arch, instruction_sets
from tpumlir_bm1684x.cost import Bm1684xCost
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.footprint import footprint
from tpumlir_bm1684x.kernels import registry
from tpumlir_bm1684x.traffic import transferred_bytes
from tpumlir_core.bmodel import CommandStreams
from tpumlir_sophgo.check import Footprint
from tpumlir_sophgo.cost import Chip
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.isa import Format
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.streams import grouped
from tpumlir_sophgo.target import SophgoTarget


class Bm1684xTarget(SophgoTarget):
    """BM1684X."""

    name = "bm1684x"
    runtime_name = "BM1684X"

    def modes(self) -> Sequence[str]:
        return ("F32", "F16", "BF16", "INT8")

    def chip(self) -> Chip:
        return Chip(arch(), Bm1684xEmitter.new, Bm1684xCost(), Bm1684xEmitter.transpose)

    def kernels(self) -> KernelRegistry:
        return _kernels()

    def footprints(self, fmt: Format, values: Mapping[str, int]) -> Footprint:
        return footprint(fmt, values)

    def transferred_bytes(self, fmt: Format, values: Mapping[str, int]) -> int:
        return transferred_bytes(fmt, values)

    def streams(self, emitter: Emitter) -> list[CommandStreams]:
        sets = instruction_sets()
        end, dma_end = sets[Engine.TIU]["SYSID"], sets[Engine.DMA]["sDMA_sys"]
        found = []
        for group in grouped(emitter.commands, (1 << arch().id_bits) - 2):
            tiu, dma = group.count(Engine.TIU) + 1, group.count(Engine.DMA) + 1
            found.append(
                CommandStreams(
                    group.encode(Engine.TIU) + end.encode({"tsk_eu_typ": end.variants["end"], "cmd_id": tiu}), tiu,
                    group.encode(Engine.DMA) + dma_end.encode({"cmd_id_en": 1, "cmd_id": dma}), dma,
                )
            )
        return found


@cache
def _kernels() -> KernelRegistry:
    return registry()
