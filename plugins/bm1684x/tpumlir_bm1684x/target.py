"""The BM1684X target."""

from __future__ import annotations

from functools import cache

from tpumlir_core.bmodel import CommandStreams
from tpumlir_sophgo.cost import Chip
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.streams import encode
from tpumlir_sophgo.target import SophgoTarget

from tpumlir_bm1684x.chip import arch, instruction_sets
from tpumlir_bm1684x.cost import Bm1684xCost
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import registry


class Bm1684xTarget(SophgoTarget):
    """BM1684X."""

    name = "bm1684x"
    runtime_name = "BM1684X"

    def chip(self) -> Chip:
        return Chip(arch(), Bm1684xEmitter.new, Bm1684xCost())

    def kernels(self) -> KernelRegistry:
        return _kernels()

    def streams(self, emitter: Emitter) -> list[CommandStreams]:
        sets = instruction_sets()
        tiu, dma = emitter.stream(Engine.TIU), emitter.stream(Engine.DMA)
        end = sets[Engine.TIU]["SYSID"]
        tiu_end = end.encode({"tsk_eu_typ": end.variants["end"], "cmd_id": len(tiu) + 1})
        dma_end = sets[Engine.DMA]["sDMA_sys"].encode({"cmd_id_en": 1, "cmd_id": len(dma) + 1})
        return [
            CommandStreams(
                _padded(encode(tiu) + tiu_end), len(tiu) + 1, _padded(encode(dma) + dma_end), len(dma) + 1,
            )
        ]


def _padded(stream: bytes) -> bytes:
    """A stream filled up to whole fetches of 128 bytes, as the runtime reads it (tpu-mlir 1.30.2's streams)."""
    return stream + bytes(-len(stream) % 128)


@cache
def _kernels() -> KernelRegistry:
    return registry()
