"""Gathering and scattering by indices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import normal_axis

_REDUCTIONS = ("none", "add", "mul", "max", "min")


def _checked(node: Node, indices: Array, extent: int) -> Array:
    """Indices counted from the front. Raises InputError outside [-extent, extent)."""
    if indices.dtype.kind not in "iu" or (indices.size and not (-extent <= indices.min() and indices.max() < extent)):
        raise InputError(f"{node}: indices outside an axis of {extent}")
    return np.where(indices < 0, indices + extent, indices)


def _indices(im: Importer, node: Node, index: int, extent: int) -> Value:
    constant = im.constant(node.input(index))
    if constant is None:
        return im.value(node.input(index))
    checked = _checked(node, constant, extent)
    unchanged = np.array_equal(checked, constant)
    return im.value(node.input(index)) if unchanged else im.constant_result("indices", checked)


def gather(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axis = normal_axis(node, node.integer("axis", 0), len(x.shape))
    indices = _indices(im, node, 1, x.shape[axis])
    return im.emit(top.Gather, [x, indices], axis=axis, keepdims=bool(indices.shape))


def gather_elements(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axis = normal_axis(node, node.integer("axis", 0), len(x.shape))
    return im.emit(top.GatherElements, [x, _indices(im, node, 1, x.shape[axis])], axis=axis)


def gather_nd(im: Importer, node: Node) -> Value:
    x, batch = im.value(node.input(0)), node.integer("batch_dims", 0)
    return im.emit(top.GatherND, [x, _nd_indices(im, node, x, batch)], batch_dims=batch)


def _nd_indices(im: Importer, node: Node, x: Value, batch: int) -> Value:
    """Index tuples; constant ones are checked axis by axis."""
    constant = im.constant(node.input(1))
    if constant is None:
        return im.value(node.input(1))
    count = constant.shape[-1]
    if batch < 0 or batch + count > len(x.shape):
        raise InputError(f"{node}: index tuples of {count} do not fit shape {list(x.shape)}")
    columns = [_checked(node, constant[..., i], x.shape[batch + i]) for i in range(count)]
    checked = np.stack(columns, axis=-1)
    return im.value(node.input(1)) if np.array_equal(checked, constant) else im.constant_result("indices", checked)


def _reduction(node: Node) -> int:
    name = node.text("reduction", "none")
    if name not in _REDUCTIONS:
        raise InputError(f"{node}: reduction '{name}' is unknown")
    if name != "none":
        raise UnsupportedError(f"{node.op_type} with reduction {name} (node {node.label})")
    return 0


def scatter_elements(im: Importer, node: Node) -> Value:
    x, updates, reduction = im.value(node.input(0)), im.value(node.input(2)), _reduction(node)
    axis = normal_axis(node, node.integer("axis", 0), len(x.shape))
    return im.emit(top.ScatterElements, [x, _indices(im, node, 1, x.shape[axis]), updates], axis=axis, reduction=reduction)


def scatter_nd(im: Importer, node: Node) -> Value:
    x, updates, reduction = im.value(node.input(0)), im.value(node.input(2)), _reduction(node)
    return im.emit(top.ScatterND, [x, _nd_indices(im, node, x, 0), updates], reduction=reduction)


CONVERTERS: Mapping[str, Converter] = {
    "Gather": gather, "GatherElements": gather_elements, "GatherND": gather_nd, "Scatter": scatter_elements,
    "ScatterElements": scatter_elements, "ScatterND": scatter_nd,
}
