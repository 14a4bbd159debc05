"""The converters: one function for each layer type, in one file a family; here their table."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_caffe.converters import (
    convolution,
    detection,
    elementwise,
    linear,
    movement,
    normalization,
    pooling,
    reduction,
    resize,
)
from tpumlir_caffe.importer import Converter

_FAMILIES = (convolution, detection, elementwise, linear, movement, normalization, pooling, reduction, resize)
CONVERTERS: Mapping[str, Converter] = {name: f for family in _FAMILIES for name, f in family.CONVERTERS.items()}
ALIASES = frozenset(("Dropout", "Split"))
"""Layers whose tops are their bottom under another name: they make no tensor."""
