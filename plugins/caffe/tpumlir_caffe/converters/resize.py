"""Upsample and Interp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top


def upsample(im: Importer, layer: Layer) -> Value:
    """Every element ``scale`` times along both axes."""
    x, p = im.bottom(), layer.parameters("upsample_param")
    if len(layer.bottoms) != 1:
        raise im.refusal("a mask as second bottom")
    height, width = (getattr(p, name) if p.HasField(name) else p.scale for name in ("scale_h", "scale_w"))
    if p.pad_out_h or p.pad_out_w or len(x.shape) != 4 or min(height, width) < 1:
        raise im.refusal(f"scales {height} and {width}, pad_out_h or pad_out_w, of a bottom {list(x.shape)}")
    for name, extent in (("upsample_h", x.shape[2] * height), ("upsample_w", x.shape[3] * width)):
        if p.HasField(name) and getattr(p, name) != extent:
            raise im.refusal(f"{name} {getattr(p, name)}, which is not the scale times the extent")
    return im.emit(top.Upsample, [x], scale_h=height, scale_w=width)


def interp(im: Importer, layer: Layer) -> Value:
    """Bilinear interpolation between the corners, after adding (positive) or cutting (negative) margins."""
    x, p = im.bottom(), layer.parameters("interp_param")
    if len(x.shape) != 4:
        raise InputError(f"its bottom has the shape {list(x.shape)}; wanted is [N, C, H, W]")
    if p.pad_beg or p.pad_end:
        x = im.step("padded", top.Pad, [x], paddings=(0, 0, *(p.pad_beg,) * 2, 0, 0, *(p.pad_end,) * 2), val=0.0, mode="constant")
    height, width = _target(im, layer, p, x.shape[2], x.shape[3])
    if min(height, width) < 1:
        raise InputError(f"it would be resized to {height} x {width}")
    scales = {"scale_h": height / x.shape[2], "scale_w": width / x.shape[3]}
    return im.emit(top.Interp, [x], mode="linear", coord_mode="align_corners", **scales)


def _target(im: Importer, layer: Layer, p: Any, height: int, width: int) -> tuple[int, int]:
    """The extents: those of a second bottom, the ones given, or shrunk and zoomed ones (interp_layer.cpp of DeepLab's Caffe)."""
    if len(layer.bottoms) > 1:
        return im.bottom(1).shape[-2], im.bottom(1).shape[-1]
    if p.shrink_factor < 1 or p.zoom_factor < 1:
        raise InputError("shrink_factor and zoom_factor must be positive")
    if p.HasField("shrink_factor") == p.HasField("zoom_factor") and p.HasField("height") and p.HasField("width"):
        return p.height, p.width
    extents = [(extent - 1) // p.shrink_factor + 1 for extent in (height, width)]
    zoomed = [extent + (extent - 1) * (p.zoom_factor - 1) for extent in extents]
    return zoomed[0], zoomed[1]


CONVERTERS: Mapping[str, Converter] = {"Interp": interp, "Upsample": upsample}
