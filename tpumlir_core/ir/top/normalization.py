"""Top dialect: normalization. Tensors are [N, C, ...]; statistics are computed in float64 and results in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, SI32, Flag, I64s, RoundMode
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import (
    Pointwise,
    activate,
    axis_of,
    broadcast,
    elements,
    float_like,
    optional,
    present,
    present_operands,
    real,
    reject,
)
from tpumlir_core.ir.types import TensorType


def channelwise(operation: Operation, types: Sequence[TensorType | None]) -> list[TensorType]:
    """The result type where every further operand holds one number a channel (axis 1)."""
    source = present(operation, types)
    if len(source.shape) < 2:
        reject(operation, f"an operand of {len(source.shape)} dimensions has no channels")
    channels = source.shape[1]
    for spec, factor in zip(operation.operand_specs[1:], types[1:], strict=False):
        if factor is not None and factor.elements != channels:
            reject(operation, f"{spec.name} {factor.shape} does not hold one number for each of {channels} channels")
    return [float_like(source, source.shape)]


def by_channel(factor: Array | None, rank: int) -> Array | None:
    """One number a channel, shaped to broadcast over a tensor of ``rank`` dimensions."""
    return None if factor is None else factor.reshape(-1, *(1,) * (rank - 2))


@op("top.Scale", "input,scale,bias")
class Scale(Operation):
    """x times ``scale`` plus ``bias``, one of each a channel."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return channelwise(self, types)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        scale, bias = (by_channel(optional(inputs, i), values.ndim) for i in (1, 2))
        result = values * scale if scale is not None else values
        return [activate(result + bias if bias is not None else result, self.do_relu, self.relu_limit)]

    def flops(self) -> int:
        return elements(self) * (2 + self.do_relu)


@op("top.BatchNorm", "input,mean,variance,gamma?,beta?")
class BatchNorm(Operation):
    """(x - mean) / sqrt(variance + epsilon) times gamma plus beta, one of each a channel."""

    epsilon: F64 = 1e-05
    do_relu: Flag = False
    relu_limit: F64 = -1.0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return channelwise(self, types)

    @np.errstate(all="ignore")
    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        mean, variance = real(inputs, 1).ravel(), real(inputs, 2).ravel()
        gamma, beta = (None if f is None else f.ravel() for f in (optional(inputs, 3), optional(inputs, 4)))
        scale = 1 / np.sqrt(variance + np.float32(self.epsilon))
        if gamma is not None:
            scale = scale * gamma
        shift = -mean * scale if beta is None else beta - mean * scale
        trailing = (-1, *(1,) * (values.ndim - 2))
        return [activate(values * scale.reshape(trailing) + shift.reshape(trailing), self.do_relu, self.relu_limit)]

    def flops(self) -> int:
        return elements(self) * (2 + self.do_relu)


