"""Reductions over axes, positions of extremes, running sums, normalization."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.ir import top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import activated, normal_axis

_LEAST_SQUARE = 1e-12
"""What the sum of squares of L2_NORMALIZATION counts as at least (reference kernel of TFLite: epsilon 1e-6, squared)."""


def _reduce(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Laid:
        x = im.laid(node.input(0))
        rank = len(x.value.shape)
        axes = tuple(sorted({normal_axis(axis, rank) for axis in im.integers(node.input(1), "axes")}))
        if not axes:
            return im.same(x)
        keep = bool(node.options("ReducerOptions").KeepDims())
        kept = [axis for axis in x.layout.axes(rank) if axis not in axes]
        places = tuple(sorted(x.layout.axis(axis, rank) for axis in axes))
        if keep:
            return im.emit(top.Reduce, [x.value], x.layout, axes=places, keepdims=True, mode=mode)
        if kept == sorted(kept):
            return im.emit(top.Reduce, [x.value], axes=places, keepdims=False, mode=mode)
        reduced = im.step("channels_first", top.Reduce, [x.value], axes=places, keepdims=False, mode=mode)
        return im.emit(top.Permute, [reduced], order=tuple(kept.index(axis) for axis in sorted(kept)))

    return convert


def _arg(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Laid:
        x = im.value(node.input(0))
        (axis,) = im.integers(node.input(1), "axis")
        return im.emit(
            top.Arg, [x], axis=normal_axis(axis, len(x.shape)), keepdims=False, mode=mode, select_last_index=False
        )

    return convert


def cum_sum(im: Importer, node: Node) -> Laid:
    x, options = im.laid(node.input(0)), node.options("CumsumOptions")
    (given,) = im.integers(node.input(1), "axis")
    layout, value = x.layout, x.value
    axis = layout.axis(normal_axis(given, len(value.shape)), len(value.shape))
    backwards, exclusive = options.Reverse(), options.Exclusive()
    if not exclusive and not backwards:
        return im.emit(top.CumSum, [value], layout, axis=axis)
    source = im.step("reversed", top.Reverse, [value], axis=axis) if backwards else value
    total = im.step("total", top.CumSum, [source], axis=axis)
    if not exclusive:
        return im.emit(top.Reverse, [total], layout, axis=axis)
    if not backwards:
        return im.emit(top.Sub, [total, value], layout)
    return im.emit(top.Reverse, [im.step("exclusive", top.Sub, [total, source])], layout, axis=axis)


def l2_normalization(im: Importer, node: Node) -> Laid:
    """x over its norm along the channels."""
    x = im.laid(node.input(0))
    axis = x.layout.axis(-1, len(x.value.shape))
    squares = im.step("squares", top.Mul, [x.value, x.value])
    total = im.step("total", top.Reduce, [squares], axes=(axis,), keepdims=True, mode="ReduceSum")
    inverse = im.step("inverse", top.Rsqrt, [im.step("positive", top.MaxConst, [total], const_val=_LEAST_SQUARE)])
    return activated(im, node.options("L2NormOptions").FusedActivationFunction(), top.Mul, [x.value, inverse], x.layout)


def local_response_normalization(im: Importer, node: Node) -> Laid:
    """TFLite's alpha is for each of ``2 radius + 1`` channels, Top's for all of them."""
    x, options = im.image(node.input(0)), node.options("LocalResponseNormalizationOptions")
    size = 2 * options.Radius() + 1
    numbers = {"alpha": options.Alpha() * size, "beta": options.Beta(), "bias": options.Bias()}
    return im.emit(top.LRN, [x], CHANNELS_FIRST, size=size, **numbers)


def top_k(im: Importer, node: Node) -> list[Laid]:
    x = im.value(node.input(0))
    (count,) = im.integers(node.input(1), "k")
    return im.emit_many(top.TopK, [x], axis=len(x.shape) - 1, K=count)


CONVERTERS: Mapping[str, Converter] = {
    "ARG_MAX": _arg("ArgMax"), "ARG_MIN": _arg("ArgMin"), "CUMSUM": cum_sum, "L2_NORMALIZATION": l2_normalization,
    "LOCAL_RESPONSE_NORMALIZATION": local_response_normalization, "MEAN": _reduce("ReduceMean"), "REDUCE_ALL": _reduce("ReduceMin"),
    "REDUCE_ANY": _reduce("ReduceMax"), "REDUCE_MAX": _reduce("ReduceMax"), "REDUCE_MIN": _reduce("ReduceMin"),
    "REDUCE_PROD": _reduce("ReduceProd"), "SUM": _reduce("ReduceSum"), "TOPK_V2": top_k,
}
