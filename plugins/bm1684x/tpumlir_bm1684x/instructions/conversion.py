"""Conversion between stored numbers and F32, as sequences of AR, LIN and DQ instructions."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.arithmetic import ArithmeticInstructions
from tpumlir_bm1684x.instructions.quantization import QuantizationInstructions
from tpumlir_bm1684x.instructions.special import SpecialInstructions
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import LocalTensor

Scaling = tuple[float, int]  # (scale, zero point): real = (stored - zero point) * scale
UNSCALED: Scaling = (1.0, 0)


class ConversionInstructions(ArithmeticInstructions, SpecialInstructions, QuantizationInstructions):
    """Builders that compose others. ``tpumlir_sophgo.executor`` has the same arithmetic in numpy, bit for bit."""

    def widen(self, out: LocalTensor, x: LocalTensor, scaling: Scaling = UNSCALED) -> None:
        """``out = (x - zero point) * scale`` in F32, the product rounded; ``out`` is in the standard layout."""
        scale, zero = scaling
        if x.element is ElementType.F32:
            self.copy(out, x)  # converted to its own type a float becomes integral
        elif scaling == UNSCALED:
            self.unary("cast", out, x)
        elif x.shape == out.shape and x.lane == out.lane and x.is_aligned(self.arch):
            self.dequantize(out, x, scale, zero)
        else:
            self.unary("cast", out, x)
            self._scale(out, 1.0, float(-zero))
            self._scale(out, scale, 0.0)

    def narrow(self, out: LocalTensor, x: LocalTensor, scaling: Scaling = UNSCALED) -> None:
        """``out = x * (1 / scale) + zero point`` of F32, each rounded, then halves to even, saturated. Overwrites ``x``, which is
        in the standard layout."""
        scale, zero = scaling
        if scaling != UNSCALED:
            self._scale(x, 1 / scale, float(zero))
        self.unary("cast", out, x)

    def _scale(self, x: LocalTensor, factor: float, offset: float) -> None:
        """``x = x * factor + offset``, nothing where that changes nothing."""
        if (factor, offset) == (1.0, 0.0):
            return
        if x.lane == 0:
            self.linear(x, x, factor, offset)
            return
        self.binary("mul", x, x, factor)
        if offset:
            self.binary("add", x, x, offset)
