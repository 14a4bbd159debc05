"""Strided copies between global tensors of any rank, as few DMA commands as they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import GlobalTensor

Dim = tuple[int, int, int]  # size and both element strides of an axis

LONGEST = 65535  # largest size field of a DMA command
SHORTEST_ROW = 256  # of elements into which an axis that is too long is better cut, rather than leave a rest


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
    for start, part in _parts(_merged([d for d in zip(shape, out_strides, source_strides, strict=True) if d[0] != 1])):
        _copy(e, element, part, out + start[0] * element.bytes, source + start[1] * element.bytes)


def _copy(e: Bm1684xEmitter, element: ElementType, dims: list[Dim], out: int, source: int) -> None:
    """Copy along axes that size fields can hold."""
    if dims and 0 in dims[-1][1:]:
        dims = [*dims, (1, 1, 1)]
    dims = [(1, 1, 1)] * (4 - len(dims)) + dims  # CModel divides by the w strides, even of one element
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


def _merged(dims: list[Dim]) -> list[Dim]:
    """Neighbouring axes joined where both sides walk through them in one stride."""
    joined: list[Dim] = []
    for size, a, b in dims:
        if joined:
            outer, oa, ob = joined[-1]
            if oa == size * a and ob == size * b:
                joined[-1] = (outer * size, a, b)
                continue
        joined.append((size, a, b))
    return joined


def _parts(dims: list[Dim]) -> Iterator[tuple[tuple[int, int], list[Dim]]]:
    """The axes with each that is too long for a size field as two, and what then is left of it in a part of its own, with where in
    ``out`` and source a part begins."""
    for position, (size, a, b) in enumerate(dims):
        if size > LONGEST:
            row = next((d for d in range(LONGEST, SHORTEST_ROW - 1, -1) if size % d == 0 and size // d <= LONGEST), LONGEST // 4 * 4)
            rows, rest = divmod(size, row)
            before, after = dims[:position], dims[position + 1 :]
            yield from _parts([*before, (rows, a * row, b * row), (row, a, b), *after])
            for start, part in _parts([*before, (rest, a, b), *after]) if rest else ():
                yield (start[0] + a * rows * row, start[1] + b * rows * row), part
            return
    yield (0, 0), dims
