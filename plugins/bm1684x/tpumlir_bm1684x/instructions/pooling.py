"""Pooling and depthwise convolution (PorD): a window over each channel; operands in the standard layout."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION, constant_bits
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.emitter import Emitter, Engine, Range
from tpumlir_sophgo.tensor import LocalTensor

# What lies outside the input of a maximum (tpu-mlir 1.30.2: the lowest finite number).
LOWEST = -3.4028234663852886e38


class PoolingInstructions(Emitter):
    """Builders of the PorD family."""

    def max_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep) -> None:
        """``out`` = the maximum of each window; outside the input lies the lowest finite number."""
        self._pool("max_pool", out, x, sweep, {"opd3_addr": constant_bits(LOWEST, x.element)})

    def average_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep, factor: float) -> None:
        """``out`` = the sum of each window times ``factor``; outside the input lies zero."""
        self._pool("avg_pool", out, x, sweep, {"opd1_const": 1, "opd1_addr": constant_bits(factor, ElementType.F32)})

    def depthwise(self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep) -> None:
        """Each channel with its own kernel: ``filters`` and ``bias`` are lane byte addresses, seen from ``out``'s first lane.

        Compact: kernel rows x columns a channel, one element a channel.
        """
        size = out.element.bytes
        groups = ceil_div(out.shape[1] + out.lane, self.arch.lanes)
        first = out.lane * self.arch.lane_bytes
        values = {"opd1_addr": first + filters}
        reads: list[Range] = [(filters, filters + groups * sweep.kernel[0] * sweep.kernel[1] * size)]
        if bias is None:
            values["opd2_const"] = 1
        else:
            values["opd2_addr"] = first + bias
            reads.append((bias, bias + groups * size))
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
        self.issue(Engine.TIU, "sPorD", values, [x, *(reads or [])], [out], variant=operation)
