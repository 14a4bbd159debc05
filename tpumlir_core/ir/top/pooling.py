"""Top dialect: pooling. Tensors are [N, C, spatial...]; pads are all begins, then all ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, AutoPadMode, Flag, I64s, RoundMode
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import activate, array, elements, float_like, present, real, reject
from tpumlir_core.ir.top.windows import Pads, output_extents, pad_spatial, pads_of, pool
from tpumlir_core.ir.types import TensorType


class _Pool(Operation):
    """What MaxPool and AvgPool share: an empty ``kernel_shape`` means one window over all spatial axes."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None
    auto_pad: AutoPadMode | None
    is_adaptive: Flag
    keepdims: Flag
    do_relu: Flag

    def kernel(self, spatial: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Kernel and strides for an input with spatial extents ``spatial``."""
        if self.is_adaptive:
            reject(self, "is_adaptive is not supported; use AdaptiveAvgPool")
        if not self.kernel_shape:
            return tuple(spatial), (1,) * len(spatial)
        return self.kernel_shape, self.strides

    def padding(self, spatial: Sequence[int]) -> Pads:
        """(begin, end) padding of every axis."""
        kernel, strides = self.kernel(spatial)
        return pads_of(self, spatial, kernel, strides, self.pads or (0,) * 2 * len(kernel), (1,) * len(kernel), self.auto_pad)

    def extents(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Spatial extents of the result."""
        kernel, strides = self.kernel(spatial)
        same = self.auto_pad in ("SAME_UPPER", "SAME_LOWER")
        ceil = bool(self.ceil_mode) and not same
        return output_extents(self, spatial, kernel, strides, self.padding(spatial), (1,) * len(kernel), ceil)

    def reach(self, spatial: Sequence[int]) -> Pads:
        """The padding with its ends stretched to cover the last window, which ``ceil_mode`` may let hang over."""
        (kernel, strides), pads = self.kernel(spatial), self.padding(spatial)
        return tuple(
            (begin, max(end, (count - 1) * stride + size - n - begin))
            for n, size, stride, (begin, end), count in zip(spatial, kernel, strides, pads, self.extents(spatial), strict=True)
        )

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if len(source.shape) < 3:
            reject(self, f"an input of {len(source.shape)} dimensions has no spatial axis")
        return [float_like(source, self.shape(source.shape[:2], self.extents(source.shape[2:])))]

    def shape(self, leading: Sequence[int], extents: Sequence[int]) -> tuple[int, ...]:
        """Shape of the result: without ``keepdims`` the spatial axes, then all 1, go."""
        if not self.keepdims and math.prod(extents) != 1:
            reject(self, f"keepdims is off, but the result has spatial extents {tuple(extents)}")
        return (*leading, *extents) if self.keepdims else tuple(leading)

    def flops(self) -> int:
        return elements(self) * (math.prod(self.kernel(self.input.shape[2:])[0]) + self.do_relu)


@op("top.MaxPool")
class MaxPool(_Pool):
    """Greatest value of every window; padding never wins."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None = None
    auto_pad: AutoPadMode | None = None
    is_adaptive: Flag = False
    keepdims: Flag = True
    pad_value: I64 = 0
    count_include_pad: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    first_round_mode: RoundMode = "HalfAwayFromZero"

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        spatial = values.shape[2:]
        padded = pad_spatial(values, self.reach(spatial), -np.inf)
        result = pool(padded, *self.kernel(spatial), self.extents(spatial), np.maximum)
        return [activate(result, self.do_relu, self.relu_limit).reshape(self.shape(result.shape[:2], result.shape[2:])).copy()]


@op("top.AvgPool")
class AvgPool(_Pool):
    """Mean of every window; padding counts as ``pad_value`` with ``count_include_pad``, else not at all.

    The overhang of ``ceil_mode`` beyond the padding never counts.
    """

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None = None
    auto_pad: AutoPadMode | None = None
    is_adaptive: Flag = False
    keepdims: Flag = True
    pad_value: I64 = 0
    count_include_pad: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    first_round_mode: RoundMode = "HalfAwayFromZero"

    def counts(self, spatial: Sequence[int]) -> Array:
        """Number of elements that every window averages, over the result's spatial axes."""
        pads, reach = self.padding(spatial), self.reach(spatial)
        inside = tuple(n + begin + end if self.count_include_pad else n for n, (begin, end) in zip(spatial, pads, strict=True))
        edges = tuple(
            (0, far - end) if self.count_include_pad else (begin, far)
            for (begin, end), (_, far) in zip(pads, reach, strict=True)
        )
        ones = pad_spatial(np.ones(inside, np.float32), edges, 0.0)
        return pool(ones, *self.kernel(spatial), self.extents(spatial), np.add)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        spatial = values.shape[2:]
        fill = float(self.pad_value) if self.count_include_pad else 0.0
        sums = pool(pad_spatial(values, self.reach(spatial), fill), *self.kernel(spatial), self.extents(spatial), np.add)
        with np.errstate(invalid="ignore"):  # a window of nothing but padding that does not count has no mean
            result = activate(sums / self.counts(spatial), self.do_relu, self.relu_limit)
        return [result.reshape(self.shape(result.shape[:2], result.shape[2:]))]


@op("top.AdaptiveAvgPool")
class AdaptiveAvgPool(Operation):
    """Mean over windows that split every spatial axis into ``output_size`` parts: [floor(i n / m), ceil((i + 1) n / m))."""

    output_size: I64s

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if not 0 < len(self.output_size) < len(source.shape) or min(self.output_size) < 1:
            reject(self, f"output_size {self.output_size} does not suit an input of {len(source.shape)} dimensions")
        return [float_like(source, (*source.shape[: -len(self.output_size)], *self.output_size))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        result = real(inputs)
        for axis, parts in enumerate(self.output_size, array(inputs).ndim - len(self.output_size)):
            extent = result.shape[axis]
            windows = [slice(i * extent // parts, -(-(i + 1) * extent // parts)) for i in range(parts)]
            result = np.stack([result[(slice(None),) * axis + (w,)].mean(axis) for w in windows], axis)
        return [result]

    def flops(self) -> int:
        pairs = zip(reversed(self.input.shape), reversed(self.output_size), strict=False)
        return elements(self) * math.prod(n - (parts - 1) * (n // parts) for n, parts in pairs)
