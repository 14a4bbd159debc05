"""Pooling. Caffe rounds the number of windows up, and clips those that start outside of a padded blob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top

_MAX, _AVE = 0, 1
_FLOOR = 1


@dataclass(frozen=True)
class _Window:
    """Height, then width: kernel, strides, pads of both sides, and how far the last windows reach beyond the end pads."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    overhang: tuple[int, int]


def _window(im: Importer, p: Any, spatial: Sequence[int]) -> _Window:
    if p.global_pooling:
        return _Window((spatial[0], spatial[1]), (1, 1), (0, 0), (0, 0))
    kernel, strides, pads = (_pair(p, name, alone) for name, alone in (("kernel", "kernel_size"), ("stride", "stride"), ("pad", "pad")))
    if min(*kernel, *strides) < 1:
        raise InputError("kernel_size and stride must be positive")
    if pads[0] >= kernel[0] or pads[1] >= kernel[1]:
        raise InputError(f"pad {list(pads)} is not smaller than kernel_size {list(kernel)}")
    up = p.ceil_mode and p.round_mode != _FLOOR
    over = [_overhang(im, *axis, padded=any(pads), up=up) for axis in zip(spatial, kernel, strides, pads, strict=True)]
    return _Window(kernel, strides, pads, (over[0], over[1]))


def _pair(p: Any, name: str, alone: str) -> tuple[int, int]:
    height, width = f"{name}_h", f"{name}_w"
    if p.HasField(height) or p.HasField(width):
        return getattr(p, height), getattr(p, width)
    return getattr(p, alone), getattr(p, alone)


def _overhang(im: Importer, extent: int, kernel: int, stride: int, pad: int, *, padded: bool, up: bool) -> int:
    """How far the last window reaches beyond the end padding; pooling_layer.cpp of Caffe counts the windows."""
    room = extent + 2 * pad - kernel
    if room < 0:
        raise InputError(f"a kernel of {kernel} does not fit an axis of {extent} padded by {pad} on both sides")
    count = (-(-room // stride) if up else room // stride) + 1
    if padded and (count - 1) * stride >= extent + pad:
        count -= 1
    if (count - 1) * stride >= extent + pad:
        raise im.refusal("a window outside of its bottom")
    return (count - 1) * stride + kernel - extent - 2 * pad


def pooling(im: Importer, layer: Layer) -> Value:
    x, p = im.bottom(), layer.parameters("pooling_param")
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        raise im.refusal("a mask as second top")
    if p.pool not in (_MAX, _AVE):
        raise im.refusal("pool STOCHASTIC")
    if len(x.shape) != 4:
        raise InputError(f"its bottom has the shape {list(x.shape)}; wanted is [N, C, H, W]")
    window = _window(im, p, x.shape[2:])
    if p.pool == _MAX:
        reach = tuple(pad + over for pad, over in zip(window.pads, window.overhang, strict=True))
        return im.emit(top.MaxPool, [x], kernel_shape=window.kernel, strides=window.strides, pads=window.pads + reach)
    return _average(im, x, window)


def _average(im: Importer, x: Value, window: _Window) -> Value:
    """A mean counts the padding that its window covers, but nothing beyond that."""
    if max(window.overhang) <= 0:
        return im.emit(
            top.AvgPool, [x], kernel_shape=window.kernel, strides=window.strides, pads=window.pads * 2, count_include_pad=True
        )
    if any(window.pads):
        x = im.step("padded", top.Pad, [x], paddings=(0, 0, *window.pads) * 2, val=0.0, mode="constant")
    pads = (0, 0, *(max(0, over) for over in window.overhang))
    return im.emit(top.AvgPool, [x], kernel_shape=window.kernel, strides=window.strides, pads=pads, count_include_pad=False)


CONVERTERS: Mapping[str, Converter] = {"Pooling": pooling}
