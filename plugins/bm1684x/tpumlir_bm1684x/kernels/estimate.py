"""Rough cycles by which kernels choose a view; the scheduler's cost model has the exact ones."""

from __future__ import annotations

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.kernels.common import F32
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.tensor import Shape4

MAX_SIZE = 65535  # of one axis of an instruction (16-bit fields)

_RUN = 256  # bytes that a shorter run of adjacent elements is paid as
_CHANNEL, _CHANNELS = 4096, 4  # global memory takes turns between channels every so many bytes
_BANDWIDTH = 50  # bytes a cycle, a load and a store averaged


def pass_cycles(shape: Shape4) -> int:
    """Cycles of one element-wise instruction over an F32 tensor."""
    n, c, h, w = shape
    return n * ceil_div(c, arch().lanes) * ceil_div(h * w * F32.bytes, arch().eu_bytes)


def transfer_cycles(shape: Shape4) -> int:
    """Cycles of moving an F32 tensor between global and local memory."""
    n, c, h, w = shape
    run = h * w * F32.bytes
    channels = min(ceil_div(n * c * run, _CHANNEL), _CHANNELS)
    return n * c * max(run, _RUN) * _CHANNELS // (channels * _BANDWIDTH)


def divisors(size: int) -> list[int]:
    """Divisors that an axis of an instruction can have, in order."""
    small = [d for d in range(1, int(size**0.5) + 1) if size % d == 0]
    return sorted(d for d in {*small, *(size // d for d in small)} if d <= MAX_SIZE)


def lane_factor(size: int, passes: int, inner: int = 1, outer: int = 1) -> int:
    """The divisor d of ``size`` for which outer * d channels of size / d * inner elements are loaded and gone over ``passes``
    times in the fewest cycles."""

    def cycles(d: int) -> int:
        shape = (1, outer * d, 1, size // d * inner)
        return transfer_cycles(shape) + passes * pass_cycles(shape)

    return min(divisors(size), key=cycles)
