"""Resampling of images: nearest, linear and cubic, and sampling at computed positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, top
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Floats, Ints, Tensor

_CUBIC = -0.75
"""The parameter of PyTorch's cubic interpolation (aten/src/ATen/native/UpSample.h)."""


@dataclass(frozen=True)
class _Axis:
    """An axis that changes: its extent, its new size, and how far apart the new positions lie in the old ones."""

    axis: int
    extent: int
    size: int
    step: float
    align_corners: bool = False

    def nearest(self, exact: bool) -> Array:
        """The index of the old element that every new one is."""
        places = (np.arange(self.size, dtype=np.float32) + np.float32(0.5 if exact else 0)) * np.float32(self.step)
        indices: Array = np.minimum(np.floor(places).astype(np.int64), self.extent - 1)
        return indices

    def positions(self) -> Array:
        """Positions among the old elements, not limited to them."""
        shift = np.float32(0 if self.align_corners else 0.5)
        places: Array = (np.arange(self.size, dtype=np.float32) + shift) * np.float32(self.step) - shift
        return places

    def linear(self) -> Array:
        """The [size, extent] matrix of linear interpolation."""
        x = np.clip(self.positions(), 0, self.extent - 1)
        low = np.minimum(np.floor(x).astype(np.int64), max(self.extent - 2, 0))
        part = (x - low).astype(np.float32)
        matrix = np.zeros((self.size, self.extent), np.float32)
        rows = np.arange(self.size)
        matrix[rows, low] = 1 - part
        matrix[rows, np.minimum(low + 1, self.extent - 1)] += part
        return matrix

    def cubic(self) -> Array:
        """The [size, extent] matrix of cubic convolution; beyond the border the last element is repeated."""
        x = self.positions()
        low = np.floor(x).astype(np.int64)
        part = (x - low).astype(np.float64)
        matrix = np.zeros((self.size, self.extent), np.float32)
        for tap in range(-1, 3):
            places = np.clip(low + tap, 0, self.extent - 1)
            np.add.at(matrix, (np.arange(self.size), places), _cubic_weight(np.abs(part - tap)).astype(np.float32))
        return matrix


def _cubic_weight(distance: Array) -> Array:
    a, d = _CUBIC, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _axes(
    x: Tensor, count: int, output_size: Sequence[int] | None, scales: Sequence[float | None], align_corners: bool
) -> list[_Axis]:
    """The axes that change, from their sizes or from factors."""
    if x.rank != count + 2:
        raise InputError(f"an input of shape {list(x.shape)} has no {count} spatial axes")
    factors = [*scales, *(None,) * (count - len(scales))]
    if any(f is not None and not (math.isfinite(f) and f > 0) for f in factors):
        raise InputError(f"scales {factors} must be positive")
    spatial = x.shape[2:]
    if output_size is None:
        if None in factors[:count]:
            raise InputError("neither sizes nor scales are given")
        output_size = [math.floor(n * f) for n, f in zip(spatial, factors, strict=False) if f is not None]
    if len(output_size) != count or min(output_size) < 1:
        raise InputError(f"sizes {list(output_size)} do not fit shape {list(x.shape)}")
    axes = []
    for i, (n, size, factor) in enumerate(zip(spatial, output_size, factors, strict=False)):
        step = 1 / factor if factor is not None else n / size
        if align_corners:
            step = (n - 1) / (size - 1) if size > 1 else 0.0
        if size != n or (step != 1 and not align_corners):
            axes.append(_Axis(i + 2, n, size, step, align_corners))
    return axes


def _factors(scales: Sequence[Floats | None], named: Mapping[str, Floats | None], count: int) -> Sequence[float]:
    """One factor for each axis, where they are given: a list, or one argument an axis, outermost first."""
    separate = [named.get(name) for name in ("scales_d", "scales_h", "scales_w", "scales")]
    found = [factor for given in (named.get("scale_factors"), *scales, *separate) for factor in given or ()]
    if len(found) not in (0, count):
        raise InputError(f"{len(found)} scales for {count} axes")
    return found


