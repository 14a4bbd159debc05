"""Reductions over axes, positions of extremes, running sums."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.ir import Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import axes_of, normal_axis


def _axes(im: Importer, node: Node, rank: int) -> tuple[int, ...]:
    """The reduced axes; () where the node reduces nothing."""
    axes = axes_of(node, rank, im.parameter(node, 1, "axes"))
    return axes or (() if node.flag("noop_with_empty_axes") else tuple(range(rank)))


def _reduce(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Value:
        x = im.value(node.input(0))
        axes = _axes(im, node, len(x.shape))
        if not axes:
            return _untouched(im, x, mode)
        return im.emit(top.Reduce, [x], axes=axes, keepdims=node.flag("keepdims", default=True), mode=mode)

    return convert


def _untouched(im: Importer, x: Value, mode: str) -> Value:
    """A reduction over no axes: norms still take the absolute value."""
    return im.emit(top.Abs, [x]) if mode in ("ReduceL1", "ReduceL2") else x


def log_sum(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axes = _axes(im, node, len(x.shape))
    keepdims = node.flag("keepdims", default=True)
    total = im.step("sum", top.Reduce, [x], axes=axes, keepdims=keepdims, mode="ReduceSum") if axes else x
    return im.emit(top.Log, [total])


def log_sum_exp(im: Importer, node: Node) -> Value:
    """max + log(sum(exp(x - max))), which does not overflow."""
    x = im.value(node.input(0))
    axes = _axes(im, node, len(x.shape))
    if not axes:
        return x
    peak = im.step("max", top.Reduce, [x], axes=axes, keepdims=True, mode="ReduceMax")
    powers = im.step("exp", top.Exp, [im.step("centred", top.Sub, [x, peak])])
    total = im.step("sum", top.Reduce, [powers], axes=axes, keepdims=True, mode="ReduceSum")
    log = im.step("log", top.Log, [total])
    if node.flag("keepdims", default=True):
        return im.emit(top.Add, [log, peak])
    whole = im.step("add", top.Add, [log, peak])
    kept = tuple(extent for axis, extent in enumerate(x.shape) if axis not in axes)
    return im.emit(top.Reshape, [whole], shape=kept)


def sum_square(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axes = _axes(im, node, len(x.shape))
    if not axes:
        return im.emit(top.Mul, [x, x])
    squared = im.step("square", top.Mul, [x, x])
    return im.emit(top.Reduce, [squared], axes=axes, keepdims=node.flag("keepdims", default=True), mode="ReduceSum")


def _arg(mode: str) -> Converter:
    def convert(im: Importer, node: Node) -> Value:
        x = im.value(node.input(0))
        return im.emit(
            top.Arg, [x], axis=normal_axis(node, node.integer("axis", 0), len(x.shape)),
            keepdims=node.flag("keepdims", default=True), mode=mode, select_last_index=node.flag("select_last_index"),
        )

    return convert


def cum_sum(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axis = normal_axis(node, int(im.required(node, 1, "axis").reshape(-1)[0]), len(x.shape))
    exclusive, backwards = node.flag("exclusive"), node.flag("reverse")
    if not exclusive and not backwards:
        return im.emit(top.CumSum, [x], axis=axis)
    source = im.step("reversed", top.Reverse, [x], axis=axis) if backwards else x
    total = im.step("total", top.CumSum, [source], axis=axis)
    if not exclusive:
        return im.emit(top.Reverse, [total], axis=axis)
    if not backwards:
        return im.emit(top.Sub, [total, x])
    return im.emit(top.Reverse, [im.step("exclusive", top.Sub, [total, source])], axis=axis)


CONVERTERS: Mapping[str, Converter] = {
    "ArgMax": _arg("ArgMax"), "ArgMin": _arg("ArgMin"), "CumSum": cum_sum, "ReduceL1": _reduce("ReduceL1"),
    "ReduceL2": _reduce("ReduceL2"), "ReduceLogSum": log_sum, "ReduceLogSumExp": log_sum_exp, "ReduceMax": _reduce("ReduceMax"),
    "ReduceMean": _reduce("ReduceMean"), "ReduceMin": _reduce("ReduceMin"), "ReduceProd": _reduce("ReduceProd"),
    "ReduceSum": _reduce("ReduceSum"), "ReduceSumSquare": sum_square,
}
