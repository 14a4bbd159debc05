"""Resizing of images: bilinear, and nearest with TFLite's own rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid
from tpumlir_tflite.model import Node

_LARGEST = 8192
"""Rows or columns of a result: above any image, and each costs the chip commands of its own."""


def _image_and_size(im: Importer, node: Node) -> tuple[Value, tuple[int, int]]:
    x, size = im.image(node.input(0)), im.integers(node.input(1), "size")
    if len(x.shape) != 4 or len(size) != 2 or min(size) < 1:
        raise InputError(f"size {list(size)} of an input of {len(x.shape)} dimensions cannot be")
    if max(size) > _LARGEST:
        raise im.refusal(f"more than {_LARGEST} rows or columns")
    im.check_size((*x.shape[:2], *size))
    return x, (size[0], size[1])


def _modes(options: Any) -> tuple[bool, bool]:
    """(corners are aligned, pixels have their centres at halves)."""
    corners, halves = bool(options.AlignCorners()), bool(options.HalfPixelCenters())
    if corners and halves:
        raise InputError("align_corners and half_pixel_centers exclude each other")
    return corners, halves


def bilinear(im: Importer, node: Node) -> Laid:
    x, size = _image_and_size(im, node)
    corners, halves = _modes(node.options("ResizeBilinearOptions"))
    if size == x.shape[2:]:
        return im.same(Laid(x, CHANNELS_FIRST))
    coordinates = "align_corners" if corners else "half_pixel" if halves else "asymmetric"
    scale_h, scale_w = (new / old for new, old in zip(size, x.shape[2:], strict=True))
    return im.emit(
        top.Interp, [x], CHANNELS_FIRST, mode="linear", coord_mode=coordinates, scale_h=scale_h, scale_w=scale_w
    )


def nearest(im: Importer, node: Node) -> Laid:
    """Repeated elements where the size is a multiple, else gathered ones."""
    x, size = _image_and_size(im, node)
    corners, halves = _modes(node.options("ResizeNearestNeighborOptions"))
    if size == x.shape[2:]:
        return im.same(Laid(x, CHANNELS_FIRST))
    tables = [_table(old, new, corners, halves) for old, new in zip(x.shape[2:], size, strict=True)]
    repeats = [_repeats(old, table) for old, table in zip(x.shape[2:], tables, strict=True)]
    if all(repeats):
        return im.emit(top.Upsample, [x], CHANNELS_FIRST, scale_h=repeats[0], scale_w=repeats[1])
    rows = im.step("rows", top.Gather, [x, im.constant_result("row_indices", tables[0])], axis=2)
    return im.emit(top.Gather, [rows, im.constant_result("column_indices", tables[1])], CHANNELS_FIRST, axis=3)


def _table(old: int, new: int, corners: bool, halves: bool) -> Array:
    """The input index of every output position, in float32 as TFLite's reference kernel calculates it."""
    aligned = corners and new > 1
    scale = np.float32(old - 1) / np.float32(new - 1) if aligned else np.float32(old) / np.float32(new)
    places = (np.arange(new, dtype=np.float32) + np.float32(0.5 if halves else 0)) * scale
    rounded = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    clipped: Array = np.clip(rounded, 0, old - 1).astype(np.int64)
    return clipped


def _repeats(old: int, table: Array) -> int:
    """How often each index is repeated, 0 where not all alike."""
    times, rest = divmod(table.size, old)
    return times if not rest and np.array_equal(table, np.repeat(np.arange(old), times)) else 0


CONVERTERS: Mapping[str, Converter] = {"RESIZE_BILINEAR": bilinear, "RESIZE_NEAREST_NEIGHBOR": nearest}
