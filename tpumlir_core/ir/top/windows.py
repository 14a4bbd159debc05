"""Sliding windows over the spatial axes: padding, output extents, im2col, separable pooling."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from tpumlir_core.ir.operation import Array, Operation
from tpumlir_core.ir.top.support import reject

Pads = tuple[tuple[int, int], ...]  # (begin, end) of every spatial axis
_BLOCK = 1 << 15
"""Numbers summed at a time by ``weigh`` (measured: half and twice as many are no faster)."""


def pads_of(
    operation: Operation, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int],
    dilations: Sequence[int], auto_pad: str | None,
) -> Pads:
    """(begin, end) padding of every axis: from ``pads`` (all begins, then all ends) or from ``auto_pad``."""
    dims = len(spatial)
    if not len(kernel) == len(strides) == len(dilations) == dims:
        reject(operation, f"kernel_shape, strides and dilations need {dims} entries for {dims} spatial axes")
    if min([*kernel, *strides, *dilations], default=1) < 1:
        reject(operation, "kernel_shape, strides and dilations must be positive")
    if auto_pad == "VALID":
        return ((0, 0),) * dims
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(_same(*axis, auto_pad) for axis in zip(spatial, kernel, strides, dilations, strict=True))
    if len(pads) != 2 * dims:
        reject(operation, f"pads has {len(pads)} entries; {dims} spatial axes need {2 * dims}, all begins then all ends")
    return tuple(zip(pads[:dims], pads[dims:], strict=True))


def _same(extent: int, kernel: int, stride: int, dilation: int, mode: str) -> tuple[int, int]:
    total = max(0, (-(-extent // stride) - 1) * stride + dilation * (kernel - 1) + 1 - extent)
    small, large = total // 2, total - total // 2
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def output_extents(
    operation: Operation, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: Pads,
    dilations: Sequence[int], ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Number of windows along every axis. With ``ceil_mode`` a last partial window counts unless it starts in the end padding."""
    result = []
    for extent, size, stride, (begin, end), dilation in zip(spatial, kernel, strides, pads, dilations, strict=True):
        room = extent + begin + end - (dilation * (size - 1) + 1)
        if room < 0:
            reject(operation, f"a kernel of {size} (dilation {dilation}) does not fit an axis of {extent} padded by {begin} and {end}")
        count = room // stride + 1
        if ceil_mode and room % stride and count * stride < extent + begin:
            count += 1
        result.append(count)
    return tuple(result)


def pad_spatial(values: Array, pads: Pads, fill: float) -> Array:
    """Pad the trailing axes with ``fill``; negative padding crops."""
    leading = values.ndim - len(pads)
    crop = tuple(slice(max(0, -begin), min(n, n + end)) for n, (begin, end) in zip(values.shape[leading:], pads, strict=True))
    values = values[(slice(None),) * leading + crop]
    if not any(begin > 0 or end > 0 for begin, end in pads):
        return values
    widths = ((0, 0),) * leading + tuple((max(0, begin), max(0, end)) for begin, end in pads)
    return np.pad(values, widths, constant_values=fill)


def taps(kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], extents: Sequence[int]) -> list[tuple[slice, ...]]:
    """For every kernel element, row-major: the strided slice of the padded axes that it meets over all windows."""
    return [
        tuple(
            slice(tap * dilation, tap * dilation + (extent - 1) * stride + 1, stride)
            for tap, dilation, extent, stride in zip(position, dilations, extents, strides, strict=True)
        )
        for position in itertools.product(*(range(k) for k in kernel))
    ]


def columns(image: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], extents: Sequence[int]) -> Array:
    """im2col of one padded image [C, spatial...]: [C, kernel elements, windows]."""
    if tuple(extents) == image.shape[1:] and all(size == 1 for size in kernel):
        return image.reshape(image.shape[0], 1, -1)
    slices = taps(kernel, strides, dilations, extents)
    result = np.empty((image.shape[0], len(slices), int(np.prod(extents))), image.dtype)
    for tap, window in enumerate(slices):
        result[:, tap] = image[(slice(None), *window)].reshape(image.shape[0], -1)
    return result


def weigh(image: Array, weights: Array, windows: Sequence[tuple[slice, ...]], result: Array) -> None:
    """Depthwise convolution of one padded image [C, spatial...] by weights [C, kernel elements], into ``result``.

    ``windows`` are the kernel's ``taps``. Some channels at a time, so that what is summed stays in the processor's cache.
    """
    block = max(1, _BLOCK // max(1, int(np.prod(result.shape[1:]))))
    for start in range(0, len(image), block):
        part, sums = image[start : start + block], result[start : start + block]
        factors = weights[start : start + block].T.reshape(len(windows), -1, *(1,) * (image.ndim - 1))
        np.multiply(part[(slice(None), *windows[0])], factors[0], out=sums)
        product = np.empty_like(sums)
        for window, factor in zip(windows[1:], factors[1:], strict=True):
            sums += np.multiply(part[(slice(None), *window)], factor, out=product)


def pool(
    values: Array, kernel: Sequence[int], strides: Sequence[int], extents: Sequence[int], fold: Callable[[Array, Array], Array]
) -> Array:
    """Fold every window of the padded trailing axes with ``fold`` (np.maximum or np.add), one axis after the other."""
    leading = values.ndim - len(kernel)
    for axis, (size, stride, extent) in enumerate(zip(kernel, strides, extents, strict=True), leading):
        prefix = (slice(None),) * axis
        parts = [values[(*prefix, slice(tap, tap + (extent - 1) * stride + 1, stride))] for tap in range(size)]
        values = parts[0]
        for part in parts[1:]:
            values = fold(values, part)
    return values
