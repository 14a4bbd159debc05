"""How tensors are stored in 8 bits: from their calibrated ranges to scales and zero points (as tpu-mlir 1.30.2 has them).

Symmetric: real = stored * threshold / 127; tensors that are never negative are unsigned, threshold / 255. Asymmetric: the range
from low to high, which always holds zero, over 255 steps, with a zero point; never negative is unsigned with none. So are stored
tensors whose range is fixed, because the source model stores them so. A tensor that cannot reach far below zero, as activations
make them, has a zero point in either case: symmetric steps would be twice as wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tpumlir_core.ir import ElementType, Module, Quantization
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.precision import kind
from tpumlir_core.storage_lowering import Storage
from tpumlir_int8.bounds import UNBOUNDED, Bounds
from tpumlir_int8.policy import FOLLOWING, RECTIFYING, SHIFTING

LEAST_THRESHOLD = 1e-5
"""A tensor of zeros is stored as if it reached this far."""
ONE_SIDED = 0.8
"""Of the symmetric step may be left with a zero point, for a tensor to have one though none are asked for."""


def unified(module: Module, ranges: Mapping[str, CalibratedRange]) -> dict[str, CalibratedRange]:
    """The ranges, with thresholds raised to what is made of the tensors: what a maximum is chosen from keeps what may be chosen.

    Outputs keep all that was seen: nobody knows what they are worth. A result that is chosen from the operand, or is it where that
    is large, tells which of the operand's values count: the maxima of a pooling are the ends of the distribution that it pools,
    which by itself would be worth cutting off. Of what is only scaled and shifted the same share is kept before as after.
    """
    raised = dict(ranges)
    for name in [value.name for value in module.function.outputs if value.name in ranges]:
        raised[name] = replace(raised[name], threshold=_largest(raised[name]))
    for operation in reversed(module.function.operations):
        source = operation.operands[0] if operation.operands else None
        if kind(operation) not in FOLLOWING | RECTIFYING | SHIFTING or source is None or isinstance(source.owner, Weight):
            continue
        before, after = raised.get(source.name), raised.get(operation.results[0].name)
        if before is not None and after is not None:
            seen = _largest(ranges[source.name]) / _largest(ranges[operation.results[0].name])
            factor = seen if kind(operation) in SHIFTING else 1.0
            large = before if kind(operation) in SHIFTING else after  # whose larger end tells which one is worth more
            raised[source.name] = _raised(before, after.threshold * factor, positive=large.high >= -large.low)
    return raised


def _raised(range_: CalibratedRange, wanted: float, positive: bool) -> CalibratedRange:
    """The range with a threshold of ``wanted`` at least, and so much of its positive (or negative) side; a calibrator may cut both.

    A fixed one stays as it is.
    """
    if wanted <= range_.threshold or range_.fixed:
        return range_
    low, high = (range_.low, max(range_.high, wanted)) if positive else (min(range_.low, -wanted), range_.high)
    return replace(range_, threshold=wanted, low=low, high=high)


def _largest(range_: CalibratedRange) -> float:
    return max(-range_.low, range_.high, range_.threshold)


def storage_of(range_: CalibratedRange, asymmetric: bool, bounds: Bounds = UNBOUNDED) -> Storage:
    """How a tensor of this range is stored, which cannot leave ``bounds``."""
    threshold = max(range_.threshold, LEAST_THRESHOLD)
    if range_.low >= 0:
        return _storage(ElementType.UI8, threshold / 255, 0, range_)
    whole = asymmetric or range_.fixed
    kept = (range_.low, range_.high) if whole else (max(-threshold, bounds.low), min(threshold, bounds.high))
    low, high = min(kept[0], 0.0), max(kept[1], 0.0)
    scale = max(high - low, LEAST_THRESHOLD) / 255
    if not whole and scale > ONE_SIDED * threshold / 127:
        return _storage(ElementType.SI8, threshold / 127, 0, range_)
    zero_point = round(min(max(-128 - low / scale, -128), 127))
    return _storage(ElementType.SI8, scale, zero_point, range_)


def after_relu(range_: CalibratedRange, limit: float) -> CalibratedRange:
    """What a fused activation leaves of a range: nothing negative, nothing above ``limit`` where that is positive."""
    top = min(range_.threshold, limit) if limit > 0 else range_.threshold
    return CalibratedRange(top, 0.0, min(max(range_.high, 0.0), top))


def _storage(element: ElementType, scale: float, zero_point: int, range_: CalibratedRange) -> Storage:
    return Storage(element, Quantization(scale, zero_point, range_.low, range_.high))
