"""Stored numbers and the real ones that they stand for."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir.operation import Array, Module
from tpumlir_core.ir.types import ElementType, TensorType

QUANTIZED_SOURCE = "TOP_QUANTIZED"
"""The attribute ``module.state`` of a Top module whose source stores tensors in 8 bits: their float types say the range."""
_STEPS = 255


def is_quantized(module: Module) -> bool:
    """Whether the source of a Top module stores tensors in 8 bits."""
    return bool(module.attributes.get("module.state") == QUANTIZED_SOURCE)


def as_source_holds(values: Array, type: TensorType) -> Array:
    """What a quantized source makes of float numbers: the nearest of the 256 from ``low`` to ``high`` of the tensor's type."""
    found = type.quantization
    if found is None or type.element is not ElementType.F32 or not found.low < found.high:
        return values
    scale = (found.high - found.low) / _STEPS
    lowest = np.rint(found.low / scale)
    with np.errstate(invalid="ignore"):
        steps = np.clip(np.rint(values.astype(np.float64) / scale), lowest, lowest + _STEPS)
    rounded: Array = (steps * scale).astype(np.float32)
    return rounded


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


def to_stored(real: Array, type: TensorType) -> Array:
    """F32 numbers as ``type`` stores them; BF16 as bits. Quantized: ``x * (1 / scale) + zero point``, each step rounded to F32, then
    to the nearest integer, halves to even; what does not fit becomes the nearest that does, a NaN 0."""
    if type.element is ElementType.BF16:
        return to_bfloat16(real)
    if type.element.is_float:
        with np.errstate(over="ignore"):
            return real.astype(type.element.numpy)
    if type.quantization is None:
        return real.astype(type.element.numpy)
    scale, zero_point = type.scaling
    scaled = np.asarray(real.astype(np.float32, copy=False) * np.float32(1 / scale))  # of no axes numpy makes a number of it
    if zero_point:
        scaled += np.float32(zero_point)
    if scaled.size and np.isnan(scaled.min()):
        np.nan_to_num(scaled, copy=False, nan=0.0)
    np.rint(scaled, out=scaled)
    limits = np.iinfo(type.element.numpy)
    kept: Array = np.asarray(np.clip(scaled, limits.min, limits.max), type.element.numpy)
    return kept


def to_bfloat16(values: Array) -> Array:
    """The bits (uint16) of the nearest BF16 numbers, halves to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
