"""Convolutions and matrix products on 8-bit numbers: quantized weights, scales and offsets of the requantization.

Each output channel (column) has its own weight scale, max|w| / 127, or that of the source model. With sums of stored numbers,
``result = sum * scale + offset``:

    scale  = input scale * weight scale / output scale
    offset = (bias - lost) / output scale + output zero point - scale * input zero point * (sum of the channel's weights)

A result of floats has scale 1 and zero point 0 there.

``lost`` is what rounding of the weights adds to the mean of the result, where the means of the operand's channels are known: the sum of
their products with the weights' errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value, WeightStore
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import QuantizedConv, QuantizedMatMul
from tpumlir_core.storage_lowering import Storage, StorageLowering
from tpumlir_int8.rounding import round_balanced

_BLOCK = 1 << 20
"""Weights that are rounded at a time."""
_BESIDE = 0.01
"""Of a step: how far beside a whole multiple a weight may be, by rounding to float32."""
LEAST_MAGNITUDE = 1e-30
"""A channel of zeros has a scale all the same."""


@dataclass(frozen=True)
class Quantized:
    """8-bit weights, and one scale and one offset for each output channel."""

    weights: Array
    scale: Array
    offset: Array


def quantize(
    weights: Array, channel: int, bias: Array | None, source: Storage, result: Storage, scales: Sequence[float] = (),
    means: Sequence[float] = (),
) -> Quantized:
    """Weights whose axis ``channel`` is that of output channels. ``scales``: those that they were stored with in the source, one or
    one a channel, if any; they are kept where the weights still are whole multiples of them, up to 127. ``means``: of all channels
    of the operand, or ()."""
    x, y = source.quantization, result.quantization
    assert x is not None
    step, zero_point = (1.0, 0) if y is None else (y.scale, y.zero_point)
    rest = tuple(axis for axis in range(weights.ndim) if axis != channel)
    magnitude = np.maximum(np.abs(weights).max(rest).astype(np.float64), LEAST_MAGNITUDE)
    steps = magnitude / 127
    if scales:
        own = np.broadcast_to(np.asarray(scales, np.float64), magnitude.shape)
        steps = own if _are_multiples(weights, channel, own) else steps
    stored, lost = _stored(weights, channel, steps, np.array(means))
    scale = x.scale * steps / step
    offset = zero_point - scale * x.zero_point * stored.sum(rest, dtype=np.int64) - lost / step
    if bias is not None:
        offset = offset + bias.reshape(-1).astype(np.float64) / step
    return Quantized(stored, scale.astype(np.float32), np.broadcast_to(offset, scale.shape).astype(np.float32))


def _are_multiples(weights: Array, channel: int, steps: Array) -> bool:
    """Whether each channel's weights are whole multiples, up to 127, of its step: as they were stored, and not changed since."""
    rows = np.moveaxis(weights, channel, 0).reshape(weights.shape[channel], -1)
    found = rows / np.maximum(steps, LEAST_MAGNITUDE)[:, None]
    return bool((np.abs(found) <= 127 + _BESIDE).all() and (np.abs(found - np.rint(found)) <= _BESIDE).all())


