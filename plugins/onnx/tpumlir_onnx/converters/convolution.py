"""Convolution and transposed convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import same_pads
from tpumlir_core.ir import Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def spatial_list(node: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    """A list attribute with one entry a spatial axis; entries must not be negative."""
    values = node.integers(name, (default,) * count)
    if len(values) != count or min(values, default=0) < 0:
        raise InputError(f"{node}: {name} {list(values)} does not fit {count} spatial axes")
    return values


def positive_list(node: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    """The same, all entries at least 1."""
    values = spatial_list(node, name, count, default)
    if min(values, default=1) < 1:
        raise InputError(f"{node}: {name} {list(values)} must be positive")
    return values


def auto_pad_of(node: Node) -> str:
    """The padding mode. Raises InputError for an unknown one."""
    mode = node.text("auto_pad", "NOTSET") or "NOTSET"
    if mode not in _AUTO_PADS:
        raise InputError(f"{node}: auto_pad '{mode}' is unknown")
    return mode


def window_pads(
    node: Node, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """The explicit pads of a convolution or pool: begins, then ends."""
    mode, count = auto_pad_of(node), len(spatial)
    if mode == "VALID":
        return (0,) * 2 * count
    if mode == "NOTSET":
        return spatial_list(node, "pads", 2 * count, 0)
    return same_pads(spatial, kernel, strides, dilations, mode)


def conv(im: Importer, node: Node) -> Value:
    x, weights = im.value(node.input(0)), im.value(node.input(1))
    count = len(x.shape) - 2
    if count < 1 or len(weights.shape) != count + 2:
        raise InputError(f"{node}: an input of shape {list(x.shape)} does not fit a filter of shape {list(weights.shape)}")
    kernel = _kernel(node, weights.shape[2:])
    strides, dilations = positive_list(node, "strides", count, 1), positive_list(node, "dilations", count, 1)
    constant = node.input(1) in im.constants
    return im.emit(
        top.Conv, [x, weights, im.optional(node, 2)], kernel_shape=kernel, strides=strides, dilations=dilations,
        pads=window_pads(node, x.shape[2:], kernel, strides, dilations), group=_group(node), weight_is_coeff=int(constant),
    )


def _kernel(node: Node, of_filter: Sequence[int]) -> tuple[int, ...]:
    kernel = node.integers("kernel_shape", of_filter)
    if kernel != tuple(of_filter):
        raise InputError(f"{node}: kernel_shape {list(kernel)} does not fit its filter {list(of_filter)}")
    return kernel


def _group(node: Node) -> int:
    group = node.integer("group", 1)
    if group < 1:
        raise InputError(f"{node}: group {group} must be positive")
    return group


def conv_transpose(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    filters = im.value(node.input(1)).shape
    count, group = len(x.shape) - 2, _group(node)
    if count < 1 or len(filters) != count + 2 or filters[0] != x.shape[1] or filters[0] % group:
        raise InputError(f"{node}: an input of shape {list(x.shape)} does not fit a filter of shape {list(filters)}")
    kernel = _kernel(node, filters[2:])
    strides, dilations = positive_list(node, "strides", count, 1), positive_list(node, "dilations", count, 1)
    extra = spatial_list(node, "output_padding", count, 0)
    pads = _transposed_pads(node, x.shape[2:], kernel, strides, dilations, extra)
    weights = _deconv_filter(im, node, group)
    return im.emit(
        top.Deconv, [x, weights, im.optional(node, 2)], kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads,
        group=group, output_padding=extra if any(extra) else None,
    )


def _deconv_filter(im: Importer, node: Node, group: int) -> Value:
    """ONNX [C, OC/group, kernel] -> the data order [group, OC/group, C/group, kernel], shaped [OC/group, C, kernel]."""
    value, constant = im.value(node.input(1)), im.constant(node.input(1))
    channels, outputs, *kernel = value.shape
    split, swapped = (group, channels // group, outputs, *kernel), (outputs, channels, *kernel)
    if constant is not None:
        return im.weight(f"{node.input(1)}_fix", np.ascontiguousarray(constant.reshape(split).swapaxes(1, 2)).reshape(swapped))
    order = (0, 2, 1, *range(3, 3 + len(kernel)))
    grouped = im.step("filter_groups", top.Reshape, [value], shape=split)
    return im.step("filter", top.Reshape, [im.step("filter_order", top.Permute, [grouped], order=order)], shape=swapped)


def _transposed_pads(
    node: Node, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], extra: Sequence[int]
) -> tuple[int, ...]:
    """Explicit pads of a transposed convolution, from ``pads``, ``auto_pad`` or ``output_shape``; they may be negative."""
    mode, count = auto_pad_of(node), len(spatial)
    full = [s * (n - 1) + e + (k - 1) * d + 1 for n, k, s, d, e in zip(spatial, kernel, strides, dilations, extra, strict=True)]
    if node.has("output_shape"):
        wanted = node.integers("output_shape")[-count:]
        if len(wanted) != count or min(wanted) < 1:
            raise InputError(f"{node}: output_shape {list(wanted)} does not fit {count} spatial axes")
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(n * s for n, s in zip(spatial, strides, strict=True))
    elif mode == "VALID":
        return (0,) * 2 * count
    else:
        return spatial_list(node, "pads", 2 * count, 0)
    totals = [f - w for f, w in zip(full, wanted, strict=True)]
    # The shape inference of ONNX: with SAME_UPPER the smaller half comes first, otherwise the larger one.
    first = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in totals]
    return (*first, *(t - f for t, f in zip(totals, first, strict=True)))


CONVERTERS: Mapping[str, Converter] = {"Conv": conv, "ConvTranspose": conv_transpose}
