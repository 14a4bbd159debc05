"""Top dialect: selection and placement by indices, and tensors made from shapes. Indices are whole numbers, of any element type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I32, I64, SI32, Flag
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import array, axis_of, declared, moved, present, reject, scalar
from tpumlir_core.ir.types import ElementType, TensorType


def whole(operation: Operation, indices: Array, extent: int) -> Array:
    """Indices as integers, negative ones counted from the end of ``extent``. Raises InputError where one lies outside."""
    numbers = np.rint(indices).astype(np.int64)
    if numbers.size and not -extent <= numbers.min() <= numbers.max() < extent:
        reject(operation, f"indices reach from {numbers.min()} to {numbers.max()}, outside an axis of {extent}")
    return np.where(numbers < 0, numbers + extent, numbers)


def _fits(indices: Sequence[int], source: Sequence[int], axis: int) -> bool:
    """Whether indices of one shape lie within a tensor of another in every axis but ``axis``, where their values count."""
    return len(indices) == len(source) and all(a <= b for i, (a, b) in enumerate(zip(indices, source, strict=True)) if i != axis)


@op("top.Gather", "input,indices")
class Gather(Operation):
    """The slices of ``axis`` that ``indices`` name, whose axes stand in its place; without ``keepdims`` one index, and no axis."""

    keepdims: Flag = True
    axis: SI32 = 0
    is_scalar: Flag = False
    is_lora: Flag = False

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, indices = present(self, types), present(self, types, 1)
        axis = axis_of(self, self.axis, len(source.shape))
        if not self.keepdims and indices.elements != 1:
            reject(self, f"keepdims is off, but there are {indices.elements} indices")
        middle = indices.shape if self.keepdims else ()
        shape = (*source.shape[:axis], *middle, *source.shape[axis + 1 :])
        return [moved(source, scalar(self, shape, self.is_scalar))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        indices = whole(self, array(inputs, 1), values.shape[self.axis])
        result = np.asarray(np.take(values, indices if self.keepdims else indices.reshape(()), self.axis))
        return [result.reshape(1) if self.is_scalar else result]


@op("top.GatherElements", "input,indices")
class GatherElements(Operation):
    """For every place in ``indices``, the element of the input at that place, but along ``axis`` at the index."""

    axis: I64 = 2

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, indices = present(self, types), present(self, types, 1)
        axis = axis_of(self, self.axis, len(source.shape))
        if not _fits(indices.shape, source.shape, axis):
            reject(self, f"indices {indices.shape} do not fit into {source.shape} beyond axis {axis}")
        return [moved(source, indices.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, indices = array(inputs), array(inputs, 1)
        axis = self.axis % values.ndim
        inside = tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(indices.shape))
        return [np.take_along_axis(values[inside], whole(self, indices, values.shape[axis]), axis)]


@op("top.GatherND", "input,indices")
class GatherND(Operation):
    """The slices that the last axis of ``indices`` names, after ``batch_dims`` common leading axes."""

    indice_dims: I64 | None = None
    batch_dims: I64 = 0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, indices = present(self, types), present(self, types, 1)
        rank = len(indices.shape)
        if not 0 <= self.batch_dims < rank or indices.shape[-1] + self.batch_dims > len(source.shape):
            reject(self, f"indices {indices.shape} behind {self.batch_dims} common axes do not suit {source.shape}")
        if indices.shape[: self.batch_dims] != source.shape[: self.batch_dims]:
            reject(self, f"input {source.shape} and indices {indices.shape} differ in their first {self.batch_dims} axes")
        return [moved(source, (*indices.shape[:-1], *source.shape[self.batch_dims + indices.shape[-1] :]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, indices = array(inputs), array(inputs, 1)
        batch = indices.shape[: self.batch_dims]
        grids = np.indices((*batch, *(1,) * (indices.ndim - 1 - self.batch_dims)))[: self.batch_dims]
        picks = [whole(self, indices[..., i], values.shape[self.batch_dims + i]) for i in range(indices.shape[-1])]
        shape = (*indices.shape[:-1], *values.shape[self.batch_dims + len(picks) :])
        return [np.asarray(values[(*grids, *picks)]).reshape(shape)]


@op("top.ScatterElements", "input,indices,updates")
class ScatterElements(Operation):
    """The input with ``updates`` written at their places, but along ``axis`` at the index."""

    axis: I64
    reduction: I64 = 0
    nc_can_split: Flag = False

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, indices, updates = (present(self, types, i) for i in range(3))
        axis = axis_of(self, self.axis, len(source.shape))
        if self.reduction:
            reject(self, f"reduction {self.reduction} is not supported")
        if indices.shape != updates.shape or not _fits(indices.shape, source.shape, axis):
            reject(self, f"indices {indices.shape} and updates {updates.shape} do not suit {source.shape}")
        return [moved(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        result, indices = array(inputs).copy(), array(inputs, 1)
        places: list[Array] = list(np.indices(indices.shape, sparse=True))
        places[self.axis] = whole(self, indices, result.shape[self.axis])
        result[tuple(places)] = array(inputs, 2)
        return [result]


@op("top.ScatterND", "input_data,indices,updates")
class ScatterND(Operation):
    """The input with ``updates`` written over the slices that the last axis of ``indices`` names."""

    reduction: I32 = 0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, indices, updates = (present(self, types, i) for i in range(3))
        if self.reduction:
            reject(self, f"reduction {self.reduction} is not supported")
        wanted = (*indices.shape[:-1], *source.shape[indices.shape[-1] :]) if indices.shape else None
        if updates.shape != wanted or indices.shape[-1] > len(source.shape):
            reject(self, f"indices {indices.shape} and updates {updates.shape} do not suit {source.shape}")
        return [moved(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        result, indices = array(inputs).copy(), array(inputs, 1)
        result[tuple(whole(self, indices[..., i], result.shape[i]) for i in range(indices.shape[-1]))] = array(inputs, 2)
        return [result]


@op("top.Shape")
class Shape(Operation):
    """The operand's extents, as Python slices them by ``start``, ``end`` and ``step``."""

    start: I64 | None = None
    end: I64 | None = None
    step: I64 | None = None

    def _extents(self, shape: Sequence[int]) -> list[int]:
        if self.step == 0:
            reject(self, "step is 0")
        return list(shape)[self.start : self.end : self.step]

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return [TensorType((len(self._extents(present(self, types).shape)),), ElementType.F32)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.array(self._extents(array(inputs).shape), np.float32)]


