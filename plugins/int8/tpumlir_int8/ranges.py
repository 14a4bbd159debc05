"""How tensors are stored in 8 bits: from their calibrated ranges to scales and zero points (as tpu-mlir 1.30.2 has them).

Symmetric: real = stored * threshold / 127; tensors that are never negative are unsigned, threshold / 255. Asymmetric: the range
from low to high, which always holds zero, over 255 steps, with a zero point; never negative is unsigned with none.
"""

from __future__ import annotations

from tpumlir_core.ir import ElementType, Quantization
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.storage_lowering import Storage

LEAST_THRESHOLD = 1e-5
"""A tensor of zeros is stored as if it reached this far."""


def storage_of(range_: CalibratedRange, asymmetric: bool) -> Storage:
    """How a tensor of this range is stored."""
    threshold = max(range_.threshold, LEAST_THRESHOLD)
    if range_.low >= 0:
        return _storage(ElementType.UI8, threshold / 255, 0, range_)
    if not asymmetric:
        return _storage(ElementType.SI8, threshold / 127, 0, range_)
    low, high = min(range_.low, 0.0), max(range_.high, 0.0)
    scale = max(high - low, LEAST_THRESHOLD) / 255
    zero_point = round(min(max(-128 - low / scale, -128), 127))
    return _storage(ElementType.SI8, scale, zero_point, range_)


def after_relu(range_: CalibratedRange, limit: float) -> CalibratedRange:
    """What a fused activation leaves of a range: nothing negative, nothing above ``limit`` where that is positive."""
    top = min(range_.threshold, limit) if limit > 0 else range_.threshold
    return CalibratedRange(top, 0.0, min(max(range_.high, 0.0), top))


def _storage(element: ElementType, scale: float, zero_point: int, range_: CalibratedRange) -> Storage:
    return Storage(element, Quantization(scale, zero_point, range_.low, range_.high))
