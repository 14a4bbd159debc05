"""What all builders share: precision codes, operand layouts, constants as bits."""

from __future__ import annotations

import math
import struct

from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType

# Precision codes of the instruction fields ("CModel, measured"; tpu-mlir 1.30.2 DType).
PRECISION = {
    ElementType.SI8: 0, ElementType.UI8: 0, ElementType.F16: 1, ElementType.F32: 2, ElementType.SI16: 3, ElementType.UI16: 3,
    ElementType.SI32: 4, ElementType.UI32: 4, ElementType.BF16: 5,
}
SIGNED = {ElementType.SI8, ElementType.SI16, ElementType.SI32, ElementType.F32, ElementType.F16, ElementType.BF16}

_BEYOND_F16 = 65520.0  # the least number that rounds to infinity

# Operand layout codes ("str" fields).
ALIGNED, COMPACT, OFFSET, STRIDED = 0, 1, 2, 3


def constant_bits(value: float, element: ElementType) -> int:
    """The bits of a constant operand."""
    if element is ElementType.F32:
        return int.from_bytes(struct.pack("<f", value), "little")
    if element is ElementType.F16:
        finite = value if abs(value) < _BEYOND_F16 else math.copysign(math.inf, value)
        return int.from_bytes(struct.pack("<e", finite), "little")
    if element is ElementType.BF16:
        bits = int.from_bytes(struct.pack("<f", value), "little")
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    if value != int(value):
        raise InternalError(f"constant {value} is no {element.value}")
    return int(value) & (1 << 8 * element.bytes) - 1
