"""Normalization over batches, layers, instances, groups and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import normal_axis

_LEAST_NORM = 1e-30
"""What a norm of 0 counts as: its reciprocal is finite on chips that flush small numbers too."""
_MVN_EPSILON = 1e-9
"""What MeanVarianceNormalization adds to the standard deviation (its ONNX function body)."""


def batch_normalization(im: Importer, node: Node) -> Value:
    if node.flag("training_mode") or any(im.is_used(name) for name in node.outputs[1:]):
        raise UnsupportedError(f"BatchNormalization in training mode (node {node.label})")
    if not node.flag("spatial", default=True):
        raise UnsupportedError(f"BatchNormalization with spatial=0 (node {node.label})")
    x, gamma, beta, mean, variance = (im.value(node.input(i)) for i in range(5))
    return im.emit(top.BatchNorm, [x, mean, variance, gamma, beta], epsilon=node.number("epsilon", 1e-5))


def layer_normalization(im: Importer, node: Node) -> Sequence[Value]:
    x = im.value(node.input(0))
    axis, eps = normal_axis(node, node.integer("axis", -1), len(x.shape)), node.number("epsilon", 1e-5)
    inner = x.shape[axis:]
    scale, bias = _affine(im, node, 1, inner), _affine(im, node, 2, inner)
    direct = scale is not None and (bias is not None or not node.input(2))
    if direct:
        result = im.emit(top.LayerNorm, [x, scale, bias], normalized_shape=inner, axis=axis, eps=eps)
    else:
        result = im.step("normal", top.LayerNorm, [x], normalized_shape=inner, axis=axis, eps=eps)
        result = im.step("scaled", top.Mul, [result, im.value(node.input(1))])
        if node.input(2):
            result = im.step("shifted", top.Add, [result, im.value(node.input(2))])
    return [result, *_statistics(im, node, x, axis, eps)]


def _affine(im: Importer, node: Node, index: int, inner: Sequence[int]) -> Value | None:
    """The constant scale or bias of a normalization if it has just the normalized shape."""
    constant = im.constant(node.input(index))
    return im.value(node.input(index)) if constant is not None and constant.shape == tuple(inner) else None


def _statistics(im: Importer, node: Node, x: Value, axis: int, eps: float) -> list[Value]:
    """The optional results mean and inverse standard deviation."""
    if not any(im.is_used(name) for name in node.outputs[1:]):
        return []
    axes = tuple(range(axis, len(x.shape)))
    mean = im.step("mean", top.Reduce, [x], axes=axes, keepdims=True, mode="ReduceMean")
    centred = im.step("centred", top.Sub, [x, mean])
    squared = im.step("squared", top.Mul, [centred, centred])
    variance = im.step("variance", top.Reduce, [squared], axes=axes, keepdims=True, mode="ReduceMean")
    return [mean, im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [variance], const_val=eps)])]


def rms_normalization(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    rank = len(x.shape)
    axis, eps = normal_axis(node, node.integer("axis", -1), rank), node.number("epsilon", 1e-5)
    if axis == rank - 1 and _affine(im, node, 1, x.shape[-1:]) is not None:
        return im.emit(top.RMSNorm, [x, im.value(node.input(1))], eps=eps)
    squared = im.step("squared", top.Mul, [x, x])
    power = im.step("power", top.Reduce, [squared], axes=tuple(range(axis, rank)), keepdims=True, mode="ReduceMean")
    inverse = im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [power], const_val=eps)])
    return im.emit(top.Mul, [im.step("normal", top.Mul, [x, inverse]), im.value(node.input(1))])


def instance_normalization(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    channels = x.shape[1]
    scale, bias = (_per_channel(im, node, i, channels, channels) for i in (1, 2))
    return im.emit(top.InstanceNorm, [x, scale, bias], eps=node.number("epsilon", 1e-5))


def group_normalization(im: Importer, node: Node) -> Value:
    """Before opset 21 scale and bias are one a group, since then one a channel."""
    x, groups = im.value(node.input(0)), node.integer("num_groups")
    channels = x.shape[1] if len(x.shape) > 1 else 0
    if groups < 1 or not channels or channels % groups:
        raise InputError(f"{node}: {groups} groups do not divide {channels} channels")
    entries = channels if node.opset >= 21 else groups
    scale, bias = (_per_channel(im, node, i, channels, entries) for i in (1, 2))
    return im.emit(top.GroupNorm, [x, scale, bias], num_groups=groups, eps=node.number("epsilon", 1e-5))


def _per_channel(im: Importer, node: Node, index: int, channels: int, entries: int) -> Value:
    """A scale or bias with one entry a channel, repeated if the node has one a group."""
    constant = im.constant(node.input(index))
    if constant is None:
        value = im.value(node.input(index))
        if value.shape != (entries,):
            raise InputError(f"{node}: input {index} has shape {list(value.shape)}, not [{entries}]")
        if entries == channels:
            return value
        column = im.step(f"column{index}", top.Reshape, [value], shape=(entries, 1))
        wide = im.step(f"wide{index}", top.Tile, [column], tile=(1, channels // entries))
        return im.step(f"row{index}", top.Reshape, [wide], shape=(channels,))
    if constant.shape != (entries,):
        raise InputError(f"{node}: input {index} has shape {list(constant.shape)}, not [{entries}]")
    if entries == channels:
        return im.value(node.input(index))
    return im.constant_result(f"input{index}", _repeated(constant, channels))


def _repeated(constant: Array, channels: int) -> Array:
    return np.repeat(constant, channels // constant.size)


def lrn(im: Importer, node: Node) -> Value:
    return im.emit(
        top.LRN, [im.value(node.input(0))], size=node.integer("size"), alpha=node.number("alpha", 1e-4),
        beta=node.number("beta", 0.75), bias=node.number("bias", 1.0),
    )


def lp_normalization(im: Importer, node: Node) -> Value:
    """x over its 1- or 2-norm; a zero norm gives zeros."""
    x, p = im.value(node.input(0)), node.integer("p", 2)
    if p not in (1, 2):
        raise InputError(f"{node}: p is {p}, neither 1 nor 2")
    axis = normal_axis(node, node.integer("axis", -1), len(x.shape))
    norm = im.step("norm", top.Reduce, [x], axes=(axis,), keepdims=True, mode=f"ReduceL{p}")
    return im.emit(top.Div, [x, im.step("positive", top.MaxConst, [norm], const_val=_LEAST_NORM)])


def mean_variance_normalization(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axes = tuple(sorted(normal_axis(node, a, len(x.shape)) for a in node.integers("axes", (0, 2, 3))))
    mean = im.step("mean", top.Reduce, [x], axes=axes, keepdims=True, mode="ReduceMean")
    centred = im.step("centred", top.Sub, [x, mean])
    squared = im.step("squared", top.Mul, [centred, centred])
    variance = im.step("variance", top.Reduce, [squared], axes=axes, keepdims=True, mode="ReduceMean")
    deviation = im.step("epsilon", top.AddConst, [im.step("deviation", top.Sqrt, [variance])], const_val=_MVN_EPSILON)
    return im.emit(top.Div, [centred, deviation])


def global_lp_pool(im: Importer, node: Node) -> Value:
    """The p-norm over all spatial axes."""
    x, p = im.value(node.input(0)), node.integer("p", 2)
    axes = tuple(range(2, len(x.shape)))
    if p in (1, 2):
        return im.emit(top.Reduce, [x], axes=axes, keepdims=True, mode=f"ReduceL{p}")
    if p < 1:
        raise InputError(f"{node}: p is {p}")
    powers = im.step("power", top.Pow, [im.step("abs", top.Abs, [x])], exponent=float(p))
    total = im.step("total", top.Reduce, [powers], axes=axes, keepdims=True, mode="ReduceSum")
    return im.emit(top.Pow, [total], exponent=1 / p)


CONVERTERS: Mapping[str, Converter] = {
    "BatchNormalization": batch_normalization, "GlobalLpPool": global_lp_pool, "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization, "LRN": lrn, "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization, "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
}
