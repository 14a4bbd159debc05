"""Memory transfers (GDMA)."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import GlobalTensor, LocalTensor


class DmaInstructions(Emitter):
    """Builders of the DMA family."""

    def load(self, out: LocalTensor, source: GlobalTensor) -> None:
        """Global to local, any strides on both sides; shapes are equal."""
        self._tensor(source, out, "copy")

    def store(self, out: GlobalTensor, source: LocalTensor) -> None:
        """Local to global, any strides on both sides; shapes are equal."""
        self._tensor(source, out, "copy")

    def move(self, out: GlobalTensor, source: GlobalTensor) -> None:
        """Global to global, any strides on both sides; shapes are equal, or hold as many elements."""
        self._tensor(source, out, "copy")

    def shift(self, out: LocalTensor, source: LocalTensor) -> None:
        """Local to local, also from lane to lane."""
        self._tensor(source, out, "copy")

    def _tensor(self, source: LocalTensor | GlobalTensor, out: LocalTensor | GlobalTensor, function: str) -> None:
        values = {
            "cmd_id_en": 1, "stride_enable": 1, "nchw_copy": int(source.shape == out.shape),
            "src_format": PRECISION[source.element], "lane_mask_l32": 0xFFFFFFFF, "lane_mask_h32": 0xFFFFFFFF,
        }
        for side, tensor in (("src", source), ("dst", out)):
            address = self._dma_address(tensor)
            values |= {f"{side}_addr_l32": address & 0xFFFFFFFF, f"{side}_addr_h8": address >> 32}
            for axis, size, stride in zip("nchw", tensor.shape, tensor.strides, strict=True):
                values |= {f"{side}_{axis}size": size, f"{side}_{axis}stride": stride}
        reads = [source] if isinstance(source, LocalTensor) else []
        writes = [out] if isinstance(out, LocalTensor) else []
        self.issue(Engine.DMA, "DMA_tensor", values, reads, writes, variant=function)

    def _dma_address(self, tensor: LocalTensor | GlobalTensor) -> int:
        if isinstance(tensor, GlobalTensor):
            return tensor.address
        return self.arch.local_base + tensor.lane * self.arch.lane_bytes + tensor.address
