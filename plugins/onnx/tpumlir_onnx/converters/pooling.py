"""Pooling. ``ceil_mode`` is resolved here into longer end pads, so that no two readings of it remain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import ceil_end
from tpumlir_core.ir import Value, top
from tpumlir_onnx.converters.convolution import auto_pad_of, positive_list, window_pads
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer


@dataclass(frozen=True)
class _Window:
    """A pool's window: ``pads`` as ONNX gives them, ``reach`` with the ends that the last windows need."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    reach: tuple[int, ...]


def _window(node: Node, shape: Sequence[int]) -> _Window:
    spatial = shape[2:]
    count = len(spatial)
    if count < 1:
        raise InputError(f"{node}: an input of shape {list(shape)} has no spatial axis")
    kernel = positive_list(node, "kernel_shape", len(node.integers("kernel_shape")), 1)
    if len(kernel) != count:
        raise InputError(f"{node}: kernel_shape {list(kernel)} does not fit {count} spatial axes")
    strides, dilations = positive_list(node, "strides", count, 1), positive_list(node, "dilations", count, 1)
    if any(d > 1 for d in dilations):
        raise UnsupportedError(f"{node.op_type} with dilations (node {node.label})")
    pads = window_pads(node, spatial, kernel, strides, dilations)
    ends = list(pads[count:])
    if node.flag("ceil_mode") and auto_pad_of(node) in ("NOTSET", "VALID"):
        ends = [ceil_end(spatial[i], kernel[i], strides[i], pads[i], pads[count + i]) for i in range(count)]
    return _Window(kernel, strides, pads, (*pads[:count], *ends))


def max_pool(im: Importer, node: Node) -> Value:
    if len(node.outputs) > 1 and im.is_used(node.outputs[1]):
        raise UnsupportedError(f"MaxPool with indices (node {node.label})")
    x = im.value(node.input(0))
    window = _window(node, x.shape)
    return im.emit(top.MaxPool, [x], kernel_shape=window.kernel, strides=window.strides, pads=window.reach)


def average_pool(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    window = _window(node, x.shape)
    include, pads = node.flag("count_include_pad"), window.reach
    if include and window.reach != window.pads:
        # The declared padding counts as elements, what ceil mode adds does not: make the former real zeros.
        count = len(window.kernel)
        begins, ends = window.pads[:count], window.pads[count:]
        x = im.step("padded", top.Pad, [x], paddings=(0, 0, *begins, 0, 0, *ends), val=0.0, mode="constant")
        pads, include = (0,) * count + tuple(r - e for r, e in zip(window.reach[count:], ends, strict=True)), False
    return im.emit(
        top.AvgPool, [x], kernel_shape=window.kernel, strides=window.strides, pads=pads, count_include_pad=include
    )


def global_average_pool(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    kernel = x.shape[2:]
    return im.emit(
        top.AvgPool, [x], kernel_shape=kernel, strides=(1,) * len(kernel), pads=(0,) * 2 * len(kernel), count_include_pad=True
    )


def global_max_pool(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    kernel = x.shape[2:]
    return im.emit(top.MaxPool, [x], kernel_shape=kernel, strides=(1,) * len(kernel), pads=(0,) * 2 * len(kernel))


def lp_pool(im: Importer, node: Node) -> Value:
    """The p-norm of every window: the mean of |x|^p, padding counted as 0, times the window's size, to the power 1/p."""
    x, p = im.value(node.input(0)), node.integer("p", 2)
    window = _window(node, x.shape)
    if p < 1 or window.reach != window.pads:
        raise UnsupportedError(f"LpPool with p {p} or ceil_mode (node {node.label})")
    powers = im.step("powers", top.Pow, [im.step("abs", top.Abs, [x])], exponent=float(p))
    means = im.step(
        "mean", top.AvgPool, [powers], kernel_shape=window.kernel, strides=window.strides, pads=window.pads, count_include_pad=True
    )
    total = im.step("total", top.MulConst, [means], const_val=float(math.prod(window.kernel)))
    return im.emit(top.Pow, [total], exponent=1 / p)


CONVERTERS: Mapping[str, Converter] = {
    "AveragePool": average_pool, "GlobalAveragePool": global_average_pool, "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool, "MaxPool": max_pool,
}
