"""Functions of one blob, element by element, and of several blobs of one shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Operation, Value, top

_PROD, _SUM, _MAX, _MIN = range(4)
_SIX = 6.0


def _plain(kind: type[Operation], **attributes: Any) -> Converter:
    """A converter to one operation without parameters."""

    def convert(im: Importer, layer: Layer) -> Value:
        return im.emit(kind, [im.only()], **attributes)

    return convert


def relu(im: Importer, layer: Layer) -> Value:
    slope = layer.parameters("relu_param").negative_slope
    return im.emit(top.LeakyRelu, [im.only()], alpha=slope) if slope else im.emit(top.Relu, [im.only()])


def relu6(im: Importer, layer: Layer) -> Value:
    if any(layer.parameters(name).negative_slope for name in ("relu_param", "relu6_param")):
        raise im.refusal("a negative_slope")
    return im.emit(top.Clip, [im.only()], min=0.0, max=_SIX)


def clip(im: Importer, layer: Layer) -> Value:
    p = layer.parameters("clip_param")
    if not (p.HasField("min") and p.HasField("max")):
        raise InputError("clip_param needs min and max")
    return im.emit(top.Clip, [im.only()], min=p.min, max=p.max)


def prelu(im: Importer, layer: Layer) -> Value:
    x = im.only()
    if len(x.shape) < 2:
        raise InputError(f"its bottom has the shape {list(x.shape)}, without channels")
    shared = layer.parameters("prelu_param").channel_shared
    slope = im.blob(0, (1,) if shared else (x.shape[1],))
    return im.emit(top.PRelu, [x, im.parameter(0, slope.repeat(x.shape[1] // slope.size).reshape(1, -1, *(1,) * (len(x.shape) - 2)))])


def elu(im: Importer, layer: Layer) -> Value:
    return im.emit(top.Elu, [im.only()], alpha=layer.parameters("elu_param").alpha)


def swish(im: Importer, layer: Layer) -> Value:
    return im.emit(top.Swish, [im.only()], beta=layer.parameters("swish_param").beta)


def threshold(im: Importer, layer: Layer) -> Value:
    """1 above the threshold, else 0."""
    limit = layer.parameters("threshold_param").threshold
    return im.emit(top.CompareConst, [im.only()], mode="Greater", const_val=limit, inversed=False)


# --- (shift + scale x) and what is made of it ---------------------------------------------------------------------------
def _chain(im: Importer, steps: list[tuple[str, type[Operation], dict[str, Any]]]) -> Value:
    """Operations one after the other on the bottom, the last of which makes the top; without any, a product with 1."""
    value = im.only()
    for suffix, kind, attributes in steps[:-1]:
        value = im.step(suffix, kind, [value], **attributes)
    _, kind, attributes = steps[-1] if steps else ("", top.MulConst, {"const_val": 1.0})
    return im.emit(kind, [value], **attributes)


def _affine(p: Any) -> list[tuple[str, type[Operation], dict[str, Any]]]:
    scaled = [("scaled", top.MulConst, {"const_val": p.scale})] if p.scale != 1 else []
    return scaled + ([("shifted", top.AddConst, {"const_val": p.shift})] if p.shift else [])


def power(im: Importer, layer: Layer) -> Value:
    """(shift + scale x) to the power ``power``; powers 0 and scales 0 give constants, as in Caffe."""
    p = layer.parameters("power_param")
    if p.scale == 0 or p.power == 0:
        constant = p.shift**p.power if p.power and (p.shift > 0 or p.power == int(p.power) > 0) else 1.0
        if p.power and p.shift == 0:
            constant = 0.0
        return _chain(im, [("zero", top.MulConst, {"const_val": 0.0}), ("", top.AddConst, {"const_val": constant})])
    return _chain(im, _affine(p) + ([("", top.Pow, {"exponent": p.power})] if p.power != 1 else []))


def exp(im: Importer, layer: Layer) -> Value:
    """``base`` (-1: e) to the power of shift + scale x."""
    p = layer.parameters("exp_param")
    if p.base != -1 and p.base <= 0:
        raise InputError(f"base {p.base} must be positive, or -1 for e")
    steps = _affine(p)
    if p.base not in (-1, 1):
        steps.append(("exponent", top.MulConst, {"const_val": math.log(p.base)}))
    return _chain(im, [*steps, ("", top.Exp, {})])


def log(im: Importer, layer: Layer) -> Value:
    """The logarithm to ``base`` (-1: e) of shift + scale x."""
    p = layer.parameters("log_param")
    if p.base != -1 and (p.base <= 0 or p.base == 1):
        raise InputError(f"base {p.base} must be positive and not 1, or -1 for e")
    factor = 1.0 if p.base == -1 else 1 / math.log(p.base)
    scaled = [("", top.MulConst, {"const_val": factor})] if factor != 1 else []
    return _chain(im, [*_affine(p), ("log", top.Log, {}), *scaled])


# --- several blobs --------------------------------------------------------------------------------------------------------
def eltwise(im: Importer, layer: Layer) -> Value:
    p, values = layer.parameters("eltwise_param"), im.bottoms(2)
    shapes = {value.shape for value in values}
    if len(shapes) > 1:
        raise InputError(f"its bottoms have different shapes: {', '.join(map(str, map(list, sorted(shapes))))}")
    if p.coeff and p.operation != _SUM:
        raise InputError("coeff is for the operation SUM only")
    if p.coeff and len(p.coeff) != len(values):
        raise InputError(f"it has {len(p.coeff)} numbers of coeff for {len(values)} bottoms")
    if p.operation == _SUM:
        return im.emit(top.Add, values, coeff=tuple(p.coeff) if p.coeff else None)
    return im.emit({_PROD: top.Mul, _MAX: top.Max, _MIN: top.Min}[p.operation], values)


def axpy(im: Importer, layer: Layer) -> Value:
    """a x + y, with one a for each channel of each image."""
    a, x, y = im.bottoms(3)[:3]
    if x.shape != y.shape or a.shape[:2] != x.shape[:2] or any(extent != 1 for extent in a.shape[2:]):
        raise InputError(f"a, x and y have the shapes {list(a.shape)}, {list(x.shape)} and {list(y.shape)}")
    shape = (*x.shape[:2], *(1,) * (len(x.shape) - 2))
    factor = a if a.shape == shape else im.step("factor", top.Reshape, [a], shape=shape)
    return im.emit(top.Add, [im.step("product", top.Mul, [x, factor]), y])


CONVERTERS: Mapping[str, Converter] = {
    "AbsVal": _plain(top.Abs), "Axpy": axpy, "BNLL": _plain(top.Softplus), "Clip": clip, "ELU": elu, "Eltwise": eltwise, "Exp": exp,
    "Log": log, "Mish": _plain(top.Mish), "PReLU": prelu, "Power": power, "ReLU": relu, "ReLU6": relu6, "Sigmoid": _plain(top.Sigmoid),
    "Swish": swish, "TanH": _plain(top.Tanh), "Threshold": threshold,
}
