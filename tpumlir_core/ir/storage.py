"""Stored numbers and the real ones that they stand for."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir.operation import Array
from tpumlir_core.ir.types import ElementType, TensorType


def to_real(stored: Array, type: TensorType) -> Array:
    """What an array stored as ``type`` says stands for, in F32: (stored - zero point) * scale for quantized integers.

    Integers that are not quantized stay as they are.
    """
    if type.element is ElementType.BF16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if type.element.is_float:
        return stored.astype(np.float32, copy=False)
    if type.quantization is None:
        return stored
    scale, zero_point = type.scaling
    real: Array = (stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real


def to_bfloat16(values: Array) -> Array:
    """The bits (uint16) of the nearest BF16 numbers, halves to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
