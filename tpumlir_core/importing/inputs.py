"""Network inputs: their shapes, which must be fixed, and their element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tpumlir_core.errors import InputError
from tpumlir_core.importing.builder import LARGEST_TENSOR
from tpumlir_core.ir import ElementType

_ELEMENTS: Mapping[str, ElementType] = {
    "float32": ElementType.F32, "float": ElementType.F32, "f32": ElementType.F32, "int32": ElementType.SI32, "int": ElementType.SI32,
    "si32": ElementType.SI32, "int64": ElementType.SI32,
}


def one_each(given: Sequence[object], count: int, what: str) -> None:
    """Raise InputError if the user gave shapes or types (``what``), but not one for each of ``count`` inputs."""
    if given and len(given) != count:
        raise InputError(f"{len(given)} input {what} are given, but the model has {count} inputs")


def element_of(text: str) -> ElementType:
    """The element type of an ``--input-types`` entry."""
    if text.lower() not in _ELEMENTS:
        raise InputError(f"input type '{text}' is unknown; use float32 or int32")
    return _ELEMENTS[text.lower()]


def fixed_shape(name: str, declared: Sequence[int | None] | None, given: Sequence[int] | None) -> tuple[int, ...]:
    """The shape of input ``name``: what the user gave, else what the model declares (None for what it leaves open).

    Raises InputError where an extent stays open, and for shapes that do not fit or cannot be.
    """
    if given is not None:
        if declared is not None and len(given) != len(declared):
            raise InputError(f"input {name}: shape {list(given)} given for a tensor of rank {len(declared)}")
        shape = tuple(given)
    elif declared is None or None in declared:
        known = "unknown" if declared is None else str(["?" if d is None else d for d in declared]).replace("'", "")
        raise InputError(f"input {name}: its shape {known} is not fixed; pass --input-shapes")
    else:
        shape = tuple(d for d in declared if d is not None)
    elements = 1
    for extent in shape:
        if extent < 1:
            raise InputError(f"input {name}: shape {list(shape)} has an extent below 1")
        elements *= extent
    if elements * 4 > LARGEST_TENSOR:
        raise InputError(f"input {name}: shape {list(shape)} is too large")
    return shape