def _stored(weights: Array, channel: int, steps: Array, means: Array) -> tuple[Array, Array]:
    """Weights as integers, each channel in units of its step, and what that adds to the mean of each channel of the result; some
    channels at a time, which bounds the memory."""
    rows = np.moveaxis(weights, channel, 0)
    stored, lost = np.empty(weights.shape, np.int8), np.zeros(len(rows))
    targets = np.moveaxis(stored, channel, 0)
    taps = math.prod(weights.shape[2:])
    known = means.size > 0 and means.size % (rows[0].size // taps) == 0
    block = max(1, _BLOCK * len(rows) // max(1, weights.size))
    for start in range(0, len(rows), block):
        part = slice(start, min(start + block, len(rows)))
        flat = rows[part].reshape(len(rows[part]), -1) / steps[part, None].astype(np.float32)
        rounded = np.clip(round_balanced(flat, taps), -127, 127)
        targets[part] = rounded.reshape(targets[part].shape)
        if known:
            lost[part] = mean_shift(rounded - flat, taps, means, range(len(rows))[part], len(rows)) * steps[part]
    return stored, lost


def mean_shift(errors: Array, taps: int, means: Array, channels: range, total: int) -> Array:
    """What errors of weights, [channels, n], add to the mean of each channel of the result, where the operand's channels have ``means``.

    ``taps``: how many neighbours in a row meet the same channel. ``channels``: which of ``total`` these are, which tells their groups."""
    summed = errors.reshape(len(errors), -1, taps).sum(2)
    groups = means.size // summed.shape[1]
    shift: Array = (summed * means.reshape(groups, -1)[np.asarray(channels) * groups // total]).sum(1)
    return shift


def lower_product(
    operation: Any, source: Storage, result: Storage, weights: WeightStore, lowering: StorageLowering, means: Sequence[float] = ()
) -> None:
    """Append a Conv or MatMul of a weight as what multiplies 8-bit numbers."""
    is_conv = operation.opcode == "top.Conv"
    filters, bias = _array(operation, 1, weights), _array(operation, 2, weights)
    assert filters is not None
    channel = 0 if is_conv else filters.ndim - (2 if operation.right_transpose else 1)
    found = quantize(filters, channel, bias, source, result, _scales(operation), means)
    name = operation.name
    parts = [
        lowering.weight(f"{name}_filter_i8", found.weights, ElementType.SI8),
        lowering.weight(f"{name}_scale", found.scale, ElementType.F32),
        lowering.weight(f"{name}_offset", found.offset, ElementType.F32),
    ]
    lowering.replace(operation, _form(operation), [source], [result], parts)


def candidate(operation: Any, source: Storage, result: Storage) -> Operation:
    """A detached operation of the form and the types that ``lower_product`` gives it, to ask a target about."""
    filters: Value = operation.operands[1]
    channels = operation.output.shape[1 if operation.opcode == "top.Conv" else -1]
    types = [("filter", filters.shape, ElementType.SI8), ("scale", (channels,), ElementType.F32), ("offset", (channels,), ElementType.F32)]
    weights = [Weight.create([], [(name, TensorType(shape, element))]).output for name, shape, element in types]
    x = Value("input", operation.input.type.with_storage(source.element, source.quantization))
    y = operation.output.type.with_storage(result.element, result.quantization)
    return _form(operation).create([x, *weights], [("output", y)], **operation.attributes())


def _form(operation: Operation) -> type[QuantizedConv | QuantizedMatMul]:
    return QuantizedConv if operation.opcode == "top.Conv" else QuantizedMatMul


def can_be_lowered(operation: Any) -> bool:
    """Whether the product has a form on 8-bit numbers: a filter of the usual kind, a bias of one number a column."""
    filters: Value = operation.operands[1]
    if operation.opcode == "top.Conv":
        return not (operation.inserts and any(operation.inserts))
    bias = operation.operands[2] if len(operation.operands) > 2 else None
    columns = filters.shape[-2 if operation.right_transpose else -1] if len(filters.shape) > 1 else 0
    one_each = bias is None or (bias.type.elements == columns and bias.shape[-1] == columns)
    return len(filters.shape) == 2 and not operation.left_transpose and one_each


def _scales(operation: Operation) -> Sequence[float]:
    """The scales with which the source stores the weights, () where it does not say."""
    filters = operation.operands[1]
    return (filters.owner.scale or ()) if filters is not None and isinstance(filters.owner, Weight) else ()


def _array(operation: Operation, position: int, weights: WeightStore) -> Array | None:
    value = operation.operands[position] if position < len(operation.operands) else None
    return None if value is None else weights[value.name].reshape(value.shape)
