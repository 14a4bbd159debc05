"""Top dialect: convolutions and matrix products. Tensors are [N, C, spatial...]; pads are all begins, then all ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, AutoPadMode, Flag, I64s, Str
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import activate, broadcast, elements, float_like, optional, present, present_operands, real, reject
from tpumlir_core.ir.top.windows import Pads, columns, output_extents, pad_spatial, pads_of, taps, weigh
from tpumlir_core.ir.types import TensorType


def _check_ranks(operation: Operation, source: TensorType, weights: TensorType, kernel: Sequence[int], group: int) -> None:
    ranks = {len(source.shape), len(weights.shape), len(kernel) + 2}
    if len(ranks) > 1 or len(source.shape) < 3:
        reject(operation, f"input {source.shape}, filter {weights.shape} and kernel_shape {tuple(kernel)} do not suit each other")
    if group < 1:
        reject(operation, f"group is {group}; it must be positive")


def _check_bias(operation: Operation, types: Sequence[TensorType | None], filters: int) -> None:
    bias = types[2] if len(types) > 2 else None
    if bias is not None and bias.elements != filters:
        reject(operation, f"bias {bias.shape} does not hold one number for each of {filters} filters")


def _per_axis(operation: Operation, name: str, values: Sequence[int] | None, axes: int, default: int) -> tuple[int, ...]:
    """An optional attribute of one number a spatial axis; ``default`` everywhere where it is absent."""
    found = tuple(values) if values else (default,) * axes
    if len(found) != axes or min(found, default=0) < 0:
        reject(operation, f"{name} {found} must hold a number that is not negative for each of {axes} spatial axes")
    return found


@op("top.Conv", "input,filter,bias?")
class Conv(Operation):
    """Convolution of 1, 2 or 3 spatial axes: filter [OC, C/group, kernel...], bias [OC]; ``inserts`` zeros go between inputs."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    group: I64 = 1
    dilations: I64s | None = None
    inserts: I64s | None = None
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    dynweight_reorderd: Flag = False
    weight_is_coeff: I64 = 1
    do_winograd: Flag | None = None
    auto_pad: AutoPadMode | None = None
    in_int4_scale: F64 | None = None
    in_int4_zp: F64 | None = None
    out_int8_scale: F64 | None = None
    out_int8_zp: F64 | None = None
    weight_bits: I64 | None = None

    def steps(self) -> tuple[int, ...]:
        """Dilation of every spatial axis (1: a dense kernel)."""
        return _per_axis(self, "dilations", self.dilations, len(self.kernel_shape), 1)

    def padding(self, spatial: Sequence[int]) -> Pads:
        """(begin, end) padding of every axis of an input with these spatial extents (``inserts`` already applied)."""
        return pads_of(self, spatial, self.kernel_shape, self.strides, self.pads, self.steps(), self.auto_pad)

    def spread(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Spatial extents after ``inserts``."""
        gaps = _per_axis(self, "inserts", self.inserts, len(spatial), 0)
        return tuple((extent - 1) * (gap + 1) + 1 for extent, gap in zip(spatial, gaps, strict=True))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, weights = present(self, types), present(self, types, 1)
        _check_ranks(self, source, weights, self.kernel_shape, self.group)
        channels, filters = source.shape[1], weights.shape[0]
        wanted = (filters, channels // self.group, *self.kernel_shape)
        if channels % self.group or filters % self.group or weights.shape != wanted:
            reject(self, f"filter {weights.shape} does not suit {channels} channels in {self.group} groups; wanted {wanted}")
        _check_bias(self, types, filters)
        spatial = self.spread(source.shape[2:])
        extents = output_extents(self, spatial, self.kernel_shape, self.strides, self.padding(spatial), self.steps())
        return [float_like(source, (source.shape[0], filters, *extents))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, weights, bias = real(inputs), real(inputs, 1), optional(inputs, 2)
        if self.inserts and any(self.inserts):
            wide = np.zeros((*values.shape[:2], *self.spread(values.shape[2:])), np.float32)
            wide[(slice(None), slice(None), *(slice(None, None, gap + 1) for gap in self.inserts))] = values
            values = wide
        result = self.sums(values, weights, 0.0)
        if bias is not None:
            result += bias.reshape(-1, *(1,) * (result.ndim - 2))
        return [activate(result, self.do_relu, self.relu_limit)]

    def sums(self, values: Array, weights: Array, outside: float) -> Array:
        """The convolution itself, in the arrays' type; ``outside`` is what padding holds."""
        pads = self.padding(values.shape[2:])
        extents = output_extents(self, values.shape[2:], self.kernel_shape, self.strides, pads, self.steps())
        values = pad_spatial(values, pads, outside)
        result = np.empty((values.shape[0], weights.shape[0], *extents), values.dtype)
        for image, target in zip(values, result, strict=True):
            if self.group == len(image) == len(target):
                weigh(image, weights.reshape(self.group, -1), taps(self.kernel_shape, self.strides, self.steps(), extents), target)
            else:
                self._multiply(image, weights, target)
        return result

    def _multiply(self, image: Array, weights: Array, target: Array) -> None:
        """One padded image's sums as matrix products, a group at a time."""
        cols = columns(image, self.kernel_shape, self.strides, self.steps(), target.shape[1:])
        grouped = weights.reshape(self.group, weights.shape[0] // self.group, -1)
        np.matmul(grouped, cols.reshape(self.group, -1, cols.shape[2]), out=target.reshape(self.group, -1, cols.shape[2]))

    def flops(self) -> int:
        filters = self.operands[1]
        assert filters is not None
        taps_per_output = math.prod(filters.shape[1:])
        return elements(self) * (2 * taps_per_output + present_operands(self, 2) + self.do_relu)


@op("top.Deconv", "input,filter,bias?")
class Deconv(Operation):
    """Transposed convolution; the filter's data is [group, OC/group, C/group, kernel...].

    Its declared shape is [OC/group, C, kernel...] as tpu-mlir 1.30.2 imports it ([OC, C, ...] without groups).
    """

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    group: I64 = 1
    dilations: I64s | None = None
    output_padding: I64s | None = None
    dynweight_reorderd: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0

    def steps(self) -> tuple[int, ...]:
        """Dilation of every spatial axis (1: a dense kernel)."""
        return _per_axis(self, "dilations", self.dilations, len(self.kernel_shape), 1)

    def padding(self, spatial: Sequence[int]) -> Pads:
        """(begin, end) crop of every axis of the full transposed convolution."""
        return pads_of(self, spatial, self.kernel_shape, self.strides, self.pads, self.steps(), None)

    def extents(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Spatial extents of the result for an input with extents ``spatial``."""
        extra = _per_axis(self, "output_padding", self.output_padding, len(spatial), 0)
        pads = self.padding(spatial)
        result = tuple(n - begin - end + more for n, (begin, end), more in zip(self._full(spatial), pads, extra, strict=True))
        if min(result, default=1) < 1:
            reject(self, f"pads {self.pads} leave nothing of the result")
        return result

    def _full(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Spatial extents before cropping."""
        axes = zip(spatial, self.strides, self.steps(), self.kernel_shape, strict=True)
        return tuple(stride * (extent - 1) + dilation * (size - 1) + 1 for extent, stride, dilation, size in axes)

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, weights = present(self, types), present(self, types, 1)
        _check_ranks(self, source, weights, self.kernel_shape, self.group)
        channels = source.shape[1]
        if channels % self.group or weights.shape[1:] != (channels, *self.kernel_shape):
            wanted = ("OC/group", channels, *self.kernel_shape)
            reject(self, f"filter {weights.shape} does not suit {channels} channels in {self.group} groups; wanted {wanted}")
        filters = weights.shape[0] * self.group
        _check_bias(self, types, filters)
        return [float_like(source, (source.shape[0], filters, *self.extents(source.shape[2:])))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, weights, bias = real(inputs), real(inputs, 1), optional(inputs, 2)
        batch, channels, *spatial = values.shape
        filters, extents, pads = weights.shape[0] * self.group, self.extents(spatial), self.padding(spatial)
        shape = (self.group, weights.shape[0], channels // self.group, math.prod(self.kernel_shape))
        factors = np.ascontiguousarray(weights.reshape(shape).transpose(0, 1, 3, 2)).reshape(self.group, -1, shape[2])
        full = self._full(spatial)
        canvas = np.zeros((batch, filters, *full), np.float32)
        windows = taps(self.kernel_shape, self.strides, self.steps(), spatial)
        for image, target in zip(values, canvas, strict=True):
            spots = np.matmul(factors, image.reshape(self.group, shape[2], -1)).reshape(filters, len(windows), *spatial)
            for tap, window in enumerate(windows):
                target[(slice(None), *window)] += spots[:, tap]
        # Crop by the pads; output_padding and negative pads widen with zeros instead.
        moves = tuple((-begin, out + begin - n) for n, (begin, _), out in zip(full, pads, extents, strict=True))
        result = pad_spatial(canvas, moves, 0.0)
        if bias is not None:
            result = result + bias.reshape(-1, *(1,) * len(spatial))
        return [np.ascontiguousarray(activate(result, self.do_relu, self.relu_limit))]

    def flops(self) -> int:
        per_input = 2 * math.prod(self.kernel_shape) * (self.output.shape[1] // self.group)
        return math.prod(self.input.shape) * (per_input + present_operands(self, 2) + self.do_relu)


@op("top.MatMul", "input,right,bias?")
class MatMul(Operation):
    """Matrix product with numpy's broadcasting of batch axes and 1-D operands; the bias broadcasts onto the result.

    Without ``keep_dims`` all axes of the result but the last become one.
    """

    right_transpose: Flag = False
    left_transpose: Flag = False
    output_transpose: Flag = False
    hdim_is_batch: Flag = False
    keep_dims: Flag = True
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_lora: Flag = False
    weight_bits: I64 | None = None
    in_int4_scale: F64 | None = None
    in_int4_zp: F64 | None = None
    out_int8_scale: F64 | None = None
    out_int8_zp: F64 | None = None
    dq_type: Str = "NONE"
    q_group_size: I64 = 0

    def shapes(self, left: Sequence[int], right: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The operands' shapes as [..., M, K] and [..., K, N] after ``left_transpose`` and ``right_transpose``."""
        if self.hdim_is_batch or self.output_transpose or self.dq_type != "NONE":
            reject(self, "hdim_is_batch, output_transpose and dq_type are not supported")
        if not left or not right:
            reject(self, "operands must have at least one dimension")
        swapped = [
            (*shape[:-2], shape[-1], shape[-2]) if flag and len(shape) > 1 else tuple(shape)
            for shape, flag in ((left, self.left_transpose), (right, self.right_transpose))
        ]
        if swapped[0][-1] != swapped[1][-2:][0]:
            reject(self, f"inner dimensions of {swapped[0]} and {swapped[1]} differ")
        return swapped[0], swapped[1]

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        left, right = self.shapes(source.shape, present(self, types, 1).shape)
        shape = (*broadcast(self, left[:-2], right[:-2]), *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))
        if not self.keep_dims:
            if not shape:
                reject(self, "keep_dims is off, but the product of two vectors has no dimension")
            shape = (math.prod(shape[:-1]), shape[-1])
        bias = types[2] if len(types) > 2 else None
        if bias is not None and broadcast(self, shape, bias.shape) != shape:
            reject(self, f"bias {bias.shape} does not broadcast to {shape}")
        return [float_like(source, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        left, right, bias = real(inputs), real(inputs, 1), optional(inputs, 2)
        result = self.product(left, right)
        if bias is not None:
            result = result + bias
        return [np.asarray(activate(result, self.do_relu, self.relu_limit))]

    def product(self, left: Array, right: Array) -> Array:
        """The product itself, in the arrays' type."""
        self.shapes(left.shape, right.shape)
        if self.left_transpose and left.ndim > 1:
            left = left.swapaxes(-1, -2)
        if self.right_transpose and right.ndim > 1:
            right = right.swapaxes(-1, -2)
        result: Array = np.matmul(left, right)
        return result if self.keep_dims else result.reshape(-1, result.shape[-1])

    def flops(self) -> int:
        inner = self.input.shape[-2 if self.left_transpose and len(self.input.shape) > 1 else -1]
        return elements(self) * (2 * inner + present_operands(self, 2) + self.do_relu)
