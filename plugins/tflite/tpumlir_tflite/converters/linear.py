"""Matrix products and looked-up rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Value, top
from tpumlir_tflite.converters.convolution import bias_of
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import activated


def fully_connected(im: Importer, node: Node) -> Laid:
    """Rows of as many numbers as a filter has columns, times the transposed filter ``[units, columns]``."""
    options = node.options("FullyConnectedOptions")
    if options.WeightsFormat():
        raise im.refusal("shuffled weights")
    shape, filter_shape = im.shape(im.present(node.input(0))), im.shape(im.present(node.input(1)))
    if len(filter_shape) != 2 or 0 in filter_shape or math.prod(shape) % filter_shape[1]:
        raise InputError(f"a filter of shape {list(filter_shape)} does not fit an input of shape {list(shape)}")
    columns = filter_shape[1]
    rows = math.prod(shape) // columns
    kept = options.KeepNumDims() and shape[-1:] == (columns,)
    x, filter = _operands(im, node, shape if kept else (rows, columns))
    bias = bias_of(im, node.input(2), node.input(0), node.input(1))
    return activated(im, options.FusedActivationFunction(), top.MatMul, [x, filter, bias])


def _operands(im: Importer, node: Node, shape: tuple[int, ...]) -> tuple[Value, Value]:
    """The rows, in a shape, and the filter ``[columns, units]``. An image that was flattened is taken with its channels first,
    and the filter's columns in that order: so nothing is transposed while it runs."""
    index, columns = node.input(1), shape[-1]
    if index not in im.constants:
        matrix = im.step("filter", top.Permute, [im.value(index)], order=(1, 0))
        return _flat(im, im.value(node.input(0)), shape), matrix
    image = _flattened_image(im, node.input(0), columns) if len(shape) == 2 else None
    if image is None:
        return _flat(im, im.value(node.input(0)), shape), im.prepared(index, (), lambda filter: filter.T)
    _, channels, *spatial = image.shape

    def reordered(filter: Array) -> Array:
        places = filter.reshape(-1, *spatial, channels)
        return places.transpose(len(spatial) + 1, *range(1, len(spatial) + 1), 0).reshape(columns, -1)

    return _flat(im, image, shape), im.prepared(index, image.shape, reordered)


def _flat(im: Importer, value: Value, shape: tuple[int, ...]) -> Value:
    return value if value.shape == shape else im.step("flat", top.Reshape, [value], shape=shape)


def _flattened_image(im: Importer, index: int, columns: int) -> Value | None:
    """The image with its channels first whose numbers a row holds, where there is one: the operand, or what it is reshaped from."""
    maker = im.makers.get(index)
    while maker is not None and maker.operator == "RESHAPE" and index not in im.constants:
        if im.laid(index).layout is CHANNELS_FIRST:
            break
        index = maker.input(0)
        maker = im.makers.get(index)
    if index in im.constants:
        return None
    found = im.laid(index)
    shape = found.value.shape
    fits = found.layout is CHANNELS_FIRST and len(shape) > 2 and math.prod(shape[1:]) == columns
    return found.value if fits else None


def batch_matmul(im: Importer, node: Node) -> Laid:
    options = node.options("BatchMatMulOptions")
    left, right = im.value(node.input(0)), im.value(node.input(1))
    if min(len(left.shape), len(right.shape)) < 2:
        raise InputError(f"operands of shapes {list(left.shape)} and {list(right.shape)} are no matrices")
    if options.AdjX():
        left = _transposed(im, "left", left)
    if options.AdjY():
        right = _transposed(im, "right", right)
    return im.emit(top.MatMul, [left, right])


def _transposed(im: Importer, side: str, value: Value) -> Value:
    rank = len(value.shape)
    return im.step(side, top.Permute, [value], order=(*range(rank - 2), rank - 1, rank - 2))


def embedding_lookup(im: Importer, node: Node) -> Laid:
    """Rows of a table, by number."""
    return im.emit(top.Gather, [im.value(node.input(1)), im.value(node.input(0))], axis=0, keepdims=True)


CONVERTERS: Mapping[str, Converter] = {
    "BATCH_MATMUL": batch_matmul, "EMBEDDING_LOOKUP": embedding_lookup, "FULLY_CONNECTED": fully_connected,
}
