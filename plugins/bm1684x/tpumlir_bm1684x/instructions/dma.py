"""Memory transfers (GDMA)."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION, constant_bits
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

    def fill(self, out: LocalTensor | GlobalTensor, value: float) -> None:
        """A constant to every element."""
        constant = {"fill_constant": 1, "constant_value": constant_bits(value, out.element)}
        self._tensor(out, out, "copy", constant)

    def gather_rows(self, out: GlobalTensor, source: GlobalTensor, index: int, count: int) -> None:
        """``out[0, c, i, :] = source[0, c, index[i], :]`` for ``count`` unsigned 32-bit row numbers at address ``index``.

        Shapes are (1, c, rows, w); rows are contiguous (w stride 1).
        """
        values = {
            "cmd_id_en": 1, "stride_enable": 1, "src_format": PRECISION[source.element],
            "lane_mask_l32": 0xFFFFFFFF, "lane_mask_h32": 0xFFFFFFFF, "index_csize": 1, "index_hsize": count,
            "index_cstride": count, "index_hstride": 1, "index_addr_l32": index & 0xFFFFFFFF, "index_addr_h8": index >> 32,
        }
        for side, tensor in (("src", source), ("dst", out)):
            values |= {f"{side}_addr_l32": tensor.address & 0xFFFFFFFF, f"{side}_addr_h8": tensor.address >> 32}
            values |= {f"{side}_csize": tensor.shape[1], f"{side}_hsize": tensor.shape[2], f"{side}_wsize": tensor.shape[3]}
            values |= {f"{side}_cstride": tensor.strides[1], f"{side}_hstride": tensor.strides[2]}
        self.issue(Engine.DMA, "DMA_gather", values)

    def _tensor(
        self, source: LocalTensor | GlobalTensor, out: LocalTensor | GlobalTensor, function: str, constant: dict[str, int] | None = None
    ) -> None:
        values = {
            "cmd_id_en": 1, "stride_enable": 1, "nchw_copy": int(source.shape == out.shape),
            "src_format": PRECISION[source.element], "lane_mask_l32": 0xFFFFFFFF, "lane_mask_h32": 0xFFFFFFFF,
        }
        for side, tensor in (("src", source), ("dst", out)):
            address = self._dma_address(tensor)
            values |= {f"{side}_addr_l32": address & 0xFFFFFFFF, f"{side}_addr_h8": address >> 32}
            for axis, size, stride in zip("nchw", tensor.shape, tensor.strides, strict=True):
                values |= {f"{side}_{axis}size": size, f"{side}_{axis}stride": stride}
        values |= constant or {}
        reads = [source] if isinstance(source, LocalTensor) and constant is None else []
        writes = [out] if isinstance(out, LocalTensor) else []
        self.issue(Engine.DMA, "DMA_tensor", values, reads, writes, variant=function)

    def _dma_address(self, tensor: LocalTensor | GlobalTensor) -> int:
        if isinstance(tensor, GlobalTensor):
            return tensor.address
        return self.arch.local_base + tensor.lane * self.arch.lane_bytes + tensor.address