@op("top.Size")
class Size(Operation):
    """The operand's extents, or the one of ``axis``."""

    axis: SI32 | None = None

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        rank = len(present(self, types).shape)
        if self.axis is not None:
            axis_of(self, self.axis, rank)
        return [TensorType((rank if self.axis is None else 1,), ElementType.F32)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        shape = array(inputs).shape
        return [np.array(shape if self.axis is None else [shape[self.axis]], np.float32)]


@op("top.ConstantFill")
class ConstantFill(Operation):
    """A tensor full of ``value``; the operand holds its shape."""

    value: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return declared(self)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.full([int(n) for n in array(inputs).ravel()], self.value, np.float32)]


@op("top.Range", "start?,limit,delta?")
class Range(Operation):
    """``start`` (0), ``start`` + ``delta`` (1), ... as long as that lies before ``limit``."""

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return declared(self)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        start, limit, delta = (None if i >= len(inputs) else inputs[i] for i in range(3))
        assert limit is not None
        first, step = (default if given is None else given.item() for given, default in ((start, 0), (delta, 1)))
        return [np.arange(first, limit.item(), step).astype(np.float32)]


@op("top.Arange", "start?,end,step?")
class Arange(Range):
    """``start`` (0), ``start`` + ``step`` (1), ... as long as that lies before ``end``."""
