"""The converters: one function for each TFLite operator, in one file a family; here their table."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_tflite.converters import (
    activation,
    arithmetic,
    blocks,
    convolution,
    linear,
    logic,
    movement,
    pooling,
    recurrent,
    reduction,
    resize,
    slicing,
    storage,
)
from tpumlir_tflite.importer import Converter

_FAMILIES = (
    activation, arithmetic, blocks, convolution, linear, logic, movement, pooling, recurrent, reduction, resize, slicing, storage,
)
CONVERTERS: Mapping[str, Converter] = {name: f for family in _FAMILIES for name, f in family.CONVERTERS.items()}
