"""The chip's emitter: one builder per instruction, in families (mixins), each checked where a field is set."""

from __future__ import annotations

from tpumlir_bm1684x.chip import arch, instruction_sets
from tpumlir_bm1684x.instructions.compare import CompareInstructions
from tpumlir_bm1684x.instructions.conversion import ConversionInstructions
from tpumlir_bm1684x.instructions.convolution import ConvolutionInstructions
from tpumlir_bm1684x.instructions.dma import DmaInstructions
from tpumlir_bm1684x.instructions.lookup import LookupInstructions
from tpumlir_bm1684x.instructions.matrix import MatrixInstructions
from tpumlir_bm1684x.instructions.pooling import PoolingInstructions
from tpumlir_bm1684x.instructions.transform import TransformInstructions


class Bm1684xEmitter(
    ConversionInstructions, CompareInstructions, ConvolutionInstructions, LookupInstructions, MatrixInstructions,
    PoolingInstructions, TransformInstructions, DmaInstructions,
):
    """All instruction builders of the chip over one command list."""

    @classmethod
    def new(cls) -> Bm1684xEmitter:
        return cls(arch(), instruction_sets())
