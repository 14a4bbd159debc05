"""Shapes: views, permutations, expansion, repetition, and orders of elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axes_of, axis_of
from tpumlir_torch.tensor import Ints, Tensor, Tensors


def reshaped(im: Importer, x: Tensor, shape: Sequence[int], suffix: str = "") -> Tensor:
    """The same elements under another shape, one extent of which may be -1."""
    wanted = list(shape)
    if wanted.count(-1) == 1:
        rest = -math.prod(wanted)
        wanted[wanted.index(-1)] = math.prod(x.shape) // rest if rest else 0
    if min(wanted, default=1) < 0 or math.prod(wanted) != math.prod(x.shape):
        raise InputError(f"shape {list(x.shape)} does not become {list(shape)}")
    if tuple(wanted) == x.shape:
        return x
    if suffix:
        return im.step(suffix, top.Reshape, [x], shape=tuple(wanted))
    return im.emit(top.Reshape, [x], shape=tuple(wanted))


def expanded(im: Importer, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcast to a shape; the tensor itself where it has it."""
    if x.shape == tuple(shape):
        return x
    im.check_size(shape)
    if tuple(np.broadcast_shapes(x.shape, tuple(shape))) != tuple(shape):
        raise InputError(f"shape {list(x.shape)} does not expand to {list(shape)}")
    return im.emit(top.Expand, [x], shape=tuple(shape))


def view(im: Importer, self: Tensor, size: Ints | None = None, shape: Ints | None = None, dtype: Any = None) -> Tensor:
    wanted = size if size is not None else shape
    if wanted is None:
        raise im.refusal("another element type")
    return reshaped(im, self, wanted)


