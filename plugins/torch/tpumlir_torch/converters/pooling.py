"""Pooling. ``ceil_mode`` is resolved here into longer end pads, so that no two readings of it remain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import ceil_end
from tpumlir_core.ir import top
from tpumlir_torch.importer import Converter, Failed, Importer
from tpumlir_torch.parameters import each
from tpumlir_torch.tensor import Ints, Tensor


@dataclass(frozen=True)
class _Window:
    """A pool's window: ``pads`` before and after each axis, ``reach`` after it as far as the last windows need."""

    kernel: Ints
    strides: Ints
    pads: Ints
    reach: Ints


def _window(x: Tensor, kernel_size: Ints, stride: Ints, padding: Ints, ceil_mode: bool, count: int) -> _Window:
    kernel = each(kernel_size, count, "kernel_size", 1)
    strides = each(stride, count, "stride", 1) if stride else kernel
    pads = each(padding, count, "padding")
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise InputError(f"padding {list(pads)} is more than half of the window {list(kernel)}")
    reach = pads
    if ceil_mode:
        reach = tuple(ceil_end(n, k, s, p, p) for n, k, s, p in zip(x.shape[-count:], kernel, strides, pads, strict=True))
    return _Window(kernel, strides, pads, reach)


def _image(im: Importer, x: Tensor, count: int) -> Tensor:
    if x.rank not in (count + 1, count + 2):
        raise InputError(f"an input of shape {list(x.shape)} has no {count} spatial axes after its channels")
    return x if x.rank == count + 2 else im.step("image", top.Unsqueeze, [x], axes=(0,))


def _unbatched(im: Importer, x: Tensor, result: Tensor) -> Tensor:
    return result if result.rank == x.rank else im.emit(top.Reshape, [result], shape=result.shape[1:])


def _max_pool(count: int) -> Converter:
    def convert(
        im: Importer, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,), dilation: Ints = (1,),
        ceil_mode: bool = False,
    ) -> Tensor:
        if any(d != 1 for d in dilation):
            raise im.refusal("dilation")
        window = _window(self, kernel_size, stride, padding, ceil_mode, count)
        pooled = im.emit(
            top.MaxPool, [_image(im, self, count)], kernel_shape=window.kernel, strides=window.strides, pads=(*window.pads, *window.reach)
        )
        return _unbatched(im, self, pooled)

    return convert


def _with_indices(count: int) -> Converter:
    """The values, and in place of the indices, which no Top operation gives, a tensor that cannot be used."""
    plain = _max_pool(count)

    def convert(
        im: Importer, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,), dilation: Ints = (1,),
        ceil_mode: bool = False,
    ) -> list[Tensor]:
        values = plain(im, self, kernel_size, stride, padding, dilation, ceil_mode)
        assert isinstance(values, Tensor)
        return [values, Failed(values.value, "int64", reason=f"{im.operator} with indices (node {im.label})")]

    return convert


def _avg_pool(count: int) -> Converter:
    def convert(
        im: Importer, self: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = (0,), ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Tensor:
        window = _window(self, kernel_size, stride, padding, ceil_mode, count)
        pooled = _average(im, _image(im, self, count), window, count_include_pad, divisor_override, count)
        return _unbatched(im, self, pooled)

    return convert


def _average(im: Importer, x: Tensor, window: _Window, include: bool, divisor: int | None, count: int) -> Tensor:
    pads = (*window.pads, *window.reach)
    if (include or divisor) and window.reach != window.pads:
        # The declared padding counts as elements, what ceil mode adds does not: make the former real zeros.
        borders = (0, 0, *window.pads, 0, 0, *window.pads)
        x = im.step("padded", top.Pad, [x], paddings=borders, val=0.0, mode="constant")
        pads, include = (0,) * count + tuple(r - p for r, p in zip(window.reach, window.pads, strict=True)), False
        if divisor:
            raise im.refusal("divisor_override and ceil_mode")
    attributes: dict[str, Any] = {"kernel_shape": window.kernel, "strides": window.strides, "pads": pads}
    if not divisor:
        return im.emit(top.AvgPool, [x], count_include_pad=include, **attributes)
    mean = im.step("mean", top.AvgPool, [x], count_include_pad=True, **attributes)
    return im.emit(top.MulConst, [mean], const_val=float(np.prod(window.kernel)) / divisor)


def _adaptive_size(x: Tensor, output_size: Sequence[int | None], count: int) -> Ints:
    wanted = list(output_size) * (count if len(output_size) == 1 else 1)
    if len(wanted) != count or x.rank not in (count + 1, count + 2):
        raise InputError(f"output_size {list(output_size)} does not fit shape {list(x.shape)}")
    sizes = tuple(n if n is not None else x.shape[i - count] for i, n in enumerate(wanted))
    if min(sizes) < 1:
        raise InputError(f"output_size {list(sizes)} is empty")
    return sizes


def _adaptive_average(count: int) -> Converter:
    def convert(im: Importer, self: Tensor, output_size: tuple[int | None, ...]) -> Tensor:
        sizes = _adaptive_size(self, output_size, count)
        x = _image(im, self, count)
        if all(n % m == 0 for n, m in zip(x.shape[2:], sizes, strict=True)):
            kernel = tuple(n // m for n, m in zip(x.shape[2:], sizes, strict=True))
            pooled = im.emit(top.AvgPool, [x], kernel_shape=kernel, strides=kernel, pads=(0,) * 2 * count, count_include_pad=True)
        else:
            pooled = im.emit(top.AdaptiveAvgPool, [x], output_size=sizes)
        return _unbatched(im, self, pooled)

    return convert


def _adaptive_maximum(count: int) -> Converter:
    """Where windows are all alike a pool, else the maximum of every window, axis by axis."""

    def convert(im: Importer, self: Tensor, output_size: tuple[int | None, ...]) -> list[Tensor]:
        sizes = _adaptive_size(self, output_size, count)
        x = _image(im, self, count)
        if all(n % m == 0 for n, m in zip(x.shape[2:], sizes, strict=True)):
            kernel = tuple(n // m for n, m in zip(x.shape[2:], sizes, strict=True))
            pooled = im.emit(top.MaxPool, [x], kernel_shape=kernel, strides=kernel, pads=(0,) * 2 * count)
        else:
            pooled = x
            for axis, parts in enumerate(sizes, 2):
                pooled = _window_maxima(im, pooled, axis, parts)
        values = _unbatched(im, self, pooled)
        return [values, Failed(values.value, "int64", reason=f"{im.operator} with indices (node {im.label})")]

    return convert


def _window_maxima(im: Importer, x: Tensor, axis: int, parts: int) -> Tensor:
    extent = x.shape[axis]
    rows = []
    for i in range(parts):
        low, high = i * extent // parts, -(-(i + 1) * extent // parts)
        window = im.step("window", top.Slice, [x], axes=(axis,), offset=(low,), steps=(1,), ends=(high,))
        rows.append(im.step("maximum", top.Reduce, [window], axes=(axis,), keepdims=True, mode="ReduceMax"))
    return im.emit(top.Concat, rows, axis=axis) if len(rows) > 1 else rows[0]


CONVERTERS: Mapping[str, Converter] = {
    **{f"max_pool{n}d": _max_pool(n) for n in (1, 2, 3)}, **{f"max_pool{n}d_with_indices": _with_indices(n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)}, **{f"adaptive_avg_pool{n}d": _adaptive_average(n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adaptive_average(n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive_maximum(n) for n in (1, 2, 3)},
}
