"""Conversion between stored numbers and F32, as sequences of AR and LIN instructions."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.arithmetic import ArithmeticInstructions
from tpumlir_bm1684x.instructions.special import SpecialInstructions
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import LocalTensor

Scaling = tuple[float, int]  # (scale, zero point): real = (stored - zero point) * scale
UNSCALED: Scaling = (1.0, 0)


class ConversionInstructions(ArithmeticInstructions, SpecialInstructions):
    """Builders that compose others. ``numbers`` of tpumlir_sophgo gives the same arithmetic in numpy."""

    def widen(self, out: LocalTensor, x: LocalTensor, scaling: Scaling = UNSCALED) -> None:
        """``out = (x - zero point) * scale`` in F32, the product rounded; ``out`` is in the standard layout."""
        scale, zero = scaling
        if x.element is ElementType.F32:
            self.copy(out, x)  # converted to its own type a float becomes integral
        else:
            self.unary("cast", out, x)
        if scaling != UNSCALED:
            self._scale(out, scale, -zero * scale)

    def narrow(self, out: LocalTensor, x: LocalTensor, scaling: Scaling = UNSCALED) -> None:
        """``out = x / scale + zero point`` of F32, by the reciprocal, halves to even, saturated. Overwrites ``x``, which is in
        the standard layout."""
        scale, zero = scaling
        if scaling != UNSCALED:
            self._scale(x, 1 / scale, float(zero))
        self.unary("cast", out, x)

    def _scale(self, x: LocalTensor, factor: float, offset: float) -> None:
        if x.lane == 0:
            self.linear(x, x, factor, offset)
            return
        self.binary("mul", x, x, factor)
        if offset:
            self.binary("add", x, x, offset)
