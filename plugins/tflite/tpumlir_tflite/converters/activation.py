"""Functions of one tensor, element by element or along its last axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tpumlir_core.ir import Operation, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import layout_of, together


def _plain(kind: type[Operation], **attributes: Any) -> Converter:
    """A converter to one operation that does not mind the order of axes."""

    def convert(im: Importer, node: Node) -> Laid:
        x = im.laid(node.input(0))
        return im.emit(kind, [x.value], x.layout, **attributes)

    return convert


def _on_floats(kind: type[Operation]) -> Converter:
    """A converter to an operation that leaves integers as they are."""

    def convert(im: Importer, node: Node) -> Laid:
        x = im.laid(node.input(0))
        return im.same(x) if im.is_integer(node.input(0)) else im.emit(kind, [x.value], x.layout)

    return convert


def square(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    return im.emit(top.Mul, [x.value, x.value], x.layout)


def leaky_relu(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    return im.emit(top.LeakyRelu, [x.value], x.layout, alpha=node.options("LeakyReluOptions").Alpha())


def gelu(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    approximate = node.options("GeluOptions").Approximate()
    return im.emit(top.GELU, [x.value], x.layout, approx_mode="tanh" if approximate else "normal")


def prelu(im: Importer, node: Node) -> Laid:
    """One slope for all, one a channel, or any that broadcasts: x where positive, else x times the slope."""
    number = im.scalar(node.input(1))
    if number is not None:
        x = im.laid(node.input(0))
        return im.emit(top.LeakyRelu, [x.value], x.layout, alpha=number)
    rank = len(im.shape(node.input(0)))
    slopes = im.constant(node.input(1))
    channels = slopes is not None and rank > 1 and slopes.size == im.shape(node.input(0))[-1] == slopes.shape[-1]
    if channels and slopes is not None and layout_of(im, node.inputs[:1], rank).axis(-1, rank) == 1:
        x = im.laid(node.input(0))
        along = im.constant_result("slope", slopes.reshape(1, slopes.size, *(1,) * (rank - 2)))
        return im.emit(top.PRelu, [x.value, along], x.layout)
    (x_value, slope), layout = together(im, node.inputs[:2])
    positive = im.step("positive", top.Relu, [x_value])
    negative = im.step("negative", top.MinConst, [x_value], const_val=0.0)
    return im.emit(top.Add, [positive, im.step("scaled", top.Mul, [negative, slope])], layout)


def softmax(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    rank = len(x.value.shape)
    return im.emit(
        top.Softmax, [x.value], x.layout, axis=x.layout.axis(rank - 1, rank), log=False, beta=node.options("SoftmaxOptions").Beta()
    )


def log_softmax(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    rank = len(x.value.shape)
    return im.emit(top.Softmax, [x.value], x.layout, axis=x.layout.axis(rank - 1, rank), log=True)


CONVERTERS: Mapping[str, Converter] = {
    "ABS": _plain(top.Abs), "CEIL": _on_floats(top.Ceil), "COS": _plain(top.Cos), "ELU": _plain(top.Elu, alpha=1.0),
    "EXP": _plain(top.Exp), "FLOOR": _on_floats(top.Floor), "GELU": gelu, "HARD_SWISH": _plain(top.HardSwish), "LEAKY_RELU": leaky_relu,
    "LOG": _plain(top.Log), "LOGISTIC": _plain(top.Sigmoid), "LOG_SOFTMAX": log_softmax, "NEG": _plain(top.MulConst, const_val=-1.0),
    "PRELU": prelu, "RELU": _plain(top.Relu), "RELU6": _plain(top.Relu, relu_limit=6.0),
    "RELU_0_TO_1": _plain(top.Relu, relu_limit=1.0), "RELU_N1_TO_1": _plain(top.Clip, min=-1.0, max=1.0),
    "ROUND": _on_floats(top.Round), "RSQRT": _plain(top.Rsqrt), "SIGN": _plain(top.Sign), "SIN": _plain(top.Sin), "SOFTMAX": softmax,
    "SQRT": _plain(top.Sqrt), "SQUARE": square, "TANH": _plain(top.Tanh),
}
