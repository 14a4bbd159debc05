"""Cycles of DMA commands, as SOPHGO's own estimator counts them.

Read off the timelines of tpu-mlir 1.30.2 (samples: ``tests/bm1684x/test_cost.py``; the rules in words: ``docs/profile.md``).
Three things make a transfer slower than its bytes: a run of adjacent elements is paid as 256 bytes at least; global memory has
four channels that take turns every 4096 bytes, and a transfer whose runs all start in one of them gets a quarter of the
bandwidth; a store is slower than a load.
"""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_sophgo.isa import Format

GLOBAL_START = 0x1000_0000  # addresses below are local or static memory; the SRAM of the chip counts as global
RUN = 256  # bytes that the shortest run of adjacent elements is paid as
CHANNEL = 4096  # bytes until the next channel of global memory
CHANNELS = 4
# Bytes a cycle by (source is global, destination is global).
_BANDWIDTH = {(True, False): 58, (False, True): 44, (True, True): 28, (False, False): 28}
_FILL_BANDWIDTH, _PLAIN_BANDWIDTH = 58, 64
# What a moved tensor takes in the estimate is bytes of 2**30 a second at 10**9 cycles a second; other commands: 10**9.
_GIB, _GB = 1 << 30, 10**9
_BYTES = {0: 1, 1: 2, 2: 4, 3: 2, 4: 4, 5: 2}


def transfer_cycles(fmt: Format, v: Mapping[str, int]) -> int:
    """Cycles of a transfer of this format with these field values, one at least; 0 for commands of the engine itself."""
    if fmt.name == "sDMA_sys":
        return 0
    if fmt.name in _PLAIN:
        return max(1, _PLAIN[fmt.name](v) * _size(v) // _PLAIN_BANDWIDTH)
    if v.get("fill_constant"):
        return max(1, _filled_bytes(v) // _FILL_BANDWIDTH)
    route = (_is_global(v, "src"), _is_global(v, "dst"))
    if fmt.name.endswith("DMA_matrix"):
        return max(1, _matrix_bytes(fmt, v, route[0]) // _BANDWIDTH[route])
    if fmt.variant_name(v) == "broadcast":
        n, _, h, w = _extents(v, "src")
        run, runs = _runs(v, (n, 1, h, w), ("src",))
        return max(1, runs * max(RUN, run) // _BANDWIDTH[route])
    return max(1, _tensor_bytes(v, route, fmt.variant_name(v) == "transpose") * _GIB // (_BANDWIDTH[route] * _GB))


def _is_global(v: Mapping[str, int], side: str) -> bool:
    return v.get(f"{side}_addr_l32", 0) + (v.get(f"{side}_addr_h8", 0) << 32) >= GLOBAL_START


def _size(v: Mapping[str, int]) -> int:
    return _BYTES[v.get("src_format", 2)]


def _extents(v: Mapping[str, int], side: str) -> tuple[int, int, int, int]:
    n, c, h, w = (max(1, v.get(f"{side}_{axis}size", 1)) for axis in "nchw")
    return n, c, h, w


def _gathered(v: Mapping[str, int]) -> int:
    return max(1, v["index_csize"]) * max(1, v["index_hsize"]) * max(1, v["src_wsize"])


def _moved(v: Mapping[str, int]) -> int:
    n, c, h, w = _extents(v, "src")
    return n * c * h * w


def _general(v: Mapping[str, int]) -> int:
    return v["src_cstride"] * max(1, v.get("dst_csize", 1))


def _filled_bytes(v: Mapping[str, int]) -> int:
    run, runs = _runs(v, _extents(v, "dst"), ("dst",))
    return runs * max(RUN, run)


def _matrix_bytes(fmt: Format, v: Mapping[str, int], loads: bool) -> int:
    """The part of a row that goes to one lane is paid as 256 bytes at least; transposing costs a third more."""
    size = _size(v)
    if fmt.name.startswith("s"):
        matrix, local = "global", "local"
    else:
        matrix, local = ("src", "dst") if loads else ("dst", "src")
    part = max(1, v[f"{local}_wsize"] * size)
    paid = v[f"{matrix}_hsize"] * v[f"{matrix}_wsize"] * size * max(RUN, part) // part
    return paid * 4 // 3 if fmt.variant_name(v) == "transpose" else paid


def _runs(v: Mapping[str, int], extents: tuple[int, int, int, int], sides: tuple[str, ...]) -> tuple[int, int]:
    """(bytes of a run, how many): adjacent elements on every side named; rows join where h follows without a gap."""
    n, c, h, w = extents
    size = _size(v)
    if any(v.get(f"{side}_wstride", 1) > 1 for side in sides) and w > 1:
        return size, n * c * h * w
    if all(v.get(f"{side}_hstride", w) == w for side in sides):
        return h * w * size, n * c
    return w * size, n * c * h


def _tensor_bytes(v: Mapping[str, int], route: tuple[bool, bool], transposes: bool) -> int:
    sides = tuple(side for side, is_global in zip(("src", "dst"), route, strict=True) if is_global)
    extents = _extents(v, "src")
    run, runs = _runs(v, extents, sides or ("src", "dst"))
    paid = runs * max(RUN, run)
    for side in sides:
        n, c, h, w = extents
        swapped = side == "dst" and transposes
        paid = paid * CHANNELS // _channels_used(v, (c, n, h, w) if swapped else extents, side)
    return paid


def _channels_used(v: Mapping[str, int], extents: tuple[int, int, int, int], side: str) -> int:
    """Channels that the runs of one side touch in the first 16 KiB from the address of the transfer."""
    size = _size(v)
    run, _ = _runs(v, extents, (side,))
    if run > (CHANNELS - 1) * CHANNEL:
        return CHANNELS
    joined = run > size * extents[3] or extents[2] == 1
    dense, starts = 0, [0]
    for axis, count in zip("nc" if joined else "nch", extents, strict=False):
        stride = v.get(f"{side}_{axis}stride", 0) * size
        if count > 1 and stride <= CHANNEL:
            dense += (count - 1) * stride
        elif count > 1:
            near = range(min(count, -(-CHANNELS * CHANNEL // stride)))
            starts = [start + index * stride for start in starts for index in near]
    parts = -(-run // CHANNEL)
    if len(starts) == 1:
        return min(CHANNELS, dense // CHANNEL + parts)
    touched: set[int] = set()
    for start in starts:
        touched.update(range(start // CHANNEL, min(CHANNELS, (start + dense) // CHANNEL + parts)))
    return len(touched)


# Elements of the commands that are paid by their bytes alone (the emulator's atomic_gdma_*_get_profile, called).
_PLAIN = {
    "DMA_gather": _gathered, "DMA_scatter": _gathered, "DMA_cw_transpose": _moved, "DMA_general": _general, "sDMA_general": _general,
}
