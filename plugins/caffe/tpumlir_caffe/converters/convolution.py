"""Convolution and Deconvolution, with their depthwise kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Value, top


@dataclass(frozen=True)
class _Window:
    """What a convolution_param says, one entry for each spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    group: int
    filters: int

    def attributes(self) -> dict[str, Any]:
        """The attributes of a Top convolution."""
        return {
            "kernel_shape": self.kernel, "strides": self.strides, "dilations": self.dilations, "pads": self.pads * 2, "group": self.group
        }


def spatial(p: Any, name: str, count: int, default: int | None, alone: str = "") -> tuple[int, ...]:
    """A parameter of windows: ``name`` given once, or once an axis, height first; or else ``name``_h and ``name``_w.

    ``alone``: what the field is called that holds all axes, where that is not ``name``. Raises InputError.
    """
    pair = [getattr(p, f"{name}_{axis}") for axis in "hw"]
    if any(p.HasField(f"{name}_{axis}") for axis in "hw"):
        if count != 2:
            raise InputError(f"{name}_h and {name}_w do not fit {count} spatial axes")
        return tuple(pair)
    given = tuple(getattr(p, alone or name))
    if not given and default is None:
        raise InputError(f"its {alone or name} is missing")
    if len(given) not in (0, 1, count):
        raise InputError(f"{len(given)} numbers of {alone or name} do not fit {count} spatial axes")
    return given * count if len(given) == 1 else given or (default or 0,) * count


def _window(im: Importer, p: Any, shape: Sequence[int], depthwise: bool) -> _Window:
    count = len(shape) - 2
    if p.axis not in (1, 1 - len(shape)):
        raise im.refusal(f"axis {p.axis}")
    if count not in (1, 2, 3):
        raise InputError(f"its bottom has the shape {list(shape)}; wanted is [N, C, H, W]")
    given = tuple(p.dilation)
    dilations = given * count if len(given) == 1 else given or (1,) * count
    if len(dilations) != count:
        raise InputError(f"{len(given)} numbers of dilation do not fit {count} spatial axes")
    kernel, strides = spatial(p, "kernel", count, None, "kernel_size"), spatial(p, "stride", count, 1)
    group = shape[1] if depthwise and p.group == 1 else p.group
    if min(*kernel, *strides, *dilations, group, p.num_output) < 1:
        raise InputError("kernel_size, stride, dilation, group and num_output must be positive")
    if shape[1] % group or p.num_output % group:
        raise InputError(f"{group} groups do not divide {shape[1]} channels and {p.num_output} filters")
    return _Window(kernel, strides, dilations, spatial(p, "pad", count, 0), group, p.num_output)


def _convolution(depthwise: bool) -> Converter:
    def convert(im: Importer, layer: Layer) -> Value:
        x, p = im.only(), layer.parameters("convolution_param")
        window = _window(im, p, x.shape, depthwise)
        im.check_size((window.filters, x.shape[1] // window.group, *window.kernel))
        filters = im.parameter(0, im.blob(0, (window.filters, x.shape[1] // window.group, *window.kernel)))
        return im.emit(top.Conv, [x, filters, _bias(im, p, window)], **window.attributes())

    return convert


def _bias(im: Importer, p: Any, window: _Window) -> Value | None:
    return im.parameter(1, im.blob(1, (window.filters,))) if p.bias_term else None


def deconvolution(im: Importer, layer: Layer) -> Value:
    x, p = im.only(), layer.parameters("convolution_param")
    window = _window(im, p, x.shape, False)
    shape = (x.shape[1], window.filters // window.group, *window.kernel)
    im.check_size(shape)
    filters = im.parameter(0, _exchanged(im.blob(0, shape), window.group))
    return im.emit(top.Deconv, [x, filters, _bias(im, p, window)], **window.attributes())


def _exchanged(filters: Array, group: int) -> Array:
    """Caffe's [C, OC/group, kernel] -> the data order [group, OC/group, C/group, kernel], shaped [OC/group, C, kernel]."""
    channels, outputs, *kernel = filters.shape
    split = filters.reshape(group, channels // group, outputs, *kernel)
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(outputs, channels, *kernel)


CONVERTERS: Mapping[str, Converter] = {
    "Convolution": _convolution(False), "ConvolutionDepthwise": _convolution(True), "Deconvolution": deconvolution,
    "DepthwiseConvolution": _convolution(True),
}
