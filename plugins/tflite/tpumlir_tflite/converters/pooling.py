"""Pools over windows of images. Padding counts as no element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import activated, window_pads


def _windows(im: Importer, node: Node) -> tuple[Value, dict[str, Any], int]:
    """The image, what a pool's windows are, and the fused activation."""
    x, options = im.image(node.input(0)), node.options("Pool2DOptions")
    if len(x.shape) != 4:
        raise InputError(f"an input of {len(x.shape)} dimensions is no image")
    kernel, strides = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
    pads = window_pads(options.Padding(), x.shape[2:], kernel, strides, (1, 1))
    return x, {"kernel_shape": kernel, "strides": strides, "pads": pads}, options.FusedActivationFunction()


def average_pool(im: Importer, node: Node) -> Laid:
    x, windows, activation = _windows(im, node)
    return activated(im, activation, top.AvgPool, [x], CHANNELS_FIRST, count_include_pad=False, **windows)


def max_pool(im: Importer, node: Node) -> Laid:
    x, windows, activation = _windows(im, node)
    return activated(im, activation, top.MaxPool, [x], CHANNELS_FIRST, **windows)


def l2_pool(im: Importer, node: Node) -> Laid:
    """The root of the mean of squares."""
    x, windows, activation = _windows(im, node)
    mean = im.step("mean", top.AvgPool, [im.step("square", top.Mul, [x, x])], count_include_pad=False, **windows)
    return activated(im, activation, top.Sqrt, [mean], CHANNELS_FIRST)


CONVERTERS: Mapping[str, Converter] = {"AVERAGE_POOL_2D": average_pool, "L2_POOL_2D": l2_pool, "MAX_POOL_2D": max_pool}
