"""Tensors joined along an axis, and taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.dtypes import promoted
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axis_of
from tpumlir_torch.tensor import Ints, Tensor, Tensors


def cat(im: Importer, tensors: Tensors, dim: int = 0) -> Tensor:
    if not tensors:
        raise InputError("there is nothing to join")
    dtype = promoted([t.dtype for t in tensors])
    if len(tensors) == 1:
        return Tensor(tensors[0].value, dtype)
    return im.emit(top.Concat, list(tensors), dtype, axis=axis_of(dim, tensors[0].rank))


def stack(im: Importer, tensors: Tensors, dim: int = 0) -> Tensor:
    if not tensors:
        raise InputError("there is nothing to join")
    axis = axis_of(dim, tensors[0].rank + 1)
    rows = [im.step(f"row{i}", top.Unsqueeze, [t], axes=(axis,)) for i, t in enumerate(tensors)]
    return cat(im, tuple(rows), axis)


def part_sizes(im: Importer, x: Tensor, arguments: Mapping[str, Any]) -> list[int]:
    """Extents of the parts that the arguments of a splitting operator ask for."""
    extent = x.shape[axis_of(arguments.get("dim", 0), x.rank)]
    if "chunks" in arguments:
        size = -(-extent // max(1, arguments["chunks"]))
    else:
        size = arguments.get("split_size", arguments.get("split_sizes"))
        if isinstance(size, (list, tuple)):
            return list(size)
    if size < 1:
        raise InputError(f"parts of {size} elements")
    return [min(size, extent - at) for at in range(0, extent, size)]


def _parts(im: Importer, x: Tensor, sizes: Sequence[int], dim: int) -> list[Tensor]:
    axis = axis_of(dim, x.rank)
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise InputError(f"parts of {list(sizes)} do not make up an axis of {x.shape[axis]}")
    if 0 in sizes:
        raise im.refusal("an empty part")
    if len(sizes) == 1:
        return [x]
    return im.emit_many(top.Split, [x], [x.dtype] * len(sizes), axis=axis, num=len(sizes), split_size=tuple(sizes))


def split(im: Importer, self: Tensor, split_size: int | Ints, dim: int = 0) -> list[Tensor]:
    return _parts(im, self, part_sizes(im, self, {"split_size": split_size, "dim": dim}), dim)


def split_with_sizes(im: Importer, self: Tensor, split_sizes: Ints, dim: int = 0) -> list[Tensor]:
    return _parts(im, self, list(split_sizes), dim)


def chunk(im: Importer, self: Tensor, chunks: int, dim: int = 0) -> list[Tensor]:
    return _parts(im, self, part_sizes(im, self, {"chunks": chunks, "dim": dim}), dim)


def joined(axis: int, least_rank: int) -> Converter:
    """``hstack`` and its kin: tensors of fewer axes get them in front, vectors for hstack stay."""

    def convert(im: Importer, tensors: Tensors) -> Tensor:
        flat = axis == 1 and all(t.rank <= 1 for t in tensors)
        parts = [reshaped(im, t, (*(1,) * (least_rank - t.rank), *t.shape), f"part{i}") for i, t in enumerate(tensors)]
        return cat(im, tensors if flat else tuple(parts), 0 if flat else axis)

    return convert


def tensor_split(im: Importer, self: Tensor, sections: int | Ints, dim: int = 0) -> list[Tensor]:
    """Parts as even as can be, the first ones the longer, or parts that begin at some indices."""
    extent = self.shape[axis_of(dim, self.rank)]
    if isinstance(sections, int):
        if not 1 <= sections <= extent:
            raise InputError(f"{sections} parts of an axis of {extent}")
        sizes = [extent // sections + (i < extent % sections) for i in range(sections)]
    else:
        borders = [0, *sections, extent]
        sizes = [high - low for low, high in pairwise(borders)]
    return _parts(im, self, sizes, dim)


def unbind(im: Importer, self: Tensor, dim: int = 0) -> list[Tensor]:
    axis = axis_of(dim, self.rank)
    shape = (*self.shape[:axis], *self.shape[axis + 1 :])
    parts = _parts(im, self, [1] * self.shape[axis], axis)
    return [reshaped(im, part, shape, f"part{i}") for i, part in enumerate(parts)]


CONVERTERS: Mapping[str, Converter] = {
    "cat": cat, "concat": cat, "concatenate": cat, "stack": stack, "split": split, "split_with_sizes": split_with_sizes,
    "unsafe_split": split, "unsafe_split_with_sizes": split_with_sizes, "unsafe_chunk": chunk, "hstack": joined(1, 1),
    "vstack": joined(0, 2), "row_stack": joined(0, 2), "tensor_split": tensor_split, "chunk": chunk, "unbind": unbind,
}
