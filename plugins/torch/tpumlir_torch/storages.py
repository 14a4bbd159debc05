"""Tensors out of archives: elements of a storage, by offset, shape and strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import LARGEST_TENSOR
from tpumlir_core.ir import Array
from tpumlir_torch.archive import Archive
from tpumlir_torch.dtypes import STORAGES, decoded, item_size
from tpumlir_torch.pickles import Global, Made, Persistent

_MAKERS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor")
_MOST_AXES = 32
_MOST_REPEATED = 1 << 22
"""Elements that a tensor may have beyond its storage: expanded tables are small."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor of a model file: its elements, and the type that PyTorch gives them."""

    array: Array
    dtype: str


def arranged(data: bytes, dtype: str, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Stored:
    """A tensor of elements ``offset + index * strides`` of a storage. Raises InputError where those are not there."""
    if len(shape) != len(strides) or len(shape) > _MOST_AXES or offset < 0 or min((*shape, *strides), default=0) < 0:
        raise InputError(f"a tensor of shape {list(shape)} has strides {list(strides)}")
    count = len(data) // item_size(dtype)
    last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= count:
        raise InputError(f"a tensor of shape {list(shape)} needs {last + 1} elements, but {count} are there")
    if math.prod(shape) > max(count, _MOST_REPEATED) or math.prod(shape) * 4 > LARGEST_TENSOR:
        raise InputError(f"a tensor of shape {list(shape)} is too large")
    flat = decoded(data[: count * item_size(dtype)], dtype)
    if 0 in shape:
        return Stored(np.zeros(shape, flat.dtype), dtype)
    steps = [stride * flat.itemsize for stride in strides]
    return Stored(np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[offset:], tuple(shape), steps)).reshape(shape), dtype)


def integers(values: Any) -> tuple[int, ...]:
    """A tuple or list of integers. Raises InputError for anything else."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(v, int) for v in values):
        raise InputError("damaged pickle (a shape is no tuple of integers)")
    return tuple(int(v) for v in values)


class StorageReader:
    """Tensors of a pickle, whose storages are members of the archive in ``folder``."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self._archive = archive
        self._folder = folder

    def tensor(self, made: Made) -> Stored:
        """The tensor that a call in the pickle makes. Raises UnsupportedError for quantized, sparse and other special ones."""
        maker, arguments = str(made.maker), made.arguments
        if maker not in _MAKERS or not isinstance(arguments, tuple):
            raise UnsupportedError(f"tensors made by {maker}")
        if maker.endswith("parameter") and arguments and isinstance(arguments[0], Made):
            return self.tensor(arguments[0])
        if len(arguments) < 4 or not isinstance(arguments[1], int):
            raise InputError("damaged pickle (a tensor without storage, offset, shape and strides)")
        data, dtype = self._storage(arguments[0])
        return arranged(data, dtype, arguments[1], integers(arguments[2]), integers(arguments[3]))

    def _storage(self, reference: Any) -> tuple[bytes, str]:
        key = reference.key if isinstance(reference, Persistent) else None
        if not isinstance(key, tuple) or len(key) < 3 or key[0] != "storage" or not isinstance(key[1], Global):
            raise InputError("damaged pickle (a tensor without storage)")
        if key[1].name not in STORAGES:
            raise UnsupportedError(f"tensors in a {key[1].name}")
        return self._archive.read(f"{self._folder}{key[2]}"), STORAGES[key[1].name]


def is_tensor(value: Any) -> bool:
    """Whether a call in a pickle makes a tensor."""
    return isinstance(value, Made) and isinstance(value.maker, Global) and value.maker.module == "torch._utils"
