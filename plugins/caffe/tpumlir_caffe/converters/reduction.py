"""Reduction and ArgMax."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top

_SUM, _ASUM, _SUMSQ, _MEAN = 1, 2, 3, 4
_MODES = {_SUM: "ReduceSum", _ASUM: "ReduceL1", _SUMSQ: "ReduceSum", _MEAN: "ReduceMean"}


def reduction(im: Importer, layer: Layer) -> Value:
    """All axes from ``axis`` on become one number, times ``coeff``; Caffe's blob without axes is [1] here."""
    x, p = im.only(), layer.parameters("reduction_param")
    axis = im.axis(p.axis, len(x.shape))
    source = im.step("squared", top.Mul, [x, x]) if p.operation == _SUMSQ else x
    flat = im.step("flat", top.Reshape, [source], shape=(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    shape = x.shape[:axis] or (1,)
    mode = _MODES[p.operation]
    if p.coeff == 1 and len(shape) == 1:
        return im.emit(top.Reduce, [flat], axes=(1,), keepdims=False, mode=mode)
    reduced = im.step("reduced", top.Reduce, [flat], axes=(1,), keepdims=False, mode=mode)
    if p.coeff == 1:
        return im.emit(top.Reshape, [reduced], shape=shape)
    if len(shape) == 1:
        return im.emit(top.MulConst, [reduced], const_val=p.coeff)
    return im.emit(top.Reshape, [im.step("scaled", top.MulConst, [reduced], const_val=p.coeff)], shape=shape)


def argmax(im: Importer, layer: Layer) -> Value:
    """Places of the greatest along ``axis`` (or the values there); without an axis of every image, as [N, 1 or 2, top_k, 1, ...].

    Of equal ones Caffe takes the last, as it sorts pairs of value and place.
    """
    x, p = im.only(), layer.parameters("argmax_param")
    if p.HasField("axis"):
        axis = im.axis(p.axis, len(x.shape))
        if not 1 <= p.top_k <= x.shape[axis]:
            raise InputError(f"top_k {p.top_k} does not fit an axis of {x.shape[axis]}")
        if p.top_k > 1:
            raise im.refusal("top_k above 1 along an axis")
        names = [im.top(0), f"{im.top(0)}_values"] if not p.out_max_val else [f"{im.top(0)}_indices", im.top(0)]
        indices, values = im.add_many(names, top.Arg, [x], axis=axis, keepdims=True, mode="ArgMax", select_last_index=True)
        return values if p.out_max_val else indices
    return _argmax_of_images(im, x, p.top_k, p.out_max_val)


def _argmax_of_images(im: Importer, x: Value, count: int, with_values: bool) -> Value:
    if len(x.shape) < 2 or not 1 <= count <= math.prod(x.shape[1:]):
        raise InputError(f"top_k {count} does not fit a bottom {list(x.shape)}")
    if count > 1:
        raise im.refusal("top_k above 1")
    shape = (x.shape[0], 1, math.prod(x.shape[1:]), *(1,) * (len(x.shape) - 3))
    flat = x if x.shape == shape else im.step("flat", top.Reshape, [x], shape=shape)
    attributes: dict[str, Any] = {"axis": 2, "keepdims": True, "mode": "ArgMax", "select_last_index": True}
    if not with_values:
        return im.emit(top.Arg, [flat], **attributes)
    found = im.add_many([f"{im.top(0)}_indices", f"{im.top(0)}_values"], top.Arg, [flat], **attributes)
    return im.emit(top.Concat, found, axis=1)


CONVERTERS: Mapping[str, Converter] = {"ArgMax": argmax, "Reduction": reduction}
