"""Transposition across the lanes and broadcasts to them (TRANS & BC)."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor


class TransformInstructions(Emitter):
    """Builders of the TRANS & BC family."""

    def lane_broadcast(self, out: LocalTensor, source: LocalTensor) -> None:
        """One channel to all channels (at most the lanes) of ``out``; both in the standard layout, shapes equal but for c."""
        self._check_layout(out, source)
        n, c, h, w = out.shape
        values = {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w}
        values |= {"opd0_c": c, "opd0_w": w, "res0_addr": self._lane_address(out), "opd0_addr": self._lane_address(source)}
        self.issue(Engine.TIU, "sTRANS_sBC", values, [source], [out], variant="lane_broadcast")

    def lane_copy(self, out: LocalTensor, source: LocalTensor) -> None:
        """Channels to as many other lanes; both in the standard layout and in one group of lanes. A cycle for each word and channel."""
        self._check_layout(out, source)
        n, c, h, w = out.shape
        if out.shape != source.shape or max(out.lane, source.lane) + c > self.arch.lanes:
            raise InternalError(f"{source} cannot be copied to the lanes of {out}")
        values = {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w}
        values |= {"opd0_c": c, "opd0_w": w, "res0_addr": self._lane_address(out), "opd0_addr": self._lane_address(source)}
        self.issue(Engine.TIU, "sTRANS_sBC", values, [source], [out], variant="lane_copy")

    def transpose(self, out: LocalTensor, source: LocalTensor) -> None:
        """``out[n, w, h, c] = source[n, c, h, w]``, across the lanes; both in the standard layout (CModel, measured)."""
        self._check_layout(out, source)
        n, c, h, w = out.shape
        values = {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w}
        values |= {"opd0_c": w, "opd0_w": c, "res0_addr": self._lane_address(out), "opd0_addr": self._lane_address(source)}
        self.issue(Engine.TIU, "sTRANS_sBC", values, [source], [out], variant="wc_transpose")

    def _check_layout(self, out: LocalTensor, source: LocalTensor) -> None:
        if not (out.is_aligned(self.arch) and source.is_aligned(self.arch)):
            raise InternalError(f"{source} cannot be moved across the lanes into {out}: not in the standard layout")

    def _lane_address(self, tensor: LocalTensor) -> int:
        return tensor.lane * self.arch.lane_bytes + tensor.address
