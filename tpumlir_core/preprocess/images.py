"""An image file as the array of one input. Pillow decodes; it is imported when the first image is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.ir import Array
from tpumlir_core.preprocess.options import Preprocess, crop_offsets
from tpumlir_core.preprocess.raw import RawFormat
from tpumlir_core.preprocess.resize import resize

_MODES = {"bgr": "RGB", "rgb": "RGB", "gray": "L", "rgba": "RGBA"}
"""Pixel format -> what Pillow calls the mode to decode to."""


def image_input(path: Path, shape: Sequence[int], preprocess: Preprocess) -> Array:
    """An image as float32 in the shape of an input; each item of a batch is the same. Raises InputError for what does not fit."""
    height, width = _size(path, shape, preprocess)
    pixels = _fit(decode(path, preprocess.pixel_format), preprocess, height, width)
    channels = preprocess.channels
    mean, scale = (np.asarray(numbers[:channels], np.float32) for numbers in (preprocess.mean, preprocess.scale))
    image = (pixels.astype(np.float32) - mean) * scale
    if preprocess.channel_format == "nchw":
        image = image.transpose(2, 0, 1)
    batch = shape[0] if len(shape) > 3 else 1
    if batch * image.size != np.prod(shape):
        raise InputError(f"{path}: {preprocess.pixel_format} images make {[batch, *image.shape]}, the input is {list(shape)}")
    return np.ascontiguousarray(np.broadcast_to(image, (batch, *image.shape))).reshape(tuple(shape))


def raw_image(path: Path, shape: Sequence[int], preprocess: Preprocess, raw: RawFormat) -> Array:
    """An image as uint8 in the shape of an input that takes raw ones; each item of a batch is the same.

    Of ``preprocess`` only the resizing counts. Raises InputError for what does not fit.
    """
    if len(shape) != 4:
        raise InputError(f"{path}: the input of shape {list(shape)} takes no image; give its array in an .npz")
    height, width = shape[1:3] if raw.packed else shape[2:]
    pixels = _fit(decode(path, raw.pixel_format), preprocess, height, width)
    image = pixels if raw.packed else pixels.transpose(2, 0, 1)
    if image.shape != tuple(shape[1:]):
        raise InputError(f"{path}: {raw.name} images make {[shape[0], *image.shape]}, the input is {list(shape)}")
    return np.ascontiguousarray(np.broadcast_to(image, shape))


def decode(path: Path, pixel_format: str) -> Array:
    """The pixels of an image file, [height, width, channels] of uint8, upright. Raises InputError where it is none."""
    pillow = _pillow()
    mode = _MODES[pixel_format]
    try:
        with pillow.open(path) as file:
            file.draft(mode, None) if mode == "L" else None
            image = _eight_bits(pillow, _upright(file)).convert(mode)
    except Exception as error:  # decoders raise what they like for damaged files
        raise InputError(f"{path}: not a readable image: {' '.join(str(error).split()) or type(error).__name__}") from error
    pixels = np.asarray(image)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels[:, :, ::-1] if pixel_format == "bgr" else pixels


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise PluginError("Pillow, which reads images, is not installed; run: pip install 'tpumlir-core[images]'") from None
    return Image


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _eight_bits(pillow: ModuleType, image: Any) -> Any:
    """16-bit images by their high bytes; Pillow would cut them off at 255."""
    if not image.mode.startswith("I"):
        return image
    return pillow.fromarray(np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8))


def _size(path: Path, shape: Sequence[int], preprocess: Preprocess) -> tuple[int, int]:
    """Height and width that the network takes."""
    if preprocess.channel_format == "none" or len(shape) < 2:
        raise InputError(f"{path}: the input of shape {list(shape)} takes no image; give its array in an .npz")
    height, width = shape[-3:-1] if preprocess.channel_format == "nhwc" and len(shape) > 2 else shape[-2:]
    return height, width


def _fit(pixels: Array, preprocess: Preprocess, height: int, width: int) -> Array:
    """Resized as wanted, and cropped to the network's size."""
    target = (preprocess.resize_dims[0], preprocess.resize_dims[1]) if preprocess.resize_dims else (height, width)
    if not preprocess.keep_aspect_ratio:
        resized = resize(pixels, *target)
    elif preprocess.keep_ratio_mode == "letterbox":
        resized = _letterbox(pixels, *target, preprocess)
    else:
        resized = _cover(pixels, *target)
    top, left = crop_offsets(resized.shape[:2], (height, width))
    return resized[top : top + height, left : left + width]


def _letterbox(pixels: Array, height: int, width: int, preprocess: Preprocess) -> Array:
    """As large as fits, padded."""
    ratio = min(width / pixels.shape[1], height / pixels.shape[0])
    inner = resize(pixels, max(int(pixels.shape[0] * ratio), 1), max(int(pixels.shape[1] * ratio), 1))
    padded = np.full((height, width, pixels.shape[2]), preprocess.pad_value, np.uint8)
    centered = preprocess.pad_type == "center"
    top, left = ((height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2) if centered else (0, 0)
    padded[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return padded


def _cover(pixels: Array, height: int, width: int) -> Array:
    """As small as covers all, cropped in the middle."""
    ratio = max(width / pixels.shape[1], height / pixels.shape[0])
    outer = resize(pixels, max(int(pixels.shape[0] * ratio), height), max(int(pixels.shape[1] * ratio), width))
    top, left = (outer.shape[0] - height) // 2, (outer.shape[1] - width) // 2
    return outer[top : top + height, left : left + width]
