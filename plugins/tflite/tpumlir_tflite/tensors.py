"""Numbers as TFLite stores them: element types, scales and zero points, sparse tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

DENSE = 0
"""The format of a dimension of a sparse tensor that lists all its places (schema: DimensionType)."""

_LARGEST_OF_FEW, _SPARSEST = 1 << 20, 256
"""A sparse tensor may have so many elements, or so many for each one that is stored: a small file makes no huge tensor."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "FLOAT32": np.dtype("<f4"), "FLOAT16": np.dtype("<f2"), "FLOAT64": np.dtype("<f8"), "INT8": np.dtype("i1"), "UINT8": np.dtype("u1"),
    "INT16": np.dtype("<i2"), "UINT16": np.dtype("<u2"), "INT32": np.dtype("<i4"), "UINT32": np.dtype("<u4"), "INT64": np.dtype("<i8"),
    "UINT64": np.dtype("<u8"), "BOOL": np.dtype("?"),
}
"""Type of TFLite -> numpy type of one element as stored. INT4 has two elements a byte, and is read as int8."""


def is_readable(kind: str) -> bool:
    """Whether elements of a type are numbers that are known here."""
    return kind in DTYPES or kind == "INT4"


@dataclass(frozen=True)
class Scale:
    """What stored integers stand for: real = (stored - zero) * scale, of each one for all or one an index of ``axis``."""

    scales: Array
    zeros: Array
    axis: int = 0

    def real(self, stored: Array) -> Array:
        """The numbers that stored ones stand for, in float32."""
        along = [1] * stored.ndim
        if self.scales.size > 1:
            along[self.axis] = self.scales.size
        shifted: Array = stored.astype(np.float64) - self.zeros.reshape(along)
        return (shifted * self.scales.reshape(along)).astype(np.float32)

    def stored(self, real: Array, dtype: np.dtype[Any]) -> Array:
        """The stored numbers nearest to real ones, halves away from zero as TFLite rounds; one scale for all."""
        limits = np.iinfo(dtype)
        steps = np.asarray(real, np.float64) / self.scales[0]
        rounded = np.sign(steps) * np.floor(np.abs(steps) + 0.5) + self.zeros[0]
        clipped: Array = np.clip(np.nan_to_num(rounded), limits.min, limits.max).astype(dtype)
        return clipped


@dataclass(frozen=True)
class Level:
    """One dimension of a sparse tensor: all ``size`` places, or those that ``segments`` and ``indices`` list (CSR)."""

    size: int
    segments: tuple[int, ...] | None = None
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sparsity:
    """How a sparse tensor is stored: the order in which its dimensions, then the blocks', are walked; which of them have blocks."""

    order: tuple[int, ...]
    blocks: tuple[int, ...]
    levels: tuple[Level, ...]


def stored_array(raw: bytes | memoryview, kind: str, shape: Sequence[int] | None, name: str) -> Array:
    """The stored numbers of a constant tensor, flat where ``shape`` is None; they are not copied.

    Raises InputError where they do not fit the shape.
    """
    if kind == "INT4":
        packed = np.frombuffer(raw, np.uint8)
        numbers = np.stack([packed << 4, packed & 0xF0], -1).reshape(-1).view(np.int8) >> 4
        numbers = numbers if shape is None else numbers[: math.prod(shape)]
    elif kind in DTYPES:
        if len(raw) % DTYPES[kind].itemsize:
            raise InputError(f"tensor {name}: {len(raw)} bytes are no whole number of {kind} elements")
        numbers = np.require(np.frombuffer(raw, DTYPES[kind]), requirements="A")
    else:
        numbers = np.zeros(0, np.uint8)  # strings and what else is no number: unsupported where it is read
        shape = None
    if shape is None:
        return numbers
    if numbers.size != math.prod(shape):
        raise InputError(f"tensor {name}: {numbers.size} numbers for shape {list(shape)}")
    return numbers.reshape(shape)


def dense(numbers: Array, shape: Sequence[int], sparsity: Sparsity, name: str) -> Array:
    """A sparse tensor with its zeros. Raises InputError where its lists do not fit its shape."""
    rank, order = len(shape), sparsity.order
    sizes = _block_sizes(shape, sparsity, name)
    outer = [extent // size for extent, size in zip(shape, sizes, strict=True)]
    extents = [*outer, *(sizes[axis] for axis in sparsity.blocks)]
    if math.prod(extents) > max(_LARGEST_OF_FEW, _SPARSEST * numbers.size):
        raise InputError(f"tensor {name}: {numbers.size} elements for shape {list(shape)} are too few")
    places = _places([extents[axis] for axis in order], sparsity.levels, numbers.size, name)
    result = np.zeros([extents[axis] for axis in order], numbers.dtype)
    result[tuple(places)] = numbers
    blocked = result.transpose(np.argsort(order))
    joined: list[int] = []
    for axis in range(rank):
        joined += [axis, *(rank + i for i, owner in enumerate(sparsity.blocks) if owner == axis)]
    return np.ascontiguousarray(blocked.transpose(joined)).reshape(shape)


def _block_sizes(shape: Sequence[int], sparsity: Sparsity, name: str) -> list[int]:
    """The extent of the blocks along every dimension (1: none)."""
    rank, total = len(shape), len(shape) + len(sparsity.blocks)
    fits = sorted(sparsity.order) == list(range(total)) and len(sparsity.levels) == total and len(set(sparsity.blocks)) == total - rank
    if not fits or not all(0 <= axis < rank for axis in sparsity.blocks):
        raise InputError(f"tensor {name}: its sparse dimensions do not fit shape {list(shape)}")
    sizes = [1] * rank
    for position, level in enumerate(sparsity.levels):
        walked = sparsity.order[position]
        if walked >= rank:
            if level.segments is not None:
                raise InputError(f"tensor {name}: the blocks of a sparse tensor must be dense")
            sizes[sparsity.blocks[walked - rank]] = level.size
    if any(size < 1 or extent % size for extent, size in zip(shape, sizes, strict=True)):
        raise InputError(f"tensor {name}: blocks of {sizes} do not divide shape {list(shape)}")
    return sizes


def _places(extents: Sequence[int], levels: Sequence[Level], count: int, name: str) -> list[Array]:
    """The place of each of ``count`` stored elements along every walked dimension."""
    places: list[Array] = []
    parents = 1
    for extent, level in zip(extents, levels, strict=True):
        lengths, found = _level_places(extent, level, parents, name)
        parents = int(found.size)
        places = [np.repeat(earlier, lengths) for earlier in places] + [found]
    if parents != count:
        raise InputError(f"tensor {name}: its sparse lists name {parents} elements, but {count} are stored")
    return places


def _level_places(extent: int, level: Level, parents: int, name: str) -> tuple[Array, Array]:
    """How many places each parent has in a dimension, and all the places."""
    if level.segments is None:
        if level.size != extent:
            raise InputError(f"tensor {name}: a sparse dimension of {level.size}, where the shape has {extent}")
        return np.full(parents, extent), np.tile(np.arange(extent), parents)
    segments, indices = np.array(level.segments, np.int64), np.array(level.indices, np.int64)
    lengths = np.diff(segments)
    whole = segments.size == parents + 1 and segments[0] == 0 and segments[-1] == indices.size and (lengths >= 0).all()
    if not whole or (indices.size and not (indices.min() >= 0 and indices.max() < extent)):
        raise InputError(f"tensor {name}: its sparse lists do not fit an axis of {extent}")
    return lengths, indices
