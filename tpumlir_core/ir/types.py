"""Element and tensor types of the IR."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np


class ElementType(Enum):
    """Storage type of one element; the value is its MLIR spelling."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    SI8 = "si8"
    UI8 = "ui8"
    SI16 = "si16"
    UI16 = "ui16"
    SI32 = "si32"
    UI32 = "ui32"
    SI64 = "si64"

    def __init__(self, spelling: str) -> None:
        self.bytes = int("".join(filter(str.isdigit, spelling))) // 8
        """Bytes of one element."""

    @property
    def is_float(self) -> bool:
        return self in (ElementType.F32, ElementType.F16, ElementType.BF16)

    @property
    def numpy(self) -> np.dtype:
        """The numpy type that stores it (BF16 as its uint16 bits)."""
        return np.dtype(_NUMPY[self])


_NUMPY = {
    ElementType.F32: "float32", ElementType.F16: "float16", ElementType.BF16: "uint16", ElementType.SI8: "int8",
    ElementType.UI8: "uint8", ElementType.SI16: "int16", ElementType.UI16: "uint16", ElementType.SI32: "int32",
    ElementType.UI32: "uint32", ElementType.SI64: "int64",
}


@dataclass(frozen=True)
class Quantization:
    """Uniform quantization of a tensor: real = (stored - zero_point) * scale; ``low``/``high`` the calibrated range."""

    scale: float
    zero_point: int = 0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class TensorType:
    """Shape (row-major, static), element type, and, after calibration or lowering, quantization and address."""

    shape: tuple[int, ...]
    element: ElementType = ElementType.F32
    quantization: Quantization | None = None
    address: int | None = None

    @property
    def scaling(self) -> tuple[float, int]:
        """What stored numbers stand for: (scale, zero point) of real = (stored - zero point) * scale."""
        q = self.quantization
        return (1.0, 0) if q is None or self.element.is_float else (q.scale, q.zero_point)

    @property
    def elements(self) -> int:
        """Number of elements (1 for a scalar)."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the dense tensor."""
        return self.elements * self.element.bytes

    def holds_as(self, other: TensorType) -> bool:
        """Whether tensors of both types hold the same in memory: ranges that were calibrated aside."""
        return self.without_range() == other.without_range()

    def without_range(self) -> TensorType:
        """The type without the range that a float tensor was calibrated to; what integers stand for stays."""
        return replace(self, quantization=None) if self.element.is_float else self

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        return replace(self, shape=tuple(int(d) for d in shape))

    def with_element(self, element: ElementType) -> TensorType:
        return replace(self, element=element)

    def with_storage(self, element: ElementType, quantization: Quantization | None) -> TensorType:
        return replace(self, element=element, quantization=quantization)
