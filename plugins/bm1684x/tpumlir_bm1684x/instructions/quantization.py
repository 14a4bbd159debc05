"""Requantization and dequantization (RQ & DQ). All tensors are in the standard layout; none of them is slower in place.

The arithmetic of each, bit for bit: ``tpumlir_sophgo.arithmetic``, the function of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpumlir_bm1684x.instructions.common import PRECISION, SIGNED, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arithmetic import LARGEST_SHIFT, Rounding
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor

_NARROW = (ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.UI16)
_SUMS = (ElementType.SI32, ElementType.SI16, ElementType.UI16)
_FLOAT_ROUNDING = 3  # bit of the field where the rounding of a float to an integer begins; below: of an integer to a float


@dataclass(frozen=True)
class FixedScale:
    """One scale for a whole tensor: ``multiplier / 2**shift``; a negative shift multiplies.

    The zero point is the result's, or the operand's of ``dequantize_fixed``; of an unsigned tensor it is not negative.
    """

    multiplier: int
    shift: int
    zero_point: int = 0


@dataclass(frozen=True)
class FloatScale:
    """One scale for a whole tensor, and what is added after multiplying (``requantize_scaled``)."""

    scale: float
    offset: float = 0.0


def fixed_scales(multipliers: Array, shifts: Array, zero_points: Array | int = 0) -> Array:
    """Scales of each channel as ``requantize`` reads them: (channels, 3), SI32. Append columns to keep more beside them."""
    return np.stack(np.broadcast_arrays(multipliers, -np.asarray(shifts), zero_points), axis=1).astype(np.int32)


class QuantizationInstructions(Emitter):
    """Builders of the RQ & DQ family.

    Scales of each channel are a local tensor (1, channels, 1, 2 or 3, or more: the rest is not looked at) whose channel
    groups are 64 bytes apart, in the lane of the channel.
    """

    def requantize(
        self, out: LocalTensor, x: LocalTensor, scale: LocalTensor | FixedScale, rounding: Rounding = Rounding.HALF_UP
    ) -> None:
        """``out = saturate(round(x * multiplier / 2**shift) + zero_point)``: SI32, SI16 or UI16 to 8 or 16 bits.

        Scales of each channel: SI32 (multiplier, minus shift, zero point), see ``fixed_scales``.
        """
        self._check(out, x, _SUMS, _NARROW)
        if isinstance(scale, FixedScale):
            low, zero = _shift_field(scale.shift) & 0xFF, _zero_field(scale.zero_point, out.element)
            values = {"opd1_addr": scale.multiplier & 0xFFFFFFFF, "opd2_addr": low | zero << 16}
        else:
            values = self._table(scale, out, ElementType.SI32, 3)
        self._quantize("rq1", out, x, scale, values | {"opd2_n_str": rounding})

    def requantize_scaled(
        self, out: LocalTensor, x: LocalTensor, scale: LocalTensor | FloatScale, rounding: Rounding = Rounding.HALF_TO_EVEN
    ) -> None:
        """``out = saturate(round(x * scale + offset))`` in F32; halves cannot be rounded up or down alike.

        Scales of each channel: F32 (scale, offset).
        """
        self._check(out, x, _SUMS, _NARROW)
        if rounding > Rounding.UP:
            raise InternalError(f"a float cannot be rounded {rounding.name}")
        if isinstance(scale, FloatScale):
            values = {name: constant_bits(value, ElementType.F32) for name, value in
                      (("opd1_addr", scale.scale), ("opd2_addr", scale.offset))}
        else:
            values = self._table(scale, out, ElementType.F32, 2)
        self._quantize("rq0", out, x, scale, values | {"opd2_n_str": rounding << _FLOAT_ROUNDING})

    def dequantize(self, out: LocalTensor, x: LocalTensor, scale: float, zero_point: int = 0) -> None:
        """``out = (x - zero_point) * scale``: 8 or 16 bits to F32."""
        self._check(out, x, _NARROW, (ElementType.F32,))
        zero = _zero_field(zero_point, x.element)
        values = {"opd1_addr": zero, "opd2_addr": constant_bits(scale, ElementType.F32)}
        self._quantize("dq0", out, x, FloatScale(scale), values)

    def dequantize_fixed(self, out: LocalTensor, x: LocalTensor, scale: FixedScale, rounding: Rounding = Rounding.HALF_UP) -> None:
        """``out = saturate(round((x - zero_point) * multiplier / 2**shift))``: 8 or 16 bits to SI8, SI16 or SI32."""
        self._check(out, x, _NARROW, (ElementType.SI8, ElementType.SI16, ElementType.SI32))
        zero = _zero_field(scale.zero_point, x.element)
        values = {"opd1_addr": zero | (_shift_field(scale.shift) & 0xFFFF) << 16, "opd2_addr": scale.multiplier & 0xFFFFFFFF}
        self._quantize("dq1", out, x, scale, values | {"opd2_n_str": rounding})

    def _quantize(
        self, variant: str, out: LocalTensor, x: LocalTensor, scale: LocalTensor | FixedScale | FloatScale, values: dict[str, int]
    ) -> None:
        n, c, h, w = out.shape
        first = out.lane * self.arch.lane_bytes
        constant = not isinstance(scale, LocalTensor)
        values |= {
            "cmd_id_en": 1, "opd1_const": int(constant), "opd0_prec": PRECISION[x.element], "opd0_sign": int(x.element in SIGNED),
            "res0_prec": PRECISION[out.element], "opd2_sign": int(out.element in SIGNED), "res0_addr": first + out.address,
            "opd0_addr": first + x.address, "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w,
        }
        self.issue(Engine.TIU, "sRQ_sDQ", values, [x, scale] if isinstance(scale, LocalTensor) else [x], [out], variant=variant)

    def _table(self, scale: LocalTensor, out: LocalTensor, element: ElementType, columns: int) -> dict[str, int]:
        n, c, h, w = scale.shape
        apart = scale.strides[1] * scale.element.bytes
        grouped = c + out.lane > self.arch.lanes
        if (n, c, h) != (1, out.shape[1], 1) or w < columns or scale.element is not element or scale.lane != out.lane or (
            grouped and apart != self.arch.eu_bytes
        ):
            raise InternalError(f"{scale} does not hold {columns} {element.value} for each channel of {out}")
        return {"opd1_addr": scale.lane * self.arch.lane_bytes + scale.address}

    def _check(self, out: LocalTensor, x: LocalTensor, operands: tuple[ElementType, ...], results: tuple[ElementType, ...]) -> None:
        if x.element not in operands or out.element not in results:
            raise InternalError(f"no quantization from {x.element.value} to {out.element.value}")
        if out.shape != x.shape or out.lane != x.lane or not (out.is_aligned(self.arch) and x.is_aligned(self.arch)):
            raise InternalError(f"quantization of {x} into {out}: shapes or lanes differ, or not in the standard layout")


def _shift_field(shift: int) -> int:
    """The field counts to the left. Further left than 31 bits no product of 32 bits stays whole."""
    if not -31 <= shift <= LARGEST_SHIFT:
        raise InternalError(f"a shift by {shift} bits")
    return -shift


def _zero_field(zero_point: int, element: ElementType) -> int:
    limits = np.iinfo(np.int16 if element in SIGNED else np.uint16)
    if not limits.min <= zero_point <= limits.max:
        raise InternalError(f"{zero_point} is no zero point of {element.value}")
    return zero_point & 0xFFFF
