"""Cycles of DMA commands."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_sophgo.isa import Format

_BYTES = {0: 1, 1: 2, 2: 4, 3: 2, 4: 4, 5: 2}
LOAD_BANDWIDTH = 54.05  # bytes a cycle


def transfer_cycles(fmt: Format, v: Mapping[str, int]) -> int:
    """Cycles of a transfer: bytes over bandwidth, short rows at the price of long ones."""
    size = _BYTES[v.get("src_format", 2)]
    n, c = max(1, v.get("src_nsize", 1)), max(1, v.get("src_csize", 1))
    h, w = max(1, v.get("src_hsize", 1)), max(1, v.get("src_wsize", 1))
    row = h * w * size
    return max(4, int(n * c * (-(-row // 256) * 256) / LOAD_BANDWIDTH))
