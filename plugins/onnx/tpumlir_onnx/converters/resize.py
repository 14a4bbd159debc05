"""Resize and Upsample: nearest, linear and cubic, with every coordinate mode of ONNX.

Nearest becomes an integer Upsample or gathers along the axes; linear becomes an Interp where its coordinate mode has one, else
a matrix product along each axis, as cubic does. So no two readings of the coordinates remain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import integers_of, normal_axis

_INTERP_MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_COORDINATES = (*_INTERP_MODES, "half_pixel_symmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")
_CUBIC_COEFFICIENT = -0.75
"""What ONNX takes for ``cubic_coeff_a`` where a node has none."""
_LARGEST_COEFFICIENT = 1000.0
"""Far more than any kernel of cubic convolution has, and far less than what leaves no digits."""
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized: ``extent`` becomes ``size``, coordinates divide by ``scale``; ``roi`` only for cropping."""

    axis: int
    extent: int
    size: int
    scale: float
    roi: tuple[float, float]

    def coordinates(self, mode: str) -> Array:
        """The input coordinate of every output position (ONNX Resize, coordinate_transformation_mode).

        In float32 and in onnxruntime's order, so that nearest meets the same ties.
        """
        x, scale, last = np.arange(self.size, dtype=np.float32), np.float32(self.scale), np.float32(self.extent - 1)
        half = np.float32(0.5)
        if mode == "asymmetric":
            return x / scale
        if mode == "align_corners":
            return x * last / np.float32(self.size - 1) if self.size > 1 else np.zeros(1, np.float32)
        if mode == "tf_half_pixel_for_nn":
            return (x + half) / scale
        if mode == "tf_crop_and_resize":
            start, end = (np.float32(r) * last for r in self.roi)
            return start + x * (end - start) / np.float32(self.size - 1) if self.size > 1 else np.full(1, (start + end) * half)
        if mode == "pytorch_half_pixel" and self.size == 1:
            return np.zeros(1, np.float32)
        offset = np.float32(0)
        if mode == "half_pixel_symmetric":
            offset = np.float32(self.extent) * half * (1 - np.float32(self.size) / (scale * np.float32(self.extent)))
        return offset + (x + half) / scale - half

    def nearest(self, mode: str, rounding: str) -> Array:
        """The input index of every output position."""
        x = self.coordinates(mode)
        half = np.float32(0.5)
        rounded = {
            "round_prefer_floor": np.ceil(x - half), "round_prefer_ceil": np.floor(x + half), "floor": np.floor(x), "ceil": np.ceil(x),
        }[rounding]
        return np.clip(rounded, 0, self.extent - 1).astype(np.int64)

    def weights(self, mode: str) -> Array:
        """The [size, extent] matrix of linear interpolation."""
        x = np.clip(self.coordinates(mode), 0, self.extent - 1)
        low = np.minimum(np.floor(x).astype(np.int64), max(self.extent - 2, 0))
        part = (x - low).astype(np.float32)
        matrix = np.zeros((self.size, self.extent), np.float32)
        rows = np.arange(self.size)
        matrix[rows, low] = 1 - part
        matrix[rows, np.minimum(low + 1, self.extent - 1)] += part
        return matrix

    def cubic_weights(self, mode: str, a: float, exclude_outside: bool) -> Array:
        """The [size, extent] matrix of cubic interpolation with coefficient ``a``.

        Outside the tensor its border goes on, or with ``exclude_outside`` nothing is taken from there and the rest is weighted up.
        """
        x = self.coordinates(mode).astype(np.float64)
        low = np.floor(x).astype(np.int64)
        matrix = np.zeros((self.size, self.extent))
        for tap in (-1, 0, 1, 2):
            weight = _cubic_kernel(np.abs(x - low - tap), a)
            if exclude_outside:
                weight[(low + tap < 0) | (low + tap >= self.extent)] = 0
            np.add.at(matrix, (np.arange(self.size), np.clip(low + tap, 0, self.extent - 1)), weight)
        normalized: Array = (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)
        return normalized


