"""Top dialect: views and rearrangements of data. No arithmetic; the element type passes through."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, SI32, Flag, I64s, PaddingMode, RoundMode
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import activate, array, axes_of, axis_of, broadcast, declared, moved, present, reject, scalar
from tpumlir_core.ir.types import TensorType


@op("top.Concat", "inputs*")
class Concat(Operation):
    """All operands one after the other along ``axis``."""

    axis: SI32 = 1
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    only_merge: Flag = False
    round_mode: RoundMode = "HalfAwayFromZero"

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        found = [present(self, types, position) for position in range(max(1, len(types)))]
        first = found[0].shape
        axis = axis_of(self, self.axis, len(first))
        for other in found[1:]:
            if len(other.shape) != len(first) or any(a != b for i, (a, b) in enumerate(zip(first, other.shape, strict=True)) if i != axis):
                reject(self, f"operand shapes {first} and {other.shape} differ beyond axis {axis}")
        total = sum(t.shape[axis] for t in found)
        return [moved(found[0], (*first[:axis], total, *first[axis + 1 :]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        joined = np.concatenate([array(inputs, i) for i in range(len(inputs))], self.axis)
        return [activate(joined, self.do_relu, self.relu_limit)]


@op("top.Split", "input", "outputs*")
class Split(Operation):
    """``num`` parts along ``axis``, of the extents ``split_size``; without it equal ones, the last the smaller."""

    axis: SI32
    num: I64
    split_size: I64s | None = None

    def sizes(self, extent: int) -> tuple[int, ...]:
        """Extents of the parts."""
        if self.num < 1 or (not self.split_size and self.num > max(extent, 1)):
            reject(self, f"num is {self.num}, for an axis of {extent}")
        step = -(-extent // self.num)
        sizes = self.split_size or (*(step,) * (self.num - 1), extent - step * (self.num - 1))
        if len(sizes) != self.num or sum(sizes) != extent or min(sizes) < 0:
            reject(self, f"{self.num} parts of {sizes} do not make up an axis of {extent}")
        return tuple(sizes)

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        axis = axis_of(self, self.axis, len(source.shape))
        return [moved(source, (*source.shape[:axis], size, *source.shape[axis + 1 :])) for size in self.sizes(source.shape[axis])]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        borders = np.cumsum(self.sizes(values.shape[self.axis]))[:-1]
        return [part.copy() for part in np.split(values, borders, self.axis)]


@op("top.Slice", "input,offsetT?,endsT?,stepsT?")
class Slice(Operation):
    """Every ``steps``-th element from ``offset`` to before ``ends`` along ``axes`` (none given: the leading axes), as ONNX clamps them."""

    offset: I64s
    steps: I64s
    ends: I64s
    axes: I64s = ()
    hasparamConvert_axes: I64s = ()

    def spans(self, shape: Sequence[int]) -> list[tuple[int, int, int]]:
        """(first index, step, count) of every axis of an operand with this shape."""
        axes = self.axes or tuple(range(len(self.offset)))
        if not len(axes) == len(self.offset) == len(self.steps) == len(self.ends):
            reject(self, "offset, steps, ends and axes differ in length")
        result = [(0, 1, extent) for extent in shape]
        for axis, start, end, step in zip(axes, self.offset, self.ends, self.steps, strict=True):
            place = axis_of(self, axis, len(shape))
            result[place] = self._span(shape[place], start, end, step)
        return result

    def _span(self, extent: int, start: int, end: int, step: int) -> tuple[int, int, int]:
        if step == 0:
            reject(self, "a step is 0")
        low, high = (0, extent) if step > 0 else (-1, extent - 1)
        first = min(max(start + extent if start < 0 else start, max(low, 0)), max(high, 0))
        last = min(max(end + extent if end < 0 else end, low), high)
        return first, step, max(0, -((first - last) // step))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if any(t is not None for t in types[1:]):
            return declared(self)
        return [moved(source, [count for _, _, count in self.spans(source.shape)])]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        if any(values is not None for values in inputs[1:]):
            reject(self, "offsets, ends and steps that are operands are not supported")
        values = array(inputs)
        for axis, (first, step, count) in enumerate(self.spans(values.shape)):
            stop = first + step * count
            values = values[(slice(None),) * axis + (slice(first, stop if stop >= 0 else None, step) if count else slice(0, 0),)]
        return [values.copy()]


@op("top.Reshape", "input,shapeT?")
class Reshape(Operation):
    """The same data under ``shape`` (0 keeps an extent, one -1 takes what is left), or flattened from ``flatten_start_dim`` on."""

    shape: I64s | None = None
    flatten_start_dim: I64 = -1

    def target(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The result's shape for an operand's shape, or None where no attribute tells."""
        if self.flatten_start_dim >= 0:
            return (*shape[: self.flatten_start_dim], math.prod(shape[self.flatten_start_dim :]))
        return None if self.shape is None else self._resolve(shape, self.shape)

    def _resolve(self, shape: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
        total = math.prod(shape)
        kept = [shape[i] if extent == 0 and i < len(shape) else extent for i, extent in enumerate(wanted)]
        known = math.prod(extent for extent in kept if extent != -1)
        result = tuple(total // known if extent == -1 and known else extent for extent in kept)
        if kept.count(-1) > 1 or min(result, default=0) < 0 or math.prod(result) != total:
            reject(self, f"{tuple(shape)} does not reshape to {tuple(wanted)}")
        return result

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        shape = self.target(source.shape)
        return declared(self) if shape is None else [moved(source, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        shape = self.target(values.shape)
        if shape is None:
            shape_tensor = inputs[1] if len(inputs) > 1 else None
            shape = self.output.shape if shape_tensor is None else self._resolve(values.shape, [int(n) for n in shape_tensor.ravel()])
        return [values.reshape(shape)]


class _View(Operation):
    """The same data under another shape, which ``shape_of`` tells."""

    def shape_of(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The result's shape for an operand's shape."""
        raise NotImplementedError(self.opcode)

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        return [moved(source, self.shape_of(source.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        return [values.reshape(self.shape_of(values.shape))]


@op("top.Flatten")
class Flatten(_View):
    """Axes ``start_dim`` to ``end_dim``, both included, become one."""

    start_dim: I64 = 0
    end_dim: I64 = -1

    def shape_of(self, shape: Sequence[int]) -> tuple[int, ...]:
        first, last = (axis_of(self, axis, len(shape)) for axis in (self.start_dim, self.end_dim))
        if first > last:
            reject(self, f"start_dim {self.start_dim} lies behind end_dim {self.end_dim}")
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


@op("top.Squeeze")
class Squeeze(_View):
    """Without ``axes``, which must have extent 1 (none given: all that have)."""

    axes: I64s
    is_scalar: Flag = False

    def shape_of(self, shape: Sequence[int]) -> tuple[int, ...]:
        axes = axes_of(self, self.axes, len(shape)) if self.axes else tuple(i for i, n in enumerate(shape) if n == 1)
        if any(shape[axis] != 1 for axis in axes):
            reject(self, f"axes {self.axes} of {tuple(shape)} are not all 1")
        return scalar(self, [n for axis, n in enumerate(shape) if axis not in axes], self.is_scalar)


@op("top.Unsqueeze")
class Unsqueeze(_View):
    """With new axes of extent 1 at the places ``axes`` of the result."""

    axes: I64s

    def shape_of(self, shape: Sequence[int]) -> tuple[int, ...]:
        rank = len(shape) + len(self.axes)
        axes = axes_of(self, self.axes, rank)
        if len(axes) != len(self.axes):
            reject(self, f"axes {self.axes} name one place twice")
        rest = iter(shape)
        return tuple(1 if axis in axes else next(rest) for axis in range(rank))


class _Permutation(Operation):
    """Axes in another order, which ``order_of`` tells."""

    def order_of(self, rank: int) -> tuple[int, ...]:
        """The operand's axis that every axis of the result is."""
        raise NotImplementedError(self.opcode)

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        return [moved(source, [source.shape[axis] for axis in self.order_of(len(source.shape))])]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        return [values.transpose(self.order_of(values.ndim)).copy()]


@op("top.Permute")
class Permute(_Permutation):
    """Axis i of the result is axis ``order``[i] of the operand (none given: all reversed)."""

    order: I64s

    def order_of(self, rank: int) -> tuple[int, ...]:
        order = tuple(axis_of(self, axis, rank) for axis in self.order) if self.order else tuple(reversed(range(rank)))
        if sorted(order) != list(range(rank)):
            reject(self, f"order {self.order} is no permutation of {rank} axes")
        return order


@op("top.Transpose")
class Transpose(_Permutation):
    """Axes ``dim0`` and ``dim1`` exchanged."""

    dim0: SI32
    dim1: SI32

    def order_of(self, rank: int) -> tuple[int, ...]:
        order = list(range(rank))
        first, second = axis_of(self, self.dim0, rank), axis_of(self, self.dim1, rank)
        order[first], order[second] = order[second], order[first]
        return tuple(order)


@op("top.Expand", "input,shapeT?")
class Expand(Operation):
    """Broadcast with ``shape`` (-1 keeps an extent)."""

    shape: I64s = ()

    def _shape(self, shape: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
        return broadcast(self, shape, [1 if extent == -1 else extent for extent in wanted])

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if not self.shape and len(types) > 1 and types[1] is not None:
            return declared(self)
        return [moved(source, self._shape(source.shape, self.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, given = array(inputs), inputs[1] if len(inputs) > 1 else None
        wanted = [int(n) for n in given.ravel()] if given is not None and not self.shape else self.shape
        return [np.broadcast_to(values, self._shape(values.shape, wanted)).copy()]


@op("top.Tile", "input,tileT?")
class Tile(Operation):
    """The operand repeated ``tile`` times along every axis (a longer ``tile`` adds leading axes)."""

    tile: I64s | None = None

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if self.tile is None:
            return declared(self)
        if len(self.tile) < len(source.shape) or min(self.tile, default=1) < 0:
            reject(self, f"tile {self.tile} does not suit {source.shape}")
        shape = (1,) * (len(self.tile) - len(source.shape)) + source.shape
        return [moved(source, [extent * times for extent, times in zip(shape, self.tile, strict=True)])]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        times = self.tile if self.tile is not None else tuple(int(n) for n in array(inputs, 1).ravel())
        return [np.tile(array(inputs), times)]


@op("top.Pad", "input,paddingsT?")
class Pad(Operation):
    """Padded by ``paddings`` (all begins, then all ends) with ``val``, or by ``mode`` with the operand's own values.

    With ``val`` negative paddings crop.
    """

    paddings: I64s
    val: F64 = 0.0
    mode: PaddingMode

    def widths(self, rank: int) -> list[tuple[int, int]]:
        """(begin, end) of every axis."""
        if len(self.paddings) != 2 * rank:
            reject(self, f"paddings has {len(self.paddings)} entries; {rank} axes need {2 * rank}, all begins then all ends")
        if self.mode != "constant" and min(self.paddings, default=0) < 0:
            reject(self, f"paddings {self.paddings} must not be negative in mode {self.mode}")
        return list(zip(self.paddings[:rank], self.paddings[rank:], strict=True))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if not self.paddings and len(types) > 1 and types[1] is not None:
            return declared(self)
        shape = [n + begin + end for n, (begin, end) in zip(source.shape, self.widths(len(source.shape)), strict=True)]
        if min(shape, default=1) < 1:
            reject(self, f"paddings {self.paddings} leave nothing of {source.shape}")
        return [moved(source, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        widths = self.widths(values.ndim)
        if not widths:
            return [values]
        outside = [(max(0, begin), max(0, end)) for begin, end in widths]
        if self.mode != "constant":
            return [np.pad(values, outside, mode=self.mode)]
        values = np.pad(values, outside, constant_values=values.dtype.type(self.val))
        crop = tuple(slice(max(0, -begin), n + min(0, end)) for n, (begin, end) in zip(values.shape, widths, strict=True))
        return [values[crop].copy()]
