"""Strided copies between global tensors of any rank, as few DMA commands as they take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import GlobalTensor

LONGEST = 65535  # largest size field of a DMA command


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Row-major element strides."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return strides


def strided_copy(
    e: Bm1684xEmitter, element: ElementType, shape: Sequence[int], out: int, out_strides: Sequence[int], source: int,
    source_strides: Sequence[int],
) -> None:
    """Copy ``shape`` elements from byte address ``source`` to ``out`` with element strides (0 repeats the source)."""
    dims = _merged([d for d in zip(shape, out_strides, source_strides, strict=True) if d[0] != 1])
    dims = [part for d in dims for part in _short(d)]
    if dims and 0 in dims[-1][1:]:
        dims.append((1, 1, 1))
    while len(dims) < 4:
        dims.insert(0, (1, 1, 1))  # CModel divides by the w strides, even of one element
    outer, inner = dims[:-4], dims[-4:]
    for index in product(*(range(d[0]) for d in outer)):
        a = sum(i * d[1] for i, d in zip(index, outer, strict=True)) * element.bytes
        b = sum(i * d[2] for i, d in zip(index, outer, strict=True)) * element.bytes
        size = (inner[0][0], inner[1][0], inner[2][0], inner[3][0])
        target = GlobalTensor(out + a, size, element, (inner[0][1], inner[1][1], inner[2][1], inner[3][1]))
        e.move(target, GlobalTensor(source + b, size, element, (inner[0][2], inner[1][2], inner[2][2], inner[3][2])))


def strided_fill(e: Bm1684xEmitter, element: ElementType, elements: int, out: int, value: float) -> None:
    """Fill a dense range with a constant."""
    done = 0
    while done < elements:
        width = min(LONGEST // 4 * 4, elements - done)
        rows = min((elements - done) // width, LONGEST)
        e.fill(GlobalTensor.dense(out + done * element.bytes, (1, 1, rows, width), element), value)
        done += rows * width


def _merged(dims: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Neighbouring axes joined where both sides walk through them in one stride."""
    joined: list[tuple[int, int, int]] = []
    for size, a, b in dims:
        if joined:
            outer, oa, ob = joined[-1]
            if oa == size * a and ob == size * b:
                joined[-1] = (outer * size, a, b)
                continue
        joined.append((size, a, b))
    return joined


def _short(dim: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """An axis too long for a size field, as two axes (and what cannot be divided as singles)."""
    size, a, b = dim
    if size <= LONGEST:
        return [dim]
    inner = next(i for i in range(LONGEST, 0, -1) if size % i == 0)
    return [*_short((size // inner, a * inner, b * inner)), (inner, a, b)]
