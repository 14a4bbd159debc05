"""Reduction over any axes: a 4-D view in which every axis is wholly kept or wholly reduced, then folding."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import F32, Scratch
from tpumlir_bm1684x.kernels.estimate import lane_factor, pass_cycles, transfer_cycles
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes
from tpumlir_core.ir import Operation
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, Tile, Views
from tpumlir_sophgo.tensor import Box, Shape4, aligned_bytes

_FOLDS = {
    "ReduceSum": "add", "ReduceMean": "add", "ReduceL1": "add", "ReduceL2": "add", "ReduceMax": "max", "ReduceMin": "min",
    "ReduceProd": "mul",
}
_PASSES = 2  # times that folding goes over its operand, about
_CROSSING = 40  # cycles that folding across the lanes takes whatever the size, about
_BEFORE = ("ReduceL1", "ReduceL2")  # the modes that change the elements first
Pair = tuple[Shape4, Shape4]


def runs(shape: Sequence[int], axes: Sequence[int]) -> list[tuple[int, bool]]:
    """A shape as alternating runs (elements, reduced?) of its axes; axes of size 1 belong to any run."""
    reduced = set(axes)
    found: list[tuple[int, bool]] = []
    for i, size in enumerate(shape):
        if size == 1:
            continue
        if found and found[-1][1] == (i in reduced):
            found[-1] = (found[-1][0] * size, i in reduced)
        else:
            found.append((size, i in reduced))
    return found


def pairs_of(parts: list[tuple[int, bool]]) -> list[Pair]:
    """Candidate (operand view, result view) pairs for alternating runs; [] where four axes do not suffice."""
    flags = "".join("R" if r else "K" for _, r in parts)
    sizes = [s for s, _ in parts]
    if flags in ("", "K"):
        a = prod(sizes)
        c = lane_factor(a, _PASSES)
        return [((1, c, 1, a // c), (1, c, 1, a // c))]
    if flags in ("R", "KR"):
        outer, axis = (1, sizes[0]) if flags == "R" else sizes
        d = lane_factor(axis, _PASSES)
        return [((1, outer, 1, axis), (1, outer, 1, 1)), ((outer, d, 1, axis // d), (outer, 1, 1, 1))]
    if flags in ("RK", "KRK"):
        outer, axis, inner = (1, *sizes) if flags == "RK" else tuple(sizes)
        c = lane_factor(inner, _PASSES)
        return [
            ((1, outer, axis, inner), (1, outer, 1, inner)),
            ((outer * axis, c, 1, inner // c), (outer, c, 1, inner // c)),
            ((outer, axis, 1, inner), (outer, 1, 1, inner)),
        ]
    if flags == "RKR":
        a, k, b = sizes
        return [((a, k, 1, b), (1, k, 1, 1))]
    if flags in ("KRKR", "RKRK"):
        view = (sizes[0], sizes[1], sizes[2], sizes[3])
        kept = [1 if r else s for s, r in parts]
        return [(view, (kept[0], kept[1], kept[2], kept[3]))]
    return []


def pair_under(known: Shape4, shape: Sequence[int], axes: Sequence[int]) -> Pair | None:
    """The result view where an operand already has the view ``known`` and each of its axes is wholly kept or reduced."""
    if prod(known) != prod(shape):
        return None
    reduced = set(axes)
    result: list[int] = []
    i = 0
    for size in known:
        taken, flags = 1, set()
        while i < len(shape) and taken * shape[i] <= size:
            if shape[i] != 1:
                flags.add(i in reduced)
            taken *= shape[i]
            i += 1
        if taken != size or len(flags) > 1:
            return None
        result.append(1 if True in flags else size)
    return known, (result[0], result[1], result[2], result[3])


def cost(pair: Pair) -> int:
    """Rough cycles of folding one view to another, loads and stores included."""
    view, result = pair
    n, c, h, w = view
    cycles = transfer_cycles(view) + transfer_cycles(result)
    if result[1] == c:
        return cycles + _PASSES * pass_cycles(view)
    lanes = arch().lanes
    shape: Shape4 = (n, min(c, lanes), h if result[2] != 1 else 1, w if result[3] != 1 else 1)
    turned = (shape[0], shape[3], shape[2], shape[1])
    return cycles + _PASSES * pass_cycles((n, max(c - lanes, 0), h, w)) + (_PASSES + 1) * pass_cycles(turned) + _CROSSING


def smallest_tile(pair: Pair) -> int:
    """Bytes a lane of the smallest tile that keeps reduced axes whole."""
    view, result = pair
    part = [1 if v == r else v for v, r in zip(view, result, strict=True)]
    part[1] = min(view[1], arch().lanes) if view[1] == result[1] else view[1]
    part[0] = view[0] // result[0]
    shape = (part[0], part[1], part[2], part[3])
    out = (1, part[1] if view[1] == result[1] else 1, 1, 1)
    return 2 * aligned_bytes(arch(), shape, F32) + fold_bytes(shape, out)


class ReduceKernel(Kernel):
    """Sum, mean, maximum, minimum, product and the L1 and L2 norms over any axes."""

    def supports(self, op: Any) -> str | None:
        found = pairs_of(runs(op.input.shape, op.over(len(op.input.shape))))
        if not found:
            return f"axes {list(op.axes)} of {list(op.input.shape)} cannot be reduced at once"
        if min(map(smallest_tile, found)) > arch().lane_bytes:
            return f"axes {list(op.axes)} of {list(op.input.shape)} are too long for local memory"
        return None

    def views(self, op: Any, known: Sequence[Shape4 | None]) -> Views | None:
        shape = op.input.shape
        found = [p for p in pairs_of(runs(shape, op.over(len(op.input.shape)))) if smallest_tile(p) <= arch().lane_bytes]
        best = min(found, key=cost)
        if known[0] is not None:
            there = pair_under(known[0], shape, op.over(len(op.input.shape)))
            if there is not None and smallest_tile(there) <= arch().lane_bytes and cost(there) <= cost(best) + _round_trip(prod(shape)):
                best = there
        return Views((best[0],), (best[1],))

    def splits(self, op: Operation, views: Views) -> str:
        view, result = views.operands[0], views.results[0]
        assert view is not None
        return "".join(name for name, a, b in zip("nchw", view, result, strict=True) if b != 1 and (a == b or name == "n"))

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        view, result = views.operands[0], views.results[0]
        assert view is not None
        box = Box.whole(view)
        length = view[0] // result[0]
        box = box.with_axis(0, out.start[0] * length, out.size[0] * length)
        for axis in (1, 2, 3):
            if view[axis] == result[axis]:
                box = box.with_axis(axis, out.start[axis], out.size[axis])
        return [box]

    def scratch(self, op: Any, tile: Tile) -> int:
        x = tile.operands[0]
        assert x is not None
        before = aligned_bytes(arch(), x.shape, F32) if op.mode in _BEFORE else 0
        root = aligned_bytes(arch(), tile.results[0].shape, F32) if op.mode == "ReduceL2" else 0
        return before + root + fold_bytes(x.shape, tile.results[0].shape)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out = tile.operands[0], tile.results[0]
        assert x is not None
        s = Scratch(tile.scratch)
        if op.mode in _BEFORE:
            source, x = x, s.take(x.shape)
            if op.mode == "ReduceL1":
                e.unary("abs", x, source)
            else:
                e.binary("mul", x, source, source)
        fold(e, _FOLDS[op.mode], out, x, s)
        if op.mode == "ReduceMean":
            e.binary("mul", out, out, op.output.type.elements / op.input.type.elements)
        elif op.mode == "ReduceL2":
            root = s.take(out.shape)
            e.reciprocal_sqrt(root, out)
            e.binary("mul", out, out, root)


def _round_trip(elements: int) -> int:
    """Cycles of a store and a load of that many elements."""
    return 2 * transfer_cycles((1, 1, 1, elements))


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.Reduce", ReduceKernel())
