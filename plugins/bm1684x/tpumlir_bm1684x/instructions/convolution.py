"""Convolution (CONV): dense, any group, F32, 16-bit floats and 8 bits; the result is in the standard layout."""

from __future__ import annotations

from dataclasses import dataclass

from tpumlir_bm1684x.filter_layout import filter_bytes
from tpumlir_bm1684x.instructions.common import ALIGNED, PRECISION, SIGNED, STRIDED, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.emitter import Emitter, Engine, Range
from tpumlir_sophgo.tensor import LocalTensor

_BIAS = ElementType.F32
LIMIT = 15  # strides, pads and inserted zeros are fields of four bits


@dataclass(frozen=True)
class Sweep:
    """How a kernel moves over its input; every pair is (rows, columns).

    ``pads``: zeros before and after, (up, down, left, right). ``dilation`` and ``expansion`` are distances of
    neighbouring kernel taps and of neighbouring input elements (1: adjacent); what lies between is zero.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    expansion: tuple[int, int] = (1, 1)

    def fields(self) -> dict[str, int]:
        """The instruction fields that CONV and PorD share. A value that does not fit is an internal fault."""
        up, down, left, right = self.pads
        if min(self.pads) < 0 or max(*self.pads, *self.stride, *(d - 1 for d in self.dilation + self.expansion)) > LIMIT:
            raise InternalError(f"a convolution cannot sweep like {self}")
        return {
            "opd1_h": self.kernel[0], "opd1_w": self.kernel[1], "res_op_y_str": self.stride[0], "res_op_x_str": self.stride[1],
            "opd0_up_pad": up, "opd0_dn_pad": down, "opd0_lf_pad": left, "opd0_rt_pad": right,
            "opd1_y_ins0": self.dilation[0] - 1, "opd1_x_ins0": self.dilation[1] - 1,
            "opd0_y_ins0": self.expansion[0] - 1, "opd0_x_ins0": self.expansion[1] - 1,
        }


class ConvolutionInstructions(Emitter):
    """Builders of the CONV family."""

    def convolve(
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, accumulate: bool = False, *,
        filter_element: ElementType | None = None, filter_zero: int = 0, outside: float = 0,
    ) -> None:
        """``out = x * (filters - filter_zero) + bias`` (``+ out`` when accumulating).

        ``filters`` and ``bias`` are lane byte addresses, seen from the lane of ``out``'s first channel. Output channel o's
        filter lies in the lane of that channel as ``filter_layout`` has it (F32: x channels x kernel rows x kernel columns,
        compact); biases are one element each. ``x`` may have any strides and begin in any lane; ``out`` has to be in the
        standard layout. What lies outside the input is ``outside`` (the zero point, of quantized tensors); what lies
        between its elements (``Sweep.expansion``) too.

        Floats: F32 to F32; F16 and BF16 to their own type or to F32. Sums are F32 inside, rounded once; biases are F32.
        8 bits: SI8 or UI8 by filters of SI8 or UI8 (``filter_element``; default SI8), exact in SI32; results of fewer bits
        saturate. There is no bias: let ``out`` hold it, and accumulate. Only results of 32 bits can accumulate.
        """
        if not out.is_aligned(self.arch):
            raise InternalError("a convolution writes the standard layout only")
        weights = filter_element or (ElementType.SI8 if x.element.bytes == 1 else x.element)
        _check_elements(out.element, x.element, weights, bias is not None, accumulate)
        if filter_zero and x.element.is_float:
            raise InternalError("filters of floats have no zero point")
        n, c, h, w = out.shape
        first = out.lane * self.arch.lane_bytes
        values = sweep.fields() | {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[x.element], "res_add": int(accumulate),
            "res0_addr": first + out.address, "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w,
            "opd0_addr": x.lane * self.arch.lane_bytes + x.address, "opd0_c": x.shape[1], "opd0_h": x.shape[2],
            "opd0_w": x.shape[3], "opd1_addr": first + filters, "opd3_const": 1, "opd3_addr": constant_bits(outside, x.element),
        }
        values |= {"opd0_str": ALIGNED} if x.is_aligned(self.arch) else {"opd0_str": STRIDED} | {
            f"opd0_{axis}_str": stride for axis, stride in zip("nchw", x.strides, strict=True)
        }
        if not x.element.is_float:
            signed = int(weights in SIGNED)
            values |= {"opd0_sign": int(x.element in SIGNED), "opd1_sign": signed, "opd2_sign": signed}
        groups = ceil_div(c + out.lane, self.arch.lanes)
        row = filter_bytes(x.shape[1], sweep.kernel[0] * sweep.kernel[1], x.element)
        reads: list[LocalTensor | Range] = [x, (filters, filters + groups * row)]
        if bias is None:
            values |= {"opd2_const": 1, "opd2_addr": constant_bits(filter_zero, weights)}
        else:
            values["opd2_addr"] = first + bias
            reads.append((bias, bias + groups * _BIAS.bytes))
        if accumulate:
            reads.append(out)
        self.issue(Engine.TIU, "sCONV", values, reads, [out], variant="normal")


def _check_elements(out: ElementType, x: ElementType, weights: ElementType, has_bias: bool, accumulate: bool) -> None:
    """Raise InternalError for types that CONV cannot multiply, or result types that it cannot write."""
    if x.is_float:
        fits = weights is x and out in (x, ElementType.F32)
    else:
        fits = x.bytes == 1 and weights.bytes == 1 and not weights.is_float and not out.is_float and not has_bias
    if not fits or (accumulate and out.bytes != 4):
        raise InternalError(f"no convolution of {x.value} by {weights.value} gives {out.value}, has_bias={has_bias}, {accumulate=}")
