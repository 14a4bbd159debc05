"""The converters: one function for each ATen operator, its parameters named as PyTorch names them; one file a family, here their table."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_torch.converters import (
    activation,
    casting,
    convolution,
    creation,
    einsum,
    elementwise,
    indexing,
    joining,
    linear,
    logic,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    transformer,
)
from tpumlir_torch.importer import Converter

_FAMILIES = (
    activation, casting, convolution, creation, einsum, elementwise, indexing, joining, linear, logic, movement, normalization, pooling,
    recurrent, reduction, resize, transformer,
)
CONVERTERS: Mapping[str, Converter] = {name: f for family in _FAMILIES for name, f in family.CONVERTERS.items()}