def _cubic_kernel(distance: Array, a: float) -> Array:
    """The kernel of cubic convolution (Keys, 1981) at distances of elements below 2, beyond which it is 0."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def resize(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    mode, coordinates, rounding = _modes(node)
    axes = [a for a in _axes(im, node, x.shape) if a.size != a.extent or a.scale != 1.0 or coordinates == "tf_crop_and_resize"]
    sizes = {a.axis: a.size for a in axes}
    im.check_size([sizes.get(i, extent) for i, extent in enumerate(x.shape)])
    if coordinates == "tf_crop_and_resize":
        _check_crop(node, axes, coordinates)
    if mode == "nearest":
        return _nearest(im, x, axes, coordinates, rounding)
    if mode == "cubic":
        return _cubic(im, node, x, axes, coordinates)
    return _linear(im, x, axes, coordinates)


def upsample(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    mode = node.text("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear"):
        raise InputError(f"{node}: mode '{mode}' is unknown")
    scales = node.attributes.get("scales") if node.opset < 9 else im.required(node, 1, "scales").reshape(-1).tolist()
    if not isinstance(scales, Sequence) or len(scales) != len(x.shape):
        raise InputError(f"{node}: scales do not fit shape {list(x.shape)}")
    axes = [_scaled(node, i, x.shape[i], float(s)) for i, s in enumerate(scales)]
    im.check_size([a.size for a in axes])
    axes = [a for a in axes if a.size != a.extent]
    if mode == "nearest":
        return _nearest(im, x, axes, "asymmetric", "floor")
    return _linear(im, x, axes, "asymmetric")


def _modes(node: Node) -> tuple[str, str, str]:
    """(mode, coordinate mode, rounding of nearest)."""
    mode = node.text("mode", "nearest")
    if node.flag("antialias"):
        raise UnsupportedError(f"Resize with antialias (node {node.label})")
    coordinates = node.text("coordinate_transformation_mode", "half_pixel") if node.opset >= 11 else "asymmetric"
    rounding = node.text("nearest_mode", "round_prefer_floor") if node.opset >= 11 else "floor"
    if mode not in ("nearest", "linear", "cubic") or coordinates not in _COORDINATES or rounding not in _ROUNDINGS:
        raise InputError(f"{node}: mode '{mode}', '{coordinates}' or '{rounding}' is unknown")
    return mode, coordinates, rounding


def _scaled(node: Node, axis: int, extent: int, scale: float, roi: tuple[float, float] = (0.0, 1.0)) -> _Axis:
    if not math.isfinite(scale) or scale <= 0:
        raise InputError(f"{node}: scale {scale} must be positive")
    size = math.floor(extent * (roi[1] - roi[0]) * scale)
    if size < 1:
        raise UnsupportedError(f"{node.op_type} with an empty result (node {node.label})")
    return _Axis(axis, extent, size, scale, roi)


def _axes(im: Importer, node: Node, shape: Sequence[int]) -> list[_Axis]:
    """What happens to the axes that the node names, from scales or sizes."""
    rank = len(shape)
    if node.opset < 11:
        factors = im.required(node, 1, "scales").reshape(-1)
        if factors.size != rank:
            raise InputError(f"{node}: {factors.size} scales for shape {list(shape)}")
        return [_scaled(node, i, shape[i], float(s)) for i, s in enumerate(factors)]
    axes = [normal_axis(node, a, rank) for a in node.integers("axes", range(rank))]
    regions = _regions(im, node, len(axes))
    scales, sizes = im.parameter(node, 2, "scales"), im.parameter(node, 3, "sizes")
    if sizes is not None and sizes.size:
        return _sized(node, axes, shape, integers_of(sizes), regions)
    if scales is None or scales.size != len(axes):
        raise InputError(f"{node}: scales do not fit its {len(axes)} axes")
    factors = scales.reshape(-1)
    return [_scaled(node, a, shape[a], float(s), r) for a, s, r in zip(axes, factors, regions, strict=True)]


def _regions(im: Importer, node: Node, count: int) -> list[tuple[float, float]]:
    """The region of interest of every axis, which only tf_crop_and_resize reads."""
    if node.text("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    roi = im.required(node, 1, "roi").reshape(-1)
    if roi.size != 2 * count:
        raise InputError(f"{node}: a roi of {roi.size} numbers for {count} axes")
    return [(float(roi[i]), float(roi[i + count])) for i in range(count)]


def _sized(
    node: Node, axes: Sequence[int], shape: Sequence[int], sizes: Sequence[int], regions: Sequence[tuple[float, float]]
) -> list[_Axis]:
    """Axes from target sizes, with the aspect ratio policy."""
    if len(sizes) != len(axes) or min(sizes) < 1:
        raise InputError(f"{node}: sizes {list(sizes)} do not fit its {len(axes)} axes")
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    scales = [size / shape[axis] for size, axis in zip(sizes, axes, strict=True)]
    if policy == "stretch":
        return [_Axis(a, shape[a], z, s, r) for a, z, s, r in zip(axes, sizes, scales, regions, strict=True)]
    if policy not in ("not_larger", "not_smaller"):
        raise InputError(f"{node}: keep_aspect_ratio_policy '{policy}' is unknown")
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [
        _Axis(a, shape[a], max(1, math.floor(scale * shape[a] + 0.5)), scale, r) for a, r in zip(axes, regions, strict=True)
    ]


def _check_crop(node: Node, axes: Sequence[_Axis], coordinates: str) -> None:
    for axis in axes:
        x = axis.coordinates(coordinates)
        if x.min() < 0 or x.max() > axis.extent - 1:
            raise UnsupportedError(f"Resize with a roi outside the tensor (node {node.label})")


def _nearest(im: Importer, x: Value, axes: Sequence[_Axis], coordinates: str, rounding: str) -> Value:
    tables = {a.axis: a.nearest(coordinates, rounding) for a in axes}
    factors = _repeats(x.shape, tables)
    if factors is not None:
        return im.emit(top.Upsample, [x], scale_h=factors[0], scale_w=factors[1])
    result = x
    for count, (axis, table) in enumerate(tables.items(), 1):
        indices = im.constant_result(f"indices{axis}", table)
        if count == len(tables):
            return im.emit(top.Gather, [result, indices], axis=axis)
        result = im.step(f"axis{axis}", top.Gather, [result, indices], axis=axis)
    return result


def _repeats(shape: Sequence[int], tables: Mapping[int, Array]) -> tuple[int, int] | None:
    """(height, width) factors if the tables just repeat every element of the last two axes of a 4-D tensor."""
    if len(shape) != 4 or not tables or not set(tables) <= {2, 3}:
        return None
    factors = [1, 1]
    for axis, table in tables.items():
        factor, rest = divmod(table.size, shape[axis])
        if rest or not np.array_equal(table, np.repeat(np.arange(shape[axis]), factor)):
            return None
        factors[axis - 2] = factor
    return factors[0], factors[1]


def _linear(im: Importer, x: Value, axes: Sequence[_Axis], coordinates: str) -> Value:
    if _fits_interp(x.shape, axes, coordinates):
        scales = {a.axis: a.size / a.extent for a in axes}
        return im.emit(
            top.Interp, [x], mode="linear", coord_mode=coordinates, scale_h=scales.get(2, 1.0), scale_w=scales.get(3, 1.0)
        )
    return _by_matrices(im, x, axes, lambda axis: axis.weights(coordinates))


def _cubic(im: Importer, node: Node, x: Value, axes: Sequence[_Axis], coordinates: str) -> Value:
    a, exclude_outside = node.number("cubic_coeff_a", _CUBIC_COEFFICIENT), node.flag("exclude_outside")
    if not abs(a) <= _LARGEST_COEFFICIENT:
        raise InputError(f"{node}: cubic_coeff_a {a} is beyond {_LARGEST_COEFFICIENT}")
    return _by_matrices(im, x, axes, lambda axis: axis.cubic_weights(coordinates, a, exclude_outside))


def _fits_interp(shape: Sequence[int], axes: Sequence[_Axis], coordinates: str) -> bool:
    """Whether Interp computes this: the last two axes of a 4-D tensor, sizes that are exactly scale times extent."""
    exact = all(a.size == math.floor(a.size / a.extent * a.extent) and a.scale * a.extent == a.size for a in axes)
    return len(shape) == 4 and bool(axes) and {a.axis for a in axes} <= {2, 3} and exact and coordinates in _INTERP_MODES


def _by_matrices(im: Importer, x: Value, axes: Sequence[_Axis], weights: Callable[[_Axis], Array]) -> Value:
    """The [size, extent] matrix of each axis applied to it, moved last for that."""
    rank, result = len(x.shape), x
    for axis in axes:
        im.check_size([axis.size, axis.extent])
        at = axis.axis
        order = [i for i in range(rank) if i != at] + [at]
        moved = result if at == rank - 1 else im.step(f"last{at}", top.Permute, [result], order=tuple(order))
        matrix = im.constant_result(f"weights{at}", np.ascontiguousarray(weights(axis).T))
        product = im.step(f"axis{at}", top.MatMul, [moved, matrix])
        back = tuple(order.index(i) for i in range(rank))
        result = product if moved is result else im.step(f"back{at}", top.Permute, [product], order=back)
    return result


CONVERTERS: Mapping[str, Converter] = {"Resize": resize, "Upsample": upsample}
