"""InnerProduct and Embed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top


def inner_product(im: Importer, layer: Layer) -> Value:
    """All axes from ``axis`` on, as one, times a matrix [outputs, inputs], or [inputs, outputs] with ``transpose``."""
    x, p = im.only(), layer.parameters("inner_product_param")
    axis = im.axis(p.axis, len(x.shape), end=True)
    rows, inputs, outputs = math.prod(x.shape[:axis]), math.prod(x.shape[axis:]), p.num_output
    if outputs < 1:
        raise InputError("num_output must be positive")
    im.check_size((inputs, outputs))
    matrix = im.blob(0, (inputs, outputs)) if p.transpose else im.blob(0, (outputs, inputs)).T
    weights = im.parameter(0, matrix)
    bias = im.parameter(1, im.blob(1, (outputs,))) if p.bias_term else None
    flat = x if x.shape == (rows, inputs) else im.step("flat", top.Reshape, [x], shape=(rows, inputs))
    shape = (*x.shape[:axis], outputs)
    if shape == (rows, outputs):
        return im.emit(top.MatMul, [flat, weights, bias])
    return im.emit(top.Reshape, [im.step("product", top.MatMul, [flat, weights, bias])], shape=shape)


def embed(im: Importer, layer: Layer) -> Value:
    """The rows of a matrix [input_dim, num_output] that the bottom names."""
    x, p = im.only(), layer.parameters("embed_param")
    if min(p.num_output, p.input_dim) < 1:
        raise InputError("num_output and input_dim must be positive")
    table = im.blob(0, (p.input_dim, p.num_output))
    if p.bias_term:
        table = table + im.blob(1, (p.num_output,))
    return im.emit(top.Gather, [im.parameter(0, table), x], axis=0)


CONVERTERS: Mapping[str, Converter] = {"Embed": embed, "InnerProduct": inner_product}
