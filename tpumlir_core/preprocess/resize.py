"""Bilinear resizing of 8-bit images, with the rounding that OpenCV's has: the reference reads and resizes images with it."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array

_ONE = 1 << 11
"""A weight of 1: weights have 11 bits (OpenCV 4, INTER_RESIZE_COEF_BITS)."""


def resize(image: Array, height: int, width: int) -> Array:
    """An image [h, w, channels] of uint8 in another size. Pixels are squares: centers lie at half numbers, edges repeat."""
    if image.shape[:2] == (height, width):
        return image
    rows, row_weights = _neighbours(image.shape[0], height)
    columns, column_weights = _neighbours(image.shape[1], width)
    used, places = np.unique(rows, return_inverse=True)
    wide = _blend_columns(image[used], columns, column_weights) >> 4
    first, second = places.reshape(rows.shape)
    weights = row_weights[:, :, None, None]
    blended: Array = (((weights[0] * wide[first]) >> 16) + ((weights[1] * wide[second]) >> 16) + 2) >> 2
    return blended.astype(np.uint8)


def _blend_columns(image: Array, columns: Array, weights: Array) -> Array:
    """Each row at its new width, in units of 1 / _ONE."""
    scaled: Array = image[:, columns[0]] * weights[0][:, None]
    scaled += image[:, columns[1]] * weights[1][:, None]
    return scaled


def _neighbours(before: int, after: int) -> tuple[Array, Array]:
    """For each of ``after`` new places the two old ones it lies between, and their weights: both [2, after], int32."""
    place = ((np.arange(after) + 0.5) * (1 / (after / before)) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int32)
    share = place - first
    weights = np.stack([np.rint((1 - share) * _ONE), np.rint(share * _ONE)]).astype(np.int32)
    return np.clip(np.stack([first, first + 1]), 0, before - 1), weights
