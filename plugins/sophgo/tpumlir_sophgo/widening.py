"""A kernel for F32 serves other precisions: operands are converted to F32 in local memory, results back to what is stored.

The chip's emitter brings two builders for it: ``widen(out, x, scaling)`` and ``narrow(out, x, scaling)``, with ``scaling`` =
(scale, zero point) of the stored numbers; ``narrow`` may overwrite ``x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tpumlir_core.ir import ElementType, Operation, TensorType, WeightStore
from tpumlir_core.lowering import retyped
from tpumlir_sophgo.arch import Arch, align
from tpumlir_sophgo.kernel import Kernel, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

WIDENED = frozenset({ElementType.F32, ElementType.F16, ElementType.BF16, ElementType.SI8, ElementType.UI8})
"""What can be converted; F32 stays as it is."""

_LEAST = {ElementType.SI8: -128, ElementType.UI8: 0}

_FITTING = 0.9  # share of a lane that the smallest tile may fill


def widens(op: Operation) -> bool:
    """Whether all that an operation reads and makes can be converted to F32 without loss."""
    return all(value is None or value.type.element in WIDENED for value in (*op.operands, *op.results))


class Widened(Kernel):
    """A kernel for one operation, with conversions around the F32 kernel that does its twin in F32."""

    def __init__(self, arch: Arch, kernel: Kernel, op: Operation) -> None:
        self._arch = arch
        self._inner = kernel
        twin: Any = retyped(op, _as_f32)
        if _saturation_rectifies(op):
            twin.do_relu = False
        self._twin: Operation = twin

    def takes(self, op: Operation) -> bool:
        return True

    def supports(self, op: Operation) -> str | None:
        reason = self._inner.supports(self._twin)
        if reason is not None:
            return reason
        views = self.views(op, [None] * len(op.operands))
        if views is not None and self._least_bytes(op, views) > _FITTING * self._arch.lane_bytes:
            return f"its smallest tile, converted from {op.output.type.element.value}, does not fit local memory"
        return None

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        return self._inner.views(self._twin, known)

    def splits(self, op: Operation, views: Views) -> str:
        return self._inner.splits(self._twin, views)

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        return self._inner.input_slices(self._twin, views, out)

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return self._inner.constant_operands(self._twin)

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        return self._inner.constants(self._twin, views, out, weights)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return self._inner.constant_bytes(self._twin, views, out, weights)

    def piece_axis(self, op: Operation, views: Views) -> int:
        return self._inner.piece_axis(self._twin, views)

    def piece_unit(self, op: Operation, views: Views) -> int:
        return max(self._inner.piece_unit(self._twin, views), super().piece_unit(op, views))

    def scratch(self, op: Operation, tile: Tile) -> int:
        wide = self._wide(tile)
        return wide.scratch - tile.scratch + self._inner.scratch(self._twin, wide)

    def emit(self, op: Operation, tile: Tile, e: Any) -> None:
        wide = self._wide(tile)
        for value, x, out in zip(op.operands, tile.operands, wide.operands, strict=True):
            if x is not None and out is not x:
                assert value is not None
                e.widen(out, x, value.type.scaling)
        self._inner.emit(self._twin, wide, e)
        for value, out, x in zip(op.results, tile.results, wide.results, strict=True):
            if out is not x:
                e.narrow(out, x, value.type.scaling)

    def _wide(self, tile: Tile) -> Tile:
        """The tile in F32: what is not is in the first bytes of its scratch, which begins behind them."""
        at = tile.scratch

        def wide(tensor: LocalTensor | None) -> LocalTensor | None:
            nonlocal at
            if tensor is None or tensor.element is ElementType.F32:
                return tensor
            found = LocalTensor.aligned(self._arch, at, tensor.shape, ElementType.F32, tensor.lane)
            at += align(found.span, self._arch.eu_bytes)
            return found

        operands = tuple(wide(tensor) for tensor in tile.operands)
        results = tuple(found for found in map(wide, tile.results) if found is not None)
        return replace(tile, operands=operands, results=results, scratch=at)

    def _least_bytes(self, op: Operation, views: Views) -> int:
        """Bytes a lane that the smallest tile takes: one element along every axis that can be cut, one of each lane along c."""
        splits, lanes = self.splits(op, views), self._arch.lanes
        size = [1 if name in splits else extent for name, extent in zip("nchw", views.results[0], strict=True)]
        size[1] = min(lanes, views.results[0][1]) if "c" in splits else size[1]
        out = Box((0, 0, 0, 0), (size[0], size[1], size[2], size[3]))
        boxes = self.input_slices(op, views, out)
        held = tuple(
            None if box is None or value is None else LocalTensor.aligned(self._arch, 0, box.size, value.type.element)
            for value, box in zip(op.operands, boxes, strict=True)
        )
        shapes = [out.size if view == views.results[0] else view for view in views.results]
        results = tuple(LocalTensor.aligned(self._arch, 0, s, r.type.element) for s, r in zip(shapes, op.results, strict=True))
        taken = sum(aligned_bytes(self._arch, t.shape, t.element) for t in (*held, *results) if t is not None)
        return taken + self.scratch(op, Tile(held, results, tuple(boxes), out, 0, 0))


def _saturation_rectifies(op: Any) -> bool:
    """Whether an unlimited ReLU that is fused to an operation needs nothing done: the least stored number stands for 0."""
    if not getattr(op, "do_relu", False) or op.relu_limit > 0 or len(op.results) != 1:
        return False
    element, (_, zero) = op.output.type.element, op.output.type.scaling
    return element in _LEAST and zero == _LEAST[element]


def _as_f32(type: TensorType) -> TensorType:
    return TensorType(type.shape)


def stored_as(element: ElementType) -> Any:
    """A change of types for ``retyped``: F32 becomes ``element``."""
    return lambda type: type.with_element(element) if type.element is ElementType.F32 else type