def _nearest(count: int, exact: bool = False) -> Converter:
    """``(x, sizes, scale_h, scale_w)``, or with a list of factors in the third place (``.vec``)."""

    def convert(
        im: Importer, self: Tensor, output_size: Ints | None, *scales: Floats | None, **named: Floats | None
    ) -> Tensor:
        given = _factors(scales, named, count)
        axes = _axes(self, count, output_size, given, False)
        im.check_size([*self.shape[:2], *(output_size or [a.size for a in axes])])
        return _by_tables(im, self, {a.axis: a.nearest(exact) for a in axes})

    return convert


def _by_tables(im: Importer, x: Tensor, tables: Mapping[int, Array]) -> Tensor:
    factors = _repeats(x.shape, tables)
    if factors is not None:
        return im.emit(top.Upsample, [x], scale_h=factors[0], scale_w=factors[1])
    for axis, table in tables.items():
        x = im.emit(top.Gather, [x, im.array(table, "int64", f"places{axis}")], axis=axis)
    return x


def _repeats(shape: Sequence[int], tables: Mapping[int, Array]) -> tuple[int, int] | None:
    """(height, width) factors if the tables just repeat every element of the last two axes of an image."""
    if len(shape) != 4 or not tables:
        return None
    factors = [1, 1]
    for axis, table in tables.items():
        factor, rest = divmod(table.size, shape[axis])
        if rest or not np.array_equal(table, np.repeat(np.arange(shape[axis]), factor)):
            return None
        factors[axis - 2] = factor
    return factors[0], factors[1]


def _interpolated(count: int, cubic: bool = False) -> Converter:
    """``(x, sizes, align_corners, scale_h, scale_w)``, or with a list of factors in the fourth place (``.vec``)."""

    def convert(
        im: Importer, self: Tensor, output_size: Ints | None, align_corners: bool, *scales: Floats | None, **named: Floats | None
    ) -> Tensor:
        given = _factors(scales, named, count)
        axes = _axes(self, count, output_size, given, align_corners)
        im.check_size([*self.shape[:2], *(output_size or [a.size for a in axes])])
        if not cubic and _fits_interp(self.shape, axes):
            scale = {a.axis: a.size / a.extent for a in axes}
            mode = "align_corners" if align_corners else "half_pixel"
            return im.emit(top.Interp, [self], mode="linear", coord_mode=mode, scale_h=scale.get(2, 1.0), scale_w=scale.get(3, 1.0))
        result = self
        for axis in axes:
            im.check_size([axis.size, axis.extent])
            result = _along(im, result, axis.axis, axis.cubic() if cubic else axis.linear())
        return result

    return convert


def _fits_interp(shape: Sequence[int], axes: Sequence[_Axis]) -> bool:
    """Whether Interp computes this: the last two axes of an image, sizes that are exactly the scale times the extent."""
    exact = all(a.size == math.floor(a.size / a.extent * a.extent) and (a.align_corners or a.step * a.size == a.extent) for a in axes)
    return len(shape) == 4 and bool(axes) and exact


def _along(im: Importer, x: Tensor, axis: int, matrix: Array) -> Tensor:
    """A matrix applied to one axis, moved last for it."""
    order = [i for i in range(x.rank) if i != axis] + [axis]
    moved = x if axis == x.rank - 1 else im.step(f"last{axis}", top.Permute, [x], order=tuple(order))
    weights = im.array(np.ascontiguousarray(matrix.T), "float32", f"weights{axis}")
    result = im.step(f"axis{axis}", top.MatMul, [moved, weights])
    return result if moved is x else im.step(f"back{axis}", top.Permute, [result], order=tuple(order.index(i) for i in range(x.rank)))


def grid_sampler(
    im: Importer, self: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    if interpolation_mode not in (0, 1) or self.rank != 4:
        raise im.refusal("cubic interpolation, or other than two spatial axes")
    return im.emit(top.GridSampler, [self, grid], mode=interpolation_mode, padding_mode=padding_mode, align_corners=align_corners)


CONVERTERS: Mapping[str, Converter] = {
    **{f"upsample_nearest{n}d": _nearest(n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _nearest(n, exact=True) for n in (1, 2, 3)},
    "upsample_linear1d": _interpolated(1), "upsample_bilinear2d": _interpolated(2), "upsample_trilinear3d": _interpolated(3),
    "upsample_bicubic2d": _interpolated(2, cubic=True), "grid_sampler": grid_sampler, "grid_sampler_2d": grid_sampler,
}
