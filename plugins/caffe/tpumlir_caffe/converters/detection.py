"""PriorBox and DetectionOutput, the layers of SSD detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top

_CODES: Mapping[int, str] = {1: "CORNER", 2: "CENTER_SIZE", 3: "CORNER_SIZE"}
_SAME_RATIO = 1e-6
"""Ratios that differ by less count once (prior_box_layer.cpp of SSD's Caffe)."""
_VARIANCE = 0.1
"""Of boxes that tell none."""
_MOST_RATIOS = 1000
_LOWEST = -float(np.finfo(np.float32).max)


def prior_box(im: Importer, layer: Layer) -> Value:
    p = layer.parameters("prior_box_param")
    if not p.min_size or min(*p.min_size, *p.max_size, *p.aspect_ratio, 1.0) <= 0:
        raise InputError("min_size must be given, and all sizes and ratios be positive")
    if len(p.aspect_ratio) > _MOST_RATIOS:
        raise InputError(f"{len(p.aspect_ratio)} numbers of aspect_ratio are too many")
    ratios = _ratios(p)
    boxes = len(ratios) * len(p.min_size) + len(p.max_size)
    steps, extents = (_pair(p, name, alone) for name, alone in (("step", "step"), ("img", "img_size")))
    return im.emit(
        top.PriorBox, im.bottoms(2)[:2], min_size=tuple(p.min_size), max_size=tuple(p.max_size), aspect_ratios=ratios,
        variance=tuple(p.variance) or (_VARIANCE,), clip=p.clip, step_h=steps[0], step_w=steps[1], img_h=extents[0], img_w=extents[1],
        offset=p.offset, num_priors=boxes, use_default_aspect_ratio=p.use_default_aspect_ratio,
    )


def _ratios(p: Any) -> tuple[float, ...]:
    """The aspect ratios, each with its reciprocal where boxes are flipped; 1 is there by default."""
    found = [1.0] if p.use_default_aspect_ratio else []
    for ratio in p.aspect_ratio:
        if all(abs(ratio - other) >= _SAME_RATIO for other in found):
            found += [ratio, 1 / ratio] if p.flip else [ratio]
    return tuple(found)


def _pair(p: Any, name: str, alone: str) -> tuple[Any, Any]:
    """(height, width) of what is given for both axes, or for each; 0 where it is not."""
    if p.HasField(f"{name}_h") or p.HasField(f"{name}_w"):
        return getattr(p, f"{name}_h"), getattr(p, f"{name}_w")
    return getattr(p, alone), getattr(p, alone)


def detection_output(im: Importer, layer: Layer) -> Value:
    p = layer.parameters("detection_output_param")
    return im.emit(
        top.DetectionOutput, im.bottoms(3)[:3], num_classes=p.num_classes, share_location=p.share_location,
        background_label_id=p.background_label_id, nms_threshold=p.nms_param.nms_threshold, top_k=p.nms_param.top_k or -1,
        eta=p.nms_param.eta, code_type=_CODES[p.code_type], keep_top_k=p.keep_top_k or -1,
        confidence_threshold=p.confidence_threshold if p.HasField("confidence_threshold") else _LOWEST,
        variance_encoded_in_target=float(p.variance_encoded_in_target),
    )


CONVERTERS: Mapping[str, Converter] = {"DetectionOutput": detection_output, "PriorBox": prior_box}
