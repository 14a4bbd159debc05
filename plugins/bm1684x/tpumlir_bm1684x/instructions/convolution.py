"""Convolution (CONV): dense, any group; the result is in the standard layout."""

from __future__ import annotations

from dataclasses import dataclass

from tpumlir_bm1684x.instructions.common import ALIGNED, PRECISION, STRIDED
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.emitter import Emitter, Engine, Range
from tpumlir_sophgo.tensor import LocalTensor

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
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, accumulate: bool = False
    ) -> None:
        """``out = x * filters + bias`` (``+ out`` when accumulating), F32.

        ``filters`` and ``bias`` are lane byte addresses, seen from the lane of ``out``'s first channel. Output channel o's
        filter is x channels x kernel rows x kernel columns, compact, in the lane of that channel; biases are one
        element each. ``x`` may have any strides and begin in any lane; ``out`` has to be in the standard layout.
        """
        if not out.is_aligned(self.arch):
            raise InternalError("a convolution writes the standard layout only")
        size = out.element.bytes
        n, c, h, w = out.shape
        groups = ceil_div(c + out.lane, self.arch.lanes)
        first = out.lane * self.arch.lane_bytes
        values = sweep.fields() | {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[x.element], "res_add": int(accumulate),
            "res0_addr": first + out.address, "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w,
            "opd0_addr": x.lane * self.arch.lane_bytes + x.address, "opd0_c": x.shape[1], "opd0_h": x.shape[2],
            "opd0_w": x.shape[3], "opd1_addr": first + filters, "opd3_const": 1,
        }
        values |= {"opd0_str": ALIGNED} if x.is_aligned(self.arch) else {"opd0_str": STRIDED} | {
            f"opd0_{axis}_str": stride for axis, stride in zip("nchw", x.strides, strict=True)
        }
        taps = x.shape[1] * sweep.kernel[0] * sweep.kernel[1]
        reads: list[LocalTensor | Range] = [x, (filters, filters + groups * taps * size)]
        if bias is None:
            values["opd2_const"] = 1
        else:
            values["opd2_addr"] = first + bias
            reads.append((bias, bias + groups * size))
        if accumulate:
            reads.append(out)
        self.issue(Engine.TIU, "sCONV", values, reads, [out], variant="normal")
