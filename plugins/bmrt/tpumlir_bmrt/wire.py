"""Tensors as a bmodel stores them: from and to what a user has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpumlir_core.bmodel import MAX_DIMENSIONS, WIRE_TYPES
from tpumlir_core.bmodel.schema import Tensor
from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType

Array = np.ndarray[Any, np.dtype[Any]]
_MAX_ELEMENTS = 1 << 31
_ELEMENTS = {code: element for element, code in WIRE_TYPES.items()}


def element(tensor: Tensor) -> ElementType:
    """The element type of an input or output. Raises InputError where the runner knows none of that code."""
    if tensor.data_type not in _ELEMENTS:
        raise InputError(f"tensor {tensor.name}: its type code {tensor.data_type} cannot be run here")
    return _ELEMENTS[tensor.data_type]


def shape(tensor: Tensor) -> tuple[int, ...]:
    """The (largest) shape of an input or output. Raises InputError where no runtime could hold it."""
    if not tensor.shape:
        raise InputError(f"tensor {tensor.name}: the bmodel declares no shape of it")
    dimensions = tensor.shape[0].dim
    if len(dimensions) > MAX_DIMENSIONS or math.prod(dimensions) > _MAX_ELEMENTS:
        raise InputError(f"tensor {tensor.name}: its shape {list(dimensions)} is larger than any device's; the bmodel is damaged")
    return dimensions


def to_wire(tensor: Tensor, array: Array) -> Array:
    """An input as it is stored: floats are rounded, or quantized by the tensor's scale and zero point, in F32 as a chip's own cast is.

    uint16 for a BF16 input are its bits. Raises InputError where numbers of this type do not fit.
    """
    kind = element(tensor)
    if array.dtype == kind.numpy:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "fiub":
        raise InputError(f"input {tensor.name}: {array.dtype} are no numbers that {kind.value} can hold")
    if kind is ElementType.BF16:
        return _round_bfloat16(np.ascontiguousarray(array, np.float32))
    if kind.is_float:
        return np.ascontiguousarray(array, kind.numpy)
    limits = np.iinfo(kind.numpy)
    if array.dtype.kind == "f":
        stored = np.rint(array.astype(np.float32) * np.float32(tensor.scale) + np.float32(tensor.zero_point))
        return np.ascontiguousarray(np.clip(np.nan_to_num(stored), limits.min, limits.max).astype(kind.numpy))
    if array.size and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
        raise InputError(f"input {tensor.name}: its {array.dtype} go from {array.min()} to {array.max()}, which {kind.value} cannot hold")
    return np.ascontiguousarray(array, kind.numpy)


def from_wire(tensor: Tensor, array: Array) -> Array:
    """An output as real numbers: floats as float32, quantized integers dequantized, others as they are."""
    kind = element(tensor)
    if kind is ElementType.BF16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    if kind.is_float:
        return array.astype(np.float32)
    if (tensor.scale, tensor.zero_point) in ((1.0, 0), (0.0, 0)):
        return array
    return ((array.astype(np.float32) - tensor.zero_point) * tensor.scale).astype(np.float32)


def _round_bfloat16(values: Array) -> Array:
    """To nearest, ties to even; a NaN stays one."""
    bits = values.view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
