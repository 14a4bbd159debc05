"""Data movement through DMA alone: slices, pads, permutations, repetition, gathering and reversal between global tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import is_weight
from tpumlir_bm1684x.kernels.movement import keeps_zero, slice_ranges
from tpumlir_bm1684x.kernels.strided import LONGEST, dense_strides, strided_copy, strided_fill
from tpumlir_core.ir import Operation, WeightStore, top
from tpumlir_sophgo.kernel import EVERY_ELEMENT, GlobalCall, GlobalKernel, KernelRegistry
from tpumlir_sophgo.tensor import GlobalTensor


class Relocation(GlobalKernel):
    """Moves elements of its first operand; what else it takes says where from, and is read at compile time."""

    native = EVERY_ELEMENT

    def supports(self, op: Operation) -> str | None:
        return None if op.output.type.elements else "an empty result"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(range(1, len(op.operands)))


class SliceGlobal(Relocation):
    """Any slice, by strided transfers; an axis with a negative step row by row."""

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        source = call.operands[0]
        assert source is not None
        ranges = slice_ranges(op)
        strides = dense_strides(op.input.shape)
        indices = [np.arange(n) * step + first for n, (first, step) in zip(op.output.shape, ranges, strict=True)]
        copy_indexed(e, op, source.address, strides, indices, call.results[0].address)


class PadGlobal(Relocation):
    """Pads of any mode and rank: a constant around the operand, or rows of the operand again."""

    def takes(self, op: Operation) -> bool:
        return super().takes(op) and keeps_zero(op)

    def supports(self, op: Operation) -> str | None:
        assert isinstance(op, top.Pad)
        if min(*op.paddings, 0) < 0:
            return "a negative pad"
        return None if op.output.type.elements and op.input.type.elements else "an empty operand or result"

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Pad)
        source, out = call.operands[0], call.results[0]
        assert source is not None
        shape, element = op.input.shape, op.output.type.element
        before, after = op.paddings[: len(shape)], op.paddings[len(shape) :]
        if op.mode == "constant":
            strides = dense_strides(op.output.shape)
            first = sum(pad * stride for pad, stride in zip(before, strides, strict=True))
            strided_fill(e, element, op.output.type.elements, out.address, op.val)
            strided_copy(e, element, shape, out.address + first * element.bytes, strides, source.address, dense_strides(shape))
            return
        indices = [np.pad(np.arange(n), pads, op.mode) for n, *pads in zip(shape, before, after, strict=True)]
        copy_indexed(e, op, source.address, dense_strides(shape), indices, out.address)


def copy_indexed(
    e: Bm1684xEmitter, op: Operation, source: int, strides: Sequence[int], indices: Sequence[np.ndarray[Any, Any]], out: int
) -> None:
    """``out[i, j, ...] = source[indices[0][i], indices[1][j], ...]``: evenly spaced runs of indices in one transfer each."""
    shape = [len(i) for i in indices]
    out_strides = dense_strides(shape)
    element = op.output.type.element
    runs: list[list[tuple[int, int, int, int]]] = [_runs(i) for i in indices]  # (position, first, step, count)

    def descend(axis: int, a: int, b: int, sizes: list[int], from_: list[int], to: list[int]) -> None:
        if axis == len(runs):
            strided_copy(e, element, sizes, out + b * element.bytes, to, source + a * element.bytes, from_)
            return
        for position, first, step, count in runs[axis]:
            descend(
                axis + 1, a + first * strides[axis], b + position * out_strides[axis], [*sizes, count],
                [*from_, step * strides[axis]], [*to, out_strides[axis]],
            )

    descend(0, 0, 0, [], [], [])


def _runs(indices: np.ndarray[Any, Any]) -> list[tuple[int, int, int, int]]:
    """Evenly and upward spaced runs of an index list: (position, first index, step, count)."""
    runs: list[tuple[int, int, int, int]] = []
    at, total = 0, len(indices)
    while at < total:
        count, step = 1, 0
        if at + 1 < total and indices[at + 1] >= indices[at]:
            step = int(indices[at + 1] - indices[at])
            while at + count < total and indices[at + count] - indices[at + count - 1] == step:
                count += 1
        runs.append((at, int(indices[at]), step, count))
        at += count
    return runs


class PermuteGlobal(Relocation):
    """Any permutation of axes, by strided transfers."""

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Permute)
        assert call.operands[0] is not None
        strides = dense_strides(op.input.shape)
        order = [strides[i] for i in op.order]
        shape = [op.input.shape[i] for i in op.order]
        strided_copy(e, op.output.type.element, shape, call.results[0].address, dense_strides(shape), call.operands[0].address, order)


class RepeatGlobal(Relocation):
    """Tile and Expand: source strides of zero where an axis repeats."""

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        source = call.operands[0]
        assert source is not None
        target = op.output.shape
        shape = (*[1] * (len(target) - len(op.input.shape)), *op.input.shape)
        sizes: list[int] = []
        from_: list[int] = []
        for size, whole, stride in zip(shape, target, dense_strides(shape), strict=True):
            sizes += [whole // size, size]
            from_ += [0, stride]
        strided_copy(e, op.output.type.element, sizes, call.results[0].address, dense_strides(sizes), source.address, from_)


class GatherGlobal(GlobalKernel):
    """Gather along an axis with constant indices, by the DMA engine's gather command."""

    native = EVERY_ELEMENT

    def supports(self, op: Operation) -> str | None:
        if not is_weight(op.operands[1]):
            return "indices that are not constant"
        return None if op.output.type.elements else "an empty result"

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset({1})

    def constants(self, op: Operation, weights: WeightStore) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        assert isinstance(op, top.Gather)
        indices = op.operands[1]
        assert indices is not None
        values = weights[indices.name].astype(np.int64).reshape(-1)
        return (values % op.input.shape[op.axis]).astype(np.uint32).view(np.uint8)

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Gather)
        assert call.operands[0] is not None
        assert op.operands[1] is not None
        shape = op.input.shape
        axis = op.axis % len(shape)
        count, rows = op.operands[1].type.elements, shape[axis]
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
        element = op.output.type.element
        for c in range(0, outer, LONGEST):
            channels = min(LONGEST, outer - c)
            for w in range(0, inner, LONGEST):
                width = min(LONGEST, inner - w)
                a = call.operands[0].address + (c * rows * inner + w) * element.bytes
                b = call.results[0].address + (c * count * inner + w) * element.bytes
                source = GlobalTensor(a, (1, channels, rows, width), element, (0, rows * inner, inner, 1))
                out = GlobalTensor(b, (1, channels, count, width), element, (0, count * inner, inner, 1))
                e.gather_rows(out, source, call.constants, count)


class ReverseGlobal(GlobalKernel):
    """Reversal of an axis, row by row."""

    native = EVERY_ELEMENT

    def emit(self, op: Operation, call: GlobalCall, e: Bm1684xEmitter) -> None:
        assert isinstance(op, top.Reverse)
        assert call.operands[0] is not None
        indices = [np.arange(n) for n in op.input.shape]
        indices[op.axis] = indices[op.axis][::-1]
        copy_indexed(e, op, call.operands[0].address, dense_strides(op.input.shape), indices, call.results[0].address)


def register(registry: KernelRegistry) -> None:
    """Add the kernels of this family."""
    registry.add("tpu.Slice", SliceGlobal())
    registry.add("tpu.Pad", PadGlobal())
    registry.add("tpu.Permute", PermuteGlobal())
    registry.add("tpu.Tile tpu.Expand", RepeatGlobal())
    registry.add("tpu.Gather", GatherGlobal())
    registry.add("tpu.Reverse", ReverseGlobal())
