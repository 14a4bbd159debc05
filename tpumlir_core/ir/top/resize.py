"""Top dialect: resampling of images [N, C, spatial...]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, Flag, InterpCoordMode, InterpMode
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import activate, array, declared, elements, float_like, present, real, reject
from tpumlir_core.ir.types import TensorType

# Products extent * scale this close to an integer are that integer: scales are rounded quotients.
_SNAP = 1e-5


@op("top.Interp", "input,target_shape?")
class Interp(Operation):
    """Resampling of the last two axes (of the last one for three dimensions) by ``scale_h`` and ``scale_w``.

    Positions follow ``coord_mode`` as ONNX Resize defines it, with the scales as given; results have floor(extent * scale)
    elements. ``target_shape`` holds the extents where the scales are not positive. Nearest takes the element at the
    position rounded (a half down), rounded towards zero for asymmetric.
    """

    mode: InterpMode
    coord_mode: InterpCoordMode
    scale_h: F64 = -1.0
    scale_w: F64 = -1.0

    def scales(self, rank: int) -> tuple[float, ...]:
        """Scales of the resampled axes, which are the last."""
        if rank < 3:
            reject(self, f"an operand of {rank} dimensions has no spatial axis")
        return (self.scale_w,) if rank == 3 else (self.scale_h, self.scale_w)

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        scales = self.scales(len(source.shape))
        if min(scales) <= 0:
            return declared(self)
        start = len(source.shape) - len(scales)
        return [float_like(source, (*source.shape[:start], *map(_extent, source.shape[start:], scales)))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        scales = self.scales(values.ndim)
        start = values.ndim - len(scales)
        if min(scales) > 0:
            extents = [_extent(n, scale) for n, scale in zip(values.shape[start:], scales, strict=True)]
        else:
            extents = [int(n) for n in array(inputs, 1).ravel()][-len(scales) :]
            scales = tuple(out / n for n, out in zip(values.shape[start:], extents, strict=True))
        for axis, extent, scale in reversed(list(zip(range(start, values.ndim), extents, scales, strict=True))):
            values = self._along(values, axis, self.positions(values.shape[axis], extent, scale))
        return [values]

    def positions(self, source: int, extent: int, scale: float) -> Array:
        """Positions along an axis of ``source`` elements of all ``extent`` results, unclamped."""
        places = np.arange(extent, dtype=np.float64)
        if self.coord_mode == "asymmetric":
            return places / scale
        if self.coord_mode == "align_corners":
            return places * ((source - 1) / max(extent - 1, 1))
        if self.coord_mode == "pytorch_half_pixel" and extent == 1:
            return np.zeros(1)
        return (places + 0.5) / scale - 0.5

    def _along(self, values: Array, axis: int, positions: Array) -> Array:
        last = values.shape[axis] - 1
        if self.mode == "nearest":
            rounded = np.floor(positions) if self.coord_mode == "asymmetric" else np.ceil(positions - 0.5)
            return np.take(values, rounded.clip(0, last).astype(np.int64), axis)
        positions = positions.clip(0, last)
        low = np.floor(positions).astype(np.int64)
        share = np.round((positions - low) * _SHARE_STEPS) / _SHARE_STEPS
        share = share.astype(np.float32).reshape(-1, *(1,) * (values.ndim - axis - 1))
        below, above = np.take(values, low, axis), np.take(values, np.minimum(low + 1, last), axis)
        result: Array = (above - below) * share + below
        return result

    def flops(self) -> int:
        return 0 if self.mode == "nearest" else 2 * elements(self)


_SHARE_STEPS = 1 << 22  # shares are rounded to this fraction: equal ones that were calculated at different places are equal


def _extent(source: int, scale: float) -> int:
    product = source * scale
    return round(product) if abs(product - round(product)) < _SNAP * max(1.0, product) else math.floor(product)


@op("top.Upsample")
class Upsample(Operation):
    """Every element of an image [N, C, H, W] repeated ``scale_h`` by ``scale_w`` times."""

    scale_h: I64
    scale_w: I64
    do_relu: Flag = False
    relu_limit: F64 = -1.0

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if len(source.shape) != 4 or min(self.scale_h, self.scale_w) < 1:
            reject(self, f"scales {self.scale_h} and {self.scale_w} of {source.shape}: wanted positive ones of an image [N, C, H, W]")
        n, c, h, w = source.shape
        return [float_like(source, (n, c, h * self.scale_h, w * self.scale_w))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = activate(real(inputs), self.do_relu, self.relu_limit)
        return [values.repeat(self.scale_h, 2).repeat(self.scale_w, 3)]


@op("top.GridSampler", "input,grid")
class GridSampler(Operation):
    """Values of [N, C, H, W] at the positions ``grid`` [N, H', W', (x, y)] in [-1, 1].

    ``mode`` 0 is bilinear, 1 nearest; ``padding_mode`` outside: 0 zeros, 1 border, 2 reflection (tpu-mlir 1.30.2).
    """

    mode: I64
    padding_mode: I64
    align_corners: Flag

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source, grid = present(self, types), present(self, types, 1)
        if len(source.shape) != 4 or len(grid.shape) != 4 or grid.shape[3] != 2 or grid.shape[0] != source.shape[0]:
            reject(self, f"image {source.shape} and grid {grid.shape} are not [N, C, H, W] and [N, H', W', 2]")
        if self.mode not in (0, 1) or self.padding_mode not in (0, 1, 2):
            reject(self, f"mode {self.mode} or padding_mode {self.padding_mode} is not known")
        return [float_like(source, (*source.shape[:2], *grid.shape[1:3]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values, grid = real(inputs), real(inputs, 1).astype(np.float64)
        x = self._places(grid[..., 0], values.shape[3])
        y = self._places(grid[..., 1], values.shape[2])
        if self.mode == 1:
            return [self._pick(values, np.rint(y), np.rint(x)).astype(np.float32)]
        top, left = np.floor(y), np.floor(x)
        result = np.zeros((*values.shape[:2], *grid.shape[1:3]))
        for row, row_share in ((top, 1 - (y - top)), (top + 1, y - top)):
            for column, column_share in ((left, 1 - (x - left)), (left + 1, x - left)):
                result += self._pick(values, row, column) * (row_share * column_share)[:, None]
        return [result.astype(np.float32)]

    def _places(self, grid: Array, extent: int) -> Array:
        """Positions in elements, folded back into the image as ``padding_mode`` says."""
        places: Array = (grid + 1) / 2 * (extent - 1) if self.align_corners else ((grid + 1) * extent - 1) / 2
        if self.padding_mode == 2:
            low, high = (0.0, extent - 1.0) if self.align_corners else (-0.5, extent - 0.5)
            span = high - low
            wrapped = np.abs(places - low) % (2 * span) if span else np.zeros_like(places)
            places = low + np.where(wrapped > span, 2 * span - wrapped, wrapped)
        return places if self.padding_mode == 0 else places.clip(0, extent - 1)

    def _pick(self, values: Array, rows: Array, columns: Array) -> Array:
        height, width = values.shape[2:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        batch = np.arange(values.shape[0]).reshape(-1, 1, 1)
        found = values[batch, :, rows.clip(0, height - 1).astype(np.int64), columns.clip(0, width - 1).astype(np.int64)]
        return np.where(inside[:, None], np.moveaxis(found, -1, 1), np.float32(0))

    def flops(self) -> int:
        return 8 * elements(self)
