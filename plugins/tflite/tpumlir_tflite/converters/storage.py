"""Operators that change how numbers are stored, and those whose results are constants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_tflite.importer import Converter, Importer, Result
from tpumlir_tflite.model import Node


def restored(im: Importer, node: Node) -> Result:
    """QUANTIZE and DEQUANTIZE: what numbers stand for stays the same. A constant becomes float32 here."""
    constant = im.constant(im.present(node.input(0)))
    return constant.astype(np.float32) if constant is not None else im.same(im.laid(node.input(0)))


def densify(im: Importer, node: Node) -> Array:
    return im.dense_constant(node.input(0))


def shape(im: Importer, node: Node) -> Array:
    return np.array(im.shape(im.present(node.input(0))), np.int64)


def rank(im: Importer, node: Node) -> Array:
    return np.array(len(im.shape(im.present(node.input(0)))), np.int64)


def fill(im: Importer, node: Node) -> Array:
    extents = im.integers(node.input(0), "extents")
    if min(extents, default=0) < 0:
        raise InputError(f"extents {list(extents)} cannot be")
    im.check_constant(extents)
    return np.full(extents, im.required(node.input(1), "value").reshape(-1)[0])


def zeros_like(im: Importer, node: Node) -> Array:
    extents = im.shape(im.present(node.input(0)))
    im.check_constant(extents)
    return np.zeros(extents, np.float32)


def range_(im: Importer, node: Node) -> Array:
    start, limit, delta = (im.required(index, "bounds").reshape(-1)[0] for index in node.inputs)
    if delta == 0:
        raise InputError("the step is 0")
    im.check_constant([max(0, int(np.ceil((limit - start) / delta)))])
    return np.arange(start, limit, delta)


CONVERTERS: Mapping[str, Converter] = {
    "DENSIFY": densify, "DEQUANTIZE": restored, "FILL": fill, "QUANTIZE": restored, "RANGE": range_, "RANK": rank,
    "SHAPE": shape, "ZEROS_LIKE": zeros_like,
}
