"""Slices, selections, gathering and scattering."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, top
from tpumlir_torch.converters.logic import selected
from tpumlir_torch.converters.movement import expanded, reshaped
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axes_of, axis_of
from tpumlir_torch.tensor import Ints, Operand, Tensor


def slice_(im: Importer, self: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    axis = axis_of(dim, self.rank)
    if not self.rank or step < 1:
        raise InputError(f"a slice of shape {list(self.shape)} with step {step}")
    low, high, _ = slice(start, end, 1).indices(self.shape[axis])
    if low >= high:
        raise im.refusal("an empty result")
    if (low, high, step) == (0, self.shape[axis], 1):
        return self
    return im.emit(top.Slice, [self], axes=(axis,), offset=(low,), steps=(step,), ends=(high,))


def narrow(im: Importer, self: Tensor, dim: int, start: int, length: int) -> Tensor:
    extent = self.shape[axis_of(dim, self.rank)] if self.rank else 0
    first = start + extent if start < 0 else start
    if not 0 <= first <= first + length <= extent:
        raise InputError(f"{length} elements from {start} of an axis of {extent}")
    return slice_(im, self, dim, first, first + length)


def select(im: Importer, self: Tensor, dim: int, index: int) -> Tensor:
    axis = axis_of(dim, self.rank)
    if not self.rank or not -self.shape[axis] <= index < self.shape[axis]:
        raise InputError(f"index {index} of axis {axis} of shape {list(self.shape)}")
    at = index % self.shape[axis]
    row = im.step("row", top.Slice, [self], axes=(axis,), offset=(at,), steps=(1,), ends=(at + 1,))
    return im.emit(top.Squeeze, [row], axes=(axis,)) if self.rank > 1 else im.emit(top.Reshape, [row], shape=())


def indices_of(im: Importer, indices: Tensor, extent: int) -> Tensor:
    """Indices counted from the front. Raises InputError where constant ones lie outside [-extent, extent)."""
    constant = im.constant(indices)
    if constant is None:
        return indices
    if constant.size and not (-extent <= constant.min() and constant.max() < extent):
        raise InputError(f"indices outside an axis of {extent}")
    return im.array(np.where(constant < 0, constant + extent, constant), indices.dtype, "indices") if constant.min() < 0 else indices


def taken(im: Importer, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """The elements at some indices along an axis, the axes of ``indices`` in its place."""
    return im.emit(top.Gather, [x, indices_of(im, indices, x.shape[axis])], axis=axis, keepdims=bool(indices.rank))


def embedding(
    im: Importer, weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    return taken(im, weight, indices, 0)


def index_select(im: Importer, self: Tensor, dim: int, index: Tensor) -> Tensor:
    return taken(im, self, reshaped(im, index, (-1,), "vector"), axis_of(dim, self.rank))


def take(im: Importer, self: Tensor, index: Tensor) -> Tensor:
    return taken(im, reshaped(im, self, (-1,), "flat"), index, 0)


def gather(im: Importer, self: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> Tensor:
    axis = axis_of(dim, self.rank)
    return im.emit(top.GatherElements, [self, indices_of(im, index, self.shape[axis])], axis=axis)


def take_along_dim(im: Importer, self: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    if dim is None:
        return gather(im, reshaped(im, self, (-1,), "flat"), 0, reshaped(im, indices, (-1,), "vector"))
    axis = axis_of(dim, self.rank)
    shape = [n if i != axis else indices.shape[axis] for i, n in enumerate(np.broadcast_shapes(
        tuple(n if i != axis else 1 for i, n in enumerate(self.shape)), tuple(n if i != axis else 1 for i, n in enumerate(indices.shape))
    ))]
    return gather(im, self, dim, expanded(im, indices, shape))


def index(im: Importer, self: Tensor, indices: tuple[Tensor | None, ...]) -> Tensor:
    """Index tensors for some axes: one is a gather, several that lie together and broadcast one gather of tuples."""
    used = [(axis, t) for axis, t in enumerate(indices) if t is not None]
    if not used:
        return self
    if any(t.dtype in ("bool", "uint8") for _, t in used):
        return _by_mask(im, self, used)
    axes = [axis for axis, _ in used]
    if axes[-1] >= self.rank:
        raise InputError(f"{len(indices)} indices for a tensor of rank {self.rank}")
    if len(used) == 1:
        return taken(im, self, used[0][1], axes[0])
    return _by_tuples(im, self, axes, [indices_of(im, t, self.shape[axis]) for axis, t in used])


def _by_mask(im: Importer, x: Tensor, used: Sequence[tuple[int, Tensor]]) -> Tensor:
    """A constant mask says which elements are taken."""
    if len(used) > 1:
        raise im.refusal("several masks")
    axis, mask = used[0]
    array = im.required(mask, "mask, which leaves a result whose shape depends on the data")
    if x.shape[axis : axis + mask.rank] != mask.shape:
        raise InputError(f"a mask of shape {list(mask.shape)} for shape {list(x.shape)}")
    flat = reshaped(im, x, (*x.shape[:axis], math.prod(mask.shape), *x.shape[axis + mask.rank :]), "flat")
    places = np.flatnonzero(array)
    if not places.size:
        raise im.refusal("an empty result")
    return taken(im, flat, im.array(places, "int64", "places"), axis)


def _by_tuples(im: Importer, x: Tensor, axes: Sequence[int], indices: Sequence[Tensor]) -> Tensor:
    shape = np.broadcast_shapes(*(t.shape for t in indices))
    front = [*axes, *(i for i in range(x.rank) if i not in axes)]
    moved = x if front == list(range(x.rank)) else im.step("front", top.Permute, [x], order=tuple(front))
    columns = [reshaped(im, expanded(im, t, shape), (*shape, 1), f"column{i}") for i, t in enumerate(indices)]
    picked = im.emit(top.GatherND, [moved, im.step("tuples", top.Concat, columns, axis=len(shape))], batch_dims=0)
    if list(axes) != list(range(axes[0], axes[0] + len(axes))) or not axes[0]:
        return picked
    # Indices that lie together leave their axes where they are.
    order = [*range(len(shape), len(shape) + axes[0]), *range(len(shape)), *range(len(shape) + axes[0], picked.rank)]
    return im.emit(top.Permute, [picked], order=tuple(order))


def index_put(
    im: Importer, self: Tensor, indices: tuple[Tensor | None, ...], values: Tensor, accumulate: bool = False, unsafe: bool = False
) -> Tensor:
    if accumulate:
        raise im.refusal("accumulate")
    used = [(axis, t) for axis, t in enumerate(indices) if t is not None]
    if len(used) == 1 and used[0][1].dtype == "bool":
        axis, mask = used[0]
        if values.rank > 0 and values.shape != (1,):
            raise im.refusal("a mask and several values")
        shape = (*mask.shape, *(1,) * (self.rank - axis - mask.rank))
        return selected(im, reshaped(im, mask, shape, "mask"), values, self, self.dtype)
    if [axis for axis, _ in used] != list(range(len(used))):
        raise im.refusal("indices of axes that are not the first ones")
    common = np.broadcast_shapes(*(t.shape for _, t in used))
    columns = [reshaped(im, expanded(im, indices_of(im, t, self.shape[a]), common), (*common, 1), f"column{a}") for a, t in used]
    tuples = columns[0] if len(columns) == 1 else im.step("tuples", top.Concat, columns, axis=len(common))
    updates = expanded(im, values, (*common, *self.shape[len(used) :]))
    return im.emit(top.ScatterND, [self, tuples, updates], reduction=0)


def scatter(im: Importer, self: Tensor, dim: int, index: Tensor, src: Operand | None = None, value: Operand | None = None,
            reduce: str | None = None) -> Tensor:
    if reduce is not None:
        raise im.refusal("reduce")
    given = src if src is not None else value
    if given is None:
        raise InputError("neither src nor value is given")
    axis = axis_of(dim, self.rank)
    updates = im.tensor(given, self.dtype)
    if updates.shape != index.shape:
        updates = _part(im, updates, index.shape) if updates.rank == index.rank else expanded(im, updates, index.shape)
    return im.emit(top.ScatterElements, [self, indices_of(im, index, self.shape[axis]), updates], axis=axis, reduction=0)


def _part(im: Importer, x: Tensor, shape: Sequence[int]) -> Tensor:
    """The leading elements along every axis."""
    return im.step("part", top.Slice, [x], offset=(0,) * x.rank, steps=(1,) * x.rank, ends=tuple(shape))


def slice_scatter(
    im: Importer, self: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    from tpumlir_torch.inplace import replaced

    axis = axis_of(dim, self.rank)
    low, high, _ = slice(start, end, 1).indices(self.shape[axis])
    if step != 1:
        raise im.refusal("a step")
    return replaced(im, self, expanded(im, src, (*self.shape[:axis], high - low, *self.shape[axis + 1 :])), axis, low)


def select_scatter(im: Importer, self: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    from tpumlir_torch.inplace import replaced

    axis = axis_of(dim, self.rank)
    return replaced(im, self, im.step("row", top.Unsqueeze, [src], axes=(axis,)), axis, index % self.shape[axis])


def constant_pad(im: Importer, self: Tensor, pad: Ints, value: float = 0.0) -> Tensor:
    return padded(im, self, pad, "constant", value)


def _pad_as(mode: str) -> Converter:
    def convert(im: Importer, self: Tensor, padding: Ints) -> Tensor:
        return padded(im, self, padding, mode)

    return convert


def pad(im: Importer, self: Tensor, pad: Ints, mode: str = "constant", value: float | None = None) -> Tensor:
    if mode not in _PAD_MODES:
        raise InputError(f"mode '{mode}' is unknown")
    return padded(im, self, pad, _PAD_MODES[mode], value or 0.0)


_PAD_MODES: Mapping[str, str] = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(im: Importer, x: Tensor, pad: Ints, mode: str, value: float = 0.0) -> Tensor:
    """Padding as PyTorch lists it: begin and end of the last axis, then of the one before; negative ones crop."""
    if len(pad) % 2 or len(pad) > 2 * x.rank:
        raise InputError(f"padding {list(pad)} for shape {list(x.shape)}")
    free = x.rank - len(pad) // 2
    begins = [0] * free + list(pad[-2::-2])
    ends = [0] * free + list(pad[-1::-2])
    im.check_size([max(0, b + n + e) for b, n, e in zip(begins, x.shape, ends, strict=True)])
    if mode == "wrap":
        return _wrapped(im, x, begins, ends)
    if min((*begins, *ends), default=0) < 0:
        x = _cropped(im, x, begins, ends)
        begins, ends = [max(0, b) for b in begins], [max(0, e) for e in ends]
    return im.emit(top.Pad, [x], paddings=(*begins, *ends), val=value, mode=mode) if any((*begins, *ends)) else x


def _cropped(im: Importer, x: Tensor, begins: Sequence[int], ends: Sequence[int]) -> Tensor:
    starts = tuple(max(0, -b) for b in begins)
    stops = tuple(extent - max(0, -e) for extent, e in zip(x.shape, ends, strict=True))
    if any(stop <= start for start, stop in zip(starts, stops, strict=True)):
        raise InputError(f"negative padding leaves nothing of shape {list(x.shape)}")
    return im.emit(top.Slice, [x], offset=starts, steps=(1,) * x.rank, ends=stops)


def _wrapped(im: Importer, x: Tensor, begins: Sequence[int], ends: Sequence[int]) -> Tensor:
    """Padding from the other end, as a gather along each padded axis."""
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin or end:
            places: Array = np.arange(-begin, x.shape[axis] + end) % x.shape[axis]
            x = im.emit(top.Gather, [x, im.array(places, "int64", f"places{axis}")], axis=axis)
    return x


def diagonal(im: Importer, self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal as a gather from the two axes flattened into one, last."""
    first, second = axes_of((dim1, dim2), self.rank)
    rest = [i for i in range(self.rank) if i not in (first, second)]
    rows, columns = self.shape[first], self.shape[second]
    moved = im.step("matrices", top.Permute, [self], order=(*rest, first, second))
    places = np.diagonal(np.arange(rows * columns).reshape(rows, columns), offset)
    if not places.size:
        raise im.refusal("an empty result")
    flat = reshaped(im, moved, (*(self.shape[i] for i in rest), rows * columns), "flat")
    return taken(im, flat, im.array(places, "int64", "places"), len(rest))


CONVERTERS: Mapping[str, Converter] = {
    "slice": slice_, "narrow": narrow, "select": select, "embedding": embedding, "index_select": index_select, "take": take,
    "gather": gather, "take_along_dim": take_along_dim, "index": index, "_unsafe_index": index, "index_put": index_put,
    "_unsafe_index_put": index_put, "_index_put_impl": index_put, "scatter": scatter, "slice_scatter": slice_scatter,
    "select_scatter": select_scatter, "constant_pad_nd": constant_pad, "pad": pad, "diagonal": diagonal,
    **{f"reflection_pad{n}d": _pad_as("reflect") for n in (1, 2, 3)}, **{f"replication_pad{n}d": _pad_as("edge") for n in (1, 2, 3)},
}
