"""How many bytes a DMA command moves: its payload as it leaves its source, whatever the estimate of its cycles pays for it.

Equal to ``sz`` in the time lines of tpu-mlir 1.30.2 on 13,842 transfers of its bmodels, of every kind that occurs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from tpumlir_sophgo.isa import Format

_BYTES = {0: 1, 1: 2, 2: 4, 3: 2, 4: 4, 5: 2}  # by format code


def transferred_bytes(fmt: Format, values: Mapping[str, int]) -> int:
    """Bytes that a command of this format moves; 0 where it moves none, as the system commands and those of the TIU."""
    if fmt.engine != "dma" or fmt.name == "sDMA_sys":
        return 0
    return _elements(fmt, values) * _BYTES.get(values.get("src_format", 0), 1)


def _elements(fmt: Format, v: Mapping[str, int]) -> int:
    if fmt.name in ("DMA_gather", "DMA_scatter"):
        return max(1, v["index_csize"]) * max(1, v["index_hsize"]) * max(1, v["src_wsize"])
    if fmt.name.endswith("DMA_general"):
        return v["src_cstride"]
    if fmt.name == "sDMA_matrix":
        return v["global_hsize"] * v["global_wsize"]
    if fmt.name == "DMA_matrix":
        matrix = "dst" if v["dst_addr_h8"] else "src"
        return v[f"{matrix}_hsize"] * v[f"{matrix}_wsize"]
    side = "dst" if v.get("fill_constant") else "src"
    return prod(max(1, v.get(f"{side}_{axis}size", 1)) for axis in "nchw")