def view_as(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    return reshaped(im, self, other.shape)


def flatten(im: Importer, self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if not self.rank:
        return reshaped(im, self, (1,))
    start, end = axis_of(start_dim, self.rank), axis_of(end_dim, self.rank)
    return reshaped(im, self, (*self.shape[:start], math.prod(self.shape[start : end + 1]), *self.shape[end + 1 :]))


def ravel(im: Importer, self: Tensor) -> Tensor:
    return reshaped(im, self, (math.prod(self.shape),))


def unflatten(im: Importer, self: Tensor, dim: int, sizes: Ints) -> Tensor:
    axis = axis_of(dim, self.rank)
    extent, wanted = self.shape[axis], list(sizes)
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = extent // max(1, -math.prod(wanted))
    return reshaped(im, self, (*self.shape[:axis], *wanted, *self.shape[axis + 1 :]))


def squeeze(im: Importer, self: Tensor, dim: Ints | None = None) -> Tensor:
    axes = range(self.rank) if dim is None else axes_of(dim, self.rank)
    return reshaped(im, self, [n for i, n in enumerate(self.shape) if i not in axes or n != 1])


def unsqueeze(im: Importer, self: Tensor, dim: int) -> Tensor:
    axis = axis_of(dim, self.rank + 1)
    return reshaped(im, self, (*self.shape[:axis], 1, *self.shape[axis:]))


def order_of(im: Importer, rank: int, arguments: Mapping[str, Any]) -> list[int]:
    """The order of axes that the arguments of a permuting operator ask for."""
    order = list(range(rank))
    if "dims" in arguments:
        order = [axis_of(axis, rank) for axis in arguments["dims"]]
    elif "source" in arguments:
        sources, targets = axes_of(arguments["source"], rank), axes_of(arguments["destination"], rank)
        order = [axis for axis in order if axis not in sources]
        for target, source in sorted(zip(targets, sources, strict=True)):
            order.insert(target, source)
    elif rank > 1:
        first, second = (axis_of(arguments.get(f"dim{i}", i), rank) for i in (0, 1))
        order[first], order[second] = order[second], order[first]
    if sorted(order) != list(range(rank)):
        raise InputError(f"{order} does not order {rank} axes")
    return order


def _permuted(im: Importer, x: Tensor, order: Sequence[int]) -> Tensor:
    return x if list(order) == list(range(x.rank)) else im.emit(top.Permute, [x], order=tuple(order))


def permute(im: Importer, self: Tensor, dims: Ints) -> Tensor:
    return _permuted(im, self, order_of(im, self.rank, {"dims": dims}))


def transpose(im: Importer, self: Tensor, dim0: int, dim1: int) -> Tensor:
    return _permuted(im, self, order_of(im, self.rank, {"dim0": dim0, "dim1": dim1}))


def matrix_transpose(im: Importer, self: Tensor) -> Tensor:
    return _permuted(im, self, order_of(im, self.rank, {}))


def reversed_axes(im: Importer, self: Tensor) -> Tensor:
    return _permuted(im, self, range(self.rank)[::-1])


def movedim(im: Importer, self: Tensor, source: Ints, destination: Ints) -> Tensor:
    return _permuted(im, self, order_of(im, self.rank, {"source": source, "destination": destination}))


def expand(im: Importer, self: Tensor, size: Ints, implicit: bool = False) -> Tensor:
    added = len(size) - self.rank
    return expanded(im, self, [self.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(size)])


def expand_as(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    return expanded(im, self, other.shape)


def broadcast_tensors(im: Importer, tensors: Tensors) -> list[Tensor]:
    shape = np.broadcast_shapes(*(t.shape for t in tensors))
    return [expanded(im, t, shape) for t in tensors]


def meshgrid(im: Importer, tensors: Tensors, indexing: str = "ij") -> list[Tensor]:
    vectors = [reshaped(im, t, (-1,), f"axis{i}") for i, t in enumerate(tensors)]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = 1, 0
    shape = [0] * len(vectors)
    for vector, place in zip(vectors, places, strict=True):
        shape[place] = vector.shape[0]
    grids = []
    for i, (vector, place) in enumerate(zip(vectors, places, strict=True)):
        along = [vector.shape[0] if j == place else 1 for j in range(len(shape))]
        grids.append(expanded(im, reshaped(im, vector, along, f"along{i}"), shape))
    return grids


def repeat(im: Importer, self: Tensor, repeats: Ints) -> Tensor:
    if len(repeats) < self.rank or min(repeats, default=1) < 1:
        raise InputError(f"repeats {list(repeats)} do not fit shape {list(self.shape)}")
    x = reshaped(im, self, (*(1,) * (len(repeats) - self.rank), *self.shape), "axes")
    return im.emit(top.Tile, [x], tile=repeats) if any(r > 1 for r in repeats) else x


def tile(im: Importer, self: Tensor, dims: Ints) -> Tensor:
    return repeat(im, self, (*(1,) * (self.rank - len(dims)), *dims))


def repeat_interleave(im: Importer, self: Tensor, repeats: int, dim: int | None = None, output_size: int | None = None) -> Tensor:
    x = self if dim is not None else reshaped(im, self, (-1,), "flat")
    axis = axis_of(dim or 0, x.rank)
    wide = im.step("axis", top.Unsqueeze, [x], axes=(axis + 1,))
    repeated = im.step("repeated", top.Tile, [wide], tile=tuple(repeats if i == axis + 1 else 1 for i in range(x.rank + 1)))
    return reshaped(im, repeated, (*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]))


def flip(im: Importer, self: Tensor, dims: Ints) -> Tensor:
    for axis in axes_of(dims, self.rank):
        self = im.emit(top.Reverse, [self], axis=axis)
    return self


def rot90(im: Importer, self: Tensor, k: int = 1, dims: Ints = (0, 1)) -> Tensor:
    """Quarter turns from the first axis towards the second."""
    if len(dims) != 2:
        raise InputError(f"a rotation takes two axes, not {list(dims)}")
    first, second = axes_of(dims, self.rank)
    turned = transpose(im, self, first, second) if k % 2 else self
    return flip(im, turned, tuple(axis for axis, turns in ((first, (1, 2)), (second, (2, 3))) if k % 4 in turns))


def roll(im: Importer, self: Tensor, shifts: Ints, dims: Ints = ()) -> Tensor:
    """The last elements of an axis go before its first ones."""
    if not dims:
        return reshaped(im, roll(im, reshaped(im, self, (-1,), "flat"), shifts, (0,)), self.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        axis = axis_of(dim, self.rank)
        extent = self.shape[axis]
        if shift % extent:
            border = extent - shift % extent
            last = im.step("last", top.Slice, [self], axes=(axis,), offset=(border,), steps=(1,), ends=(extent,))
            first = im.step("first", top.Slice, [self], axes=(axis,), offset=(0,), steps=(1,), ends=(border,))
            self = im.emit(top.Concat, [last, first], axis=axis)
    return self


def triangle(upper: bool) -> Converter:
    def convert(im: Importer, self: Tensor, diagonal: int = 0) -> Tensor:
        limit = max(self.shape[-2:])
        x = im.step("float", top.Cast, [self], to="F32") if not self.value.type.element.is_float else self
        return im.emit(top.Trilu, [x], upper=int(upper), diagonal=min(max(diagonal, -limit), limit))

    return convert


def pixel_shuffle(im: Importer, self: Tensor, upscale_factor: int) -> Tensor:
    return _blocks(im, self, upscale_factor, inverse=False)


def pixel_unshuffle(im: Importer, self: Tensor, downscale_factor: int) -> Tensor:
    return _blocks(im, self, downscale_factor, inverse=True)


def _blocks(im: Importer, x: Tensor, size: int, inverse: bool) -> Tensor:
    if size < 1 or x.rank < 3:
        raise InputError(f"blocks of {size} in shape {list(x.shape)}")
    image = reshaped(im, x, (math.prod(x.shape[:-3]), *x.shape[-3:]), "image")
    result = im.emit(top.Depth2Space, [image], block_h=size, block_w=size, is_CRD=True, is_inversed=inverse)
    return reshaped(im, result, (*x.shape[:-3], *result.shape[1:]))


def channel_shuffle(im: Importer, self: Tensor, groups: int) -> Tensor:
    if groups < 1 or self.rank < 3 or self.shape[1] % groups:
        raise InputError(f"{groups} groups of channels in shape {list(self.shape)}")
    return im.emit(top.ShuffleChannel, [self], group=groups)


CONVERTERS: Mapping[str, Converter] = {
    "view": view, "reshape": view, "_unsafe_view": view, "_reshape_alias": view, "view_as": view_as, "reshape_as": view_as,
    "flatten": flatten, "ravel": ravel, "unflatten": unflatten, "squeeze": squeeze, "unsqueeze": unsqueeze, "permute": permute,
    "transpose": transpose, "swapaxes": transpose, "t": matrix_transpose, "numpy_T": reversed_axes, "movedim": movedim, "expand": expand,
    "broadcast_to": expand, "expand_as": expand_as, "broadcast_tensors": broadcast_tensors, "meshgrid": meshgrid, "repeat": repeat,
    "tile": tile, "repeat_interleave": repeat_interleave, "flip": flip, "rot90": rot90, "roll": roll,
    "tril": triangle(upper=False), "triu": triangle(upper=True), "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle, "native_channel_shuffle": channel_shuffle,
}
