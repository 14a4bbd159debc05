"""Convolutions: filters come channels-last, ``[OC, kernel..., C]``, depthwise ones as ``[1, kernel..., OC]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid
from tpumlir_tflite.model import ABSENT, Node
from tpumlir_tflite.parameters import SAME, activated, window_pads


@dataclass(frozen=True)
class Window:
    """How a convolution's filter moves."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: int
    activation: int


def _window(options: Any) -> Window:
    return Window(
        (options.StrideH(), options.StrideW()), (options.DilationHFactor(), options.DilationWFactor()), options.Padding(),
        options.FusedActivationFunction(),
    )


def filters(im: Importer, index: int, order: tuple[int, ...]) -> Value:
    """A filter with its axes in another order."""
    if index not in im.constants:
        return im.step("filter_order", top.Permute, [im.value(index)], order=order)
    return im.prepared(index, order, lambda constant: constant.transpose(order))


def bias_of(im: Importer, bias: int, source: int, filter: int) -> Value | None:
    """The bias of a product. Integers whose scale a file leaves out have that of the products, operand's times filter's."""
    if bias == ABSENT:
        return None
    operand, weights = im.graph.tensors[source].scale, im.graph.tensors[filter].scale
    if bias in im.constants and im.is_integer(bias) and operand is not None and weights is not None:
        scales = operand.scales[0] * weights.scales
        return im.constant_result("bias", (im.constants[bias] * scales).astype(np.float32))
    return im.value(bias)


@dataclass(frozen=True)
class _Filter:
    """A convolution's filter: its number, the order that Top wants its axes in, its extents and the groups."""

    index: int
    order: tuple[int, ...]
    kernel: tuple[int, ...]
    group: int


def _convolution(im: Importer, node: Node, filter: _Filter, window: Window, x: Value, pads: Sequence[int]) -> Laid:
    bias = bias_of(im, node.input(2), node.input(0), filter.index)
    return activated(
        im, window.activation, top.Conv, [x, filters(im, filter.index, filter.order), bias], CHANNELS_FIRST,
        kernel_shape=filter.kernel, strides=window.strides, dilations=window.dilations, pads=tuple(pads), group=filter.group,
        weight_is_coeff=int(filter.index in im.constants),
    )


def _parts(im: Importer, node: Node, channels: int) -> tuple[_Filter, Window]:
    """The filter and the window of a convolution of two dimensions, grouped or depthwise."""
    index = node.input(1)
    shape = _filter_shape(im, index, 4)
    if node.operator == "DEPTHWISE_CONV_2D":
        if shape[0] != 1 or shape[3] % channels:
            raise InputError(f"a depthwise filter of shape {list(shape)} does not fit {channels} channels")
        return _Filter(index, (3, 0, 1, 2), shape[1:3], channels), _window(node.options("DepthwiseConv2DOptions"))
    if not shape[3] or channels % shape[3]:
        raise InputError(f"a filter of {shape[3]} channels does not divide {channels}")
    return _Filter(index, (0, 3, 1, 2), shape[1:3], channels // shape[3]), _window(node.options("Conv2DOptions"))


def conv(im: Importer, node: Node) -> Laid:
    """Fewer channels in the filter than in the input mean groups; a depthwise filter may hold several for each channel."""
    x = _image(im, node.input(0), 4)
    filter, window = _parts(im, node, x.shape[1])
    pads = window_pads(window.padding, x.shape[2:], filter.kernel, window.strides, window.dilations)
    return _convolution(im, node, filter, window, x, pads)


def dilated(im: Importer, node: Node, source: int, dilations: tuple[int, ...], pads: tuple[int, ...]) -> Laid | None:
    """The convolution ``node`` on another operand, dilated; None where it moves otherwise than by single steps without padding."""
    x = _image(im, source, 4)
    filter, window = _parts(im, node, x.shape[1])
    if window.strides != (1, 1) or window.dilations != (1, 1) or (window.padding == SAME and filter.kernel != (1, 1)):
        return None
    return _convolution(im, node, filter, replace(window, dilations=dilations), x, pads)


def conv_3d(im: Importer, node: Node) -> Laid:
    """The filter is ``[kernel..., C, OC]``."""
    x = _image(im, node.input(0), 5)
    shape = _filter_shape(im, node.input(1), 5)
    options = node.options("Conv3DOptions")
    window = Window(
        (options.StrideD(), options.StrideH(), options.StrideW()),
        (options.DilationDFactor(), options.DilationHFactor(), options.DilationWFactor()), options.Padding(),
        options.FusedActivationFunction(),
    )
    pads = window_pads(window.padding, x.shape[2:], shape[:3], window.strides, window.dilations)
    return _convolution(im, node, _Filter(node.input(1), (4, 3, 0, 1, 2), shape[:3], 1), window, x, pads)


def _image(im: Importer, index: int, rank: int) -> Value:
    x = im.image(index)
    if len(x.shape) != rank:
        raise InputError(f"an input of {len(x.shape)} dimensions, not {rank}")
    return x


def _filter_shape(im: Importer, index: int, rank: int) -> tuple[int, ...]:
    shape = im.shape(im.present(index))
    if len(shape) != rank:
        raise InputError(f"a filter of shape {list(shape)} does not fit an input of {rank} dimensions")
    return shape


def transpose_conv(im: Importer, node: Node) -> Laid:
    """The extents of the result are an operand: they say what is padded, or left out, of the full transposed convolution."""
    wanted, x = im.integers(node.input(0), "output shape"), _image(im, node.input(2), 4)
    shape = _filter_shape(im, node.input(1), 4)
    options = node.options("TransposeConvOptions")
    strides, kernel = (options.StrideH(), options.StrideW()), shape[1:-1]
    if len(wanted) != 4 or min((*wanted, *strides)) < 1 or wanted[3] != shape[0]:
        raise InputError(f"an output of shape {list(wanted)} by a filter of shape {list(shape)} and strides {list(strides)} cannot be")
    im.check_size(wanted)
    full = [(n - 1) * stride + k for n, stride, k in zip(x.shape[2:], strides, kernel, strict=True)]
    begins = [max(0, f - w) // 2 if options.Padding() == SAME else 0 for f, w in zip(full, wanted[1:3], strict=True)]
    ends = [f - w - b for f, w, b in zip(full, wanted[1:3], begins, strict=True)]
    bias = bias_of(im, node.input(3), node.input(2), node.input(1))
    return activated(
        im, options.FusedActivationFunction(), top.Deconv, [x, filters(im, node.input(1), (0, 3, 1, 2)), bias], CHANNELS_FIRST,
        kernel_shape=kernel, strides=strides, pads=(*begins, *ends), group=1,
    )


CONVERTERS: Mapping[str, Converter] = {
    "CONV_2D": conv, "CONV_3D": conv_3d, "DEPTHWISE_CONV_2D": conv, "TRANSPOSE_CONV": transpose_conv,
}
