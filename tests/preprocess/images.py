"""Images for tests: as files, in every raw format, and as a float network takes them, each written down apart from the code."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.preprocess import Preprocess

COLOURS = ("RGB_PLANAR", "RGB_PACKED", "BGR_PLANAR", "BGR_PACKED")
MEAN, SCALE = (123.7, 110.25, 20.0), (0.017, 0.03, 0.011)


def pixels(*shape: int) -> Array:
    """Random [n, h, w, channels] of uint8: red, green, blue, or gray; the same for the same shape."""
    return np.random.default_rng(shape).integers(0, 256, shape, np.uint8)


def raw(rgb: Array, name: str) -> Array:
    """Images in a raw format."""
    ordered = rgb[..., ::-1] if name.startswith("BGR") else rgb
    return ordered if name.endswith("PACKED") else ordered.transpose(0, 3, 1, 2)


def real(rgb: Array, preprocess: Preprocess) -> Array:
    """Images as float inputs, in float64."""
    ordered = rgb[..., ::-1] if preprocess.pixel_format == "bgr" else rgb
    channels = rgb.shape[-1]
    scaled: Array = (ordered - np.array(preprocess.mean[:channels])) * np.array(preprocess.scale[:channels])
    return scaled if preprocess.channel_format == "nhwc" else scaled.transpose(0, 3, 1, 2)