@np.errstate(all="ignore")
def standardize(values: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) over ``axes``, in float64; inf or nan where that is not defined."""
    wide = values.astype(np.float64)
    wide -= wide.mean(axes, keepdims=True)
    deviation = np.sqrt(np.mean(np.square(wide), axes, keepdims=True) + eps)
    result: Array = wide / deviation
    return result


def affine(values: Array, weight: Array | None, bias: Array | None) -> Array:
    """values * weight + bias, with absent ones left out, in float32."""
    if weight is not None:
        values = values * weight
    if bias is not None:
        values = values + bias
    return values.astype(np.float32, copy=False)


@op("top.Softmax")
class Softmax(Pointwise):
    """exp(``beta`` x) over its sum along ``axis``; with ``log`` the logarithm of that."""

    axis: SI32
    log: Flag = False
    beta: F64 = 1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    cost = 5

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        axis_of(self, self.axis, len(present(self, types).shape))
        return super().infer(types)

    def apply(self, values: Array) -> Array:
        scaled = values * np.float32(self.beta)
        scaled -= scaled.max(self.axis, keepdims=True)
        powers = np.exp(scaled)
        sums = powers.sum(self.axis, keepdims=True)
        result: Array = scaled - np.log(sums) if self.log else powers / sums
        return result

    def flops(self) -> int:
        return (self.cost + self.log) * elements(self)


@op("top.LayerNorm", "input,weight?,bias?")
class LayerNorm(Operation):
    """Standardization over the axes from ``axis`` on, then times ``weight`` plus ``bias``, which have those axes' shape."""

    normalized_shape: I64s
    axis: SI32
    eps: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        inner = source.shape[axis_of(self, self.axis, len(source.shape)):]
        if self.normalized_shape and self.normalized_shape != inner:
            reject(self, f"normalized_shape {self.normalized_shape} is not the input's {inner}")
        for factor in types[1:]:
            if factor is not None and factor.elements != math.prod(inner):
                reject(self, f"weight or bias {factor.shape} does not suit the normalized axes {inner}")
        return [float_like(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        axis = self.axis % values.ndim
        inner = values.shape[axis:]
        weight, bias = (None if f is None else f.reshape(inner) for f in (optional(inputs, 1), optional(inputs, 2)))
        return [affine(standardize(values, tuple(range(axis, values.ndim)), self.eps), weight, bias)]

    def flops(self) -> int:
        return (10 + present_operands(self)) * elements(self)


@op("top.InstanceNorm", "input,weight?,bias?")
class InstanceNorm(Operation):
    """Standardization of every channel of every image, then times ``weight`` plus ``bias``, one of each a channel."""

    eps: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return channelwise(self, types)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        weight, bias = (by_channel(optional(inputs, i), values.ndim) for i in (1, 2))
        return [affine(standardize(values, tuple(range(2, values.ndim)), self.eps), weight, bias)]

    def flops(self) -> int:
        return (10 + present_operands(self)) * elements(self)


@op("top.GroupNorm", "input,weight?,bias?")
class GroupNorm(Operation):
    """Standardization of every group of channels of every image, then times ``weight`` plus ``bias``, one of each a channel."""

    num_groups: I64
    eps: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if len(source.shape) < 2 or self.num_groups < 1 or source.shape[1] % self.num_groups:
            reject(self, f"the channels of {source.shape} do not split into {self.num_groups} groups")
        return channelwise(self, types)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        weight, bias = (by_channel(optional(inputs, i), values.ndim) for i in (1, 2))
        grouped = standardize(values.reshape(values.shape[0], self.num_groups, -1), (2,), self.eps)
        return [affine(grouped.reshape(values.shape), weight, bias)]

    def flops(self) -> int:
        return (10 + present_operands(self)) * elements(self)


@op("top.PixelNorm", "input,weight?,bias?")
class PixelNorm(Operation):
    """Standardization over the channels at every position, then times ``weight`` plus ``bias``, one of each a channel."""

    eps: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return channelwise(self, types)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        weight, bias = (by_channel(optional(inputs, i), values.ndim) for i in (1, 2))
        return [affine(standardize(values, (1,), self.eps), weight, bias)]

    def flops(self) -> int:
        return (10 + present_operands(self)) * elements(self)


@op("top.RMSNorm", "input,gamma?")
class RMSNorm(Operation):
    """x / sqrt(mean of x squared over the last axis + eps), times ``gamma``, which has that axis' extent."""

    eps: F64
    weight_keep_f32: Flag = False

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if not source.shape:
            reject(self, "an operand of 0 dimensions has no last axis")
        gamma = types[1] if len(types) > 1 else None
        if gamma is not None and broadcast(self, source.shape, gamma.shape) != source.shape:
            reject(self, f"gamma {gamma.shape} does not broadcast to {source.shape}")
        return [float_like(source, source.shape)]

    @np.errstate(all="ignore")
    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        wide = real(inputs).astype(np.float64)
        scale = 1 / np.sqrt(np.mean(np.square(wide), -1, keepdims=True) + self.eps)
        return [affine(wide * scale, optional(inputs, 1), None)]

    def flops(self) -> int:
        return (2 + present_operands(self)) * elements(self)


@op("top.LRN")
class LRN(Pointwise):
    """x / (bias + alpha / size times the sum of squares over ``size`` neighbouring channels) to the power beta."""

    size: I64
    alpha: F64 = 0.0001
    beta: F64 = 0.75
    bias: F64 = 1.0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        if len(present(self, types).shape) < 2 or self.size < 1:
            reject(self, f"size {self.size} must be positive and {present(self, types).shape} have channels")
        return super().infer(types)

    def apply(self, values: Array) -> Array:
        squares = np.square(values.astype(np.float64))
        before = (self.size - 1) // 2
        widths = [(0, 0)] * values.ndim
        widths[1] = (before, self.size - 1 - before)
        padded = np.pad(squares, widths)
        sums = sum((padded[:, tap : tap + values.shape[1]] for tap in range(self.size)), np.zeros_like(squares))
        result: Array = values / (self.bias + self.alpha / self.size * sums) ** self.beta
        return result

    def flops(self) -> int:
        return 4 * elements(self)


@op("top.Normalize", "input,scale")
class Normalize(Operation):
    """x over its L2 norm along the channels (and positions with ``across_spatial``), times ``scale``: one, or one a channel."""

    EPSILON: ClassVar[float] = 1e-10
    """Keeps an all-zero position finite (Caffe's Normalize layer)."""
    across_spatial: Flag = False
    channel_shared: Flag = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, scale = present(self, types), present(self, types, 1)
        if len(source.shape) < 2 or scale.elements not in (1, source.shape[1]):
            reject(self, f"scale {scale.shape} is neither one number nor one a channel of {source.shape}")
        return [float_like(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        axes = tuple(range(1, values.ndim)) if self.across_spatial else (1,)
        norm = np.sqrt(np.sum(np.square(values.astype(np.float64)), axes, keepdims=True) + self.EPSILON)
        return [affine(values / norm, by_channel(optional(inputs, 1), values.ndim), None)]

    def flops(self) -> int:
        return 2 * elements(self)
