"""Cycles of BM1684X commands."""

from __future__ import annotations

from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.emitter import Command, Engine


class Bm1684xCost:
    """A first approximation: convolution and element-wise by lanes and execution units, DMA by bandwidth."""

    def cycles(self, command: Command) -> int:
        v = command.values
        if command.engine is Engine.DMA:
            size = v.get("src_nsize", 1) * v.get("src_csize", 1) * v.get("src_hsize", 1) * v.get("src_wsize", 1) * 4
            rows = v.get("src_nsize", 1) * v.get("src_csize", 1)
            return max(size // 50, rows * 19) + 50
        groups = v.get("res0_n", 1) * ceil_div(v.get("res0_c", 1), 64) * ceil_div(v.get("res0_h", 1) * v.get("res0_w", 1), 16)
        if command.format.name.endswith("CONV"):
            return groups * v["opd0_c"] * v["opd1_h"] * v["opd1_w"]
        return groups * 2 + 4
