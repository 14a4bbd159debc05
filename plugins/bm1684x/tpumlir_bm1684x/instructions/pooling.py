"""Pooling and depthwise convolution (PorD): a window over each channel; operands in the standard layout.

Floats: every product and every sum is rounded to the operand's type; even taps and odd taps are added up apart, then the two sums
(CModel, measured). Where 16 bits are too few for that, convert to F32 before. 8 bits: exact in 32.
"""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION, SIGNED, constant_bits
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.arithmetic import LARGEST_SHIFT, Rounding
from tpumlir_sophgo.emitter import Emitter, Engine, Range
from tpumlir_sophgo.tensor import LocalTensor

# What lies outside the input of a maximum: the lowest finite number of each type (tpu-mlir 1.30.2).
LOWEST = {
    ElementType.F32: -3.4028234663852886e38, ElementType.F16: -65504.0, ElementType.BF16: 2.0**120 - 2.0**128,
    ElementType.SI8: -128.0, ElementType.UI8: 0.0,
}
_LARGEST_MULTIPLIER = 255


class PoolingInstructions(Emitter):
    """Builders of the PorD family."""

    def max_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep) -> None:
        """``out`` = the maximum of each window; outside the input lies the lowest finite number. Floats and 8 bits."""
        _check(out, x, out.element is x.element and x.element in LOWEST, "maximum")
        self._pool("max_pool", out, x, sweep, {"opd3_addr": constant_bits(LOWEST[x.element], x.element)})

    def average_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep, factor: float) -> None:
        """``out`` = the sum of each window's elements times ``factor``; outside the input lies zero. Floats."""
        _check(out, x, x.element.is_float and out.element is x.element, "average")
        self._pool("avg_pool", out, x, sweep, {"opd1_const": 1, "opd1_addr": constant_bits(factor, x.element)})

    def average_pool_fixed(
        self, out: LocalTensor, x: LocalTensor, sweep: Sweep, multiplier: int, shift: int, outside: int = 0
    ) -> None:
        """``out = saturate(round(sum * multiplier / 2**shift))``, halves up: 8 bits to 8, 16 or 32 bits.

        The multiplier has 8 bits, unsigned. Results of 8 bits have the operand's sign; a sum itself: (1, 0) to 32 bits.
        """
        same = out.element is x.element
        _check(out, x, x.element.bytes == 1 and not out.element.is_float and (same or out.element.bytes > 1), "average")
        if not (0 <= multiplier <= _LARGEST_MULTIPLIER and 0 <= shift <= LARGEST_SHIFT):
            raise InternalError(f"an average cannot be scaled by {multiplier} / 2**{shift}")
        values = {"opd1_const": 1, "opd1_addr": multiplier, "opd2_addr": shift, "opd2_n_str": int(Rounding.HALF_UP)}
        self._pool("avg_pool", out, x, sweep, values | {"opd3_addr": constant_bits(outside, x.element)})

    def depthwise(
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, *,
        filter_element: ElementType | None = None, outside: float = 0,
    ) -> None:
        """Each channel with its own kernel: ``filters`` and ``bias`` are lane byte addresses, seen from ``out``'s first lane.

        Compact: kernel rows x columns a channel, one bias a channel. Outside the input lies ``outside``.

        Floats: filters, biases and result are of the operand's type. 8 bits: filters of SI8 (or
        ``filter_element``), biases of SI32, results exact in SI32, or saturated to SI16 or SI8; UI8 by UI8 without a bias to UI8.
        """
        element = x.element
        narrow = element.bytes == 1
        weights = filter_element or (ElementType.SI8 if narrow else element)
        unsigned = out.element is ElementType.UI8 and bias is None and not {element, weights} & SIGNED
        fits = (out.element in (ElementType.SI32, ElementType.SI16, ElementType.SI8) or unsigned) if narrow else out.element is element
        _check(out, x, (narrow or element.is_float) and weights.bytes == element.bytes and fits, "depthwise convolution")
        groups = ceil_div(out.shape[1] + out.lane, self.arch.lanes)
        first = out.lane * self.arch.lane_bytes
        values = {"opd1_addr": first + filters, "opd3_addr": constant_bits(outside, element)}
        if narrow:
            values |= {"opd1_sign": int(weights in SIGNED), "opd2_sign": int(not unsigned)}
        reads: list[Range] = [(filters, filters + groups * sweep.kernel[0] * sweep.kernel[1] * element.bytes)]
        if bias is None:
            values["opd2_const"] = 1
        else:
            values["opd2_addr"] = first + bias
            reads.append((bias, bias + groups * (ElementType.SI32 if narrow else element).bytes))
        self._pool("depthwise", out, x, sweep, values, reads)

    def _pool(
        self, operation: str, out: LocalTensor, x: LocalTensor, sweep: Sweep, values: dict[str, int], reads: list[Range] | None = None
    ) -> None:
        if not (out.is_aligned(self.arch) and x.is_aligned(self.arch) and x.lane == out.lane):
            raise InternalError("pooling takes and writes the standard layout only, in the same lanes")
        n, c, h, w = out.shape
        values = sweep.fields() | values | {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[x.element], "opd3_const": 1,
            "res0_addr": out.lane * self.arch.lane_bytes + out.address, "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w,
            "opd0_addr": x.lane * self.arch.lane_bytes + x.address, "opd0_h": x.shape[2], "opd0_w": x.shape[3],
        }
        if not x.element.is_float:
            values["opd0_sign"] = int(x.element in SIGNED)
        self.issue(Engine.TIU, "sPorD", values, [x, *(reads or [])], [out], variant=operation)


def _check(out: LocalTensor, x: LocalTensor, fits: bool, what: str) -> None:
    if not fits:
        raise InternalError(f"no {what} of {x.element.value} gives {out.element.value}")
