"""Which kernel does a convolution of 8-bit numbers."""

from __future__ import annotations

from typing import Any

from tpumlir_bm1684x.kernels import quantized_folding
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.filters import problem
from tpumlir_bm1684x.kernels.quantized_convolution import DenseQuantized, DepthwiseQuantized
from tpumlir_bm1684x.kernels.quantized_folding import FoldedQuantized
from tpumlir_sophgo.kernel import Kernel, KernelRegistry


class QuantizedConvKernel(ChoiceKernel):
    """Depthwise where every channel is a group of its own; with the rows of the kernel folded where that pays; else dense."""

    def __init__(self) -> None:
        self._dense, self._depthwise, self._folded = DenseQuantized(), DepthwiseQuantized(), FoldedQuantized()

    def choose(self, op: Any) -> Kernel:
        if len(op.kernel_shape) > 2 or problem(op).tapwise:
            return self._dense
        if op.group > 1 and op.group == op.input.shape[1] == op.output.shape[1]:
            return self._depthwise
        return self._folded if quantized_folding.pays(op) else self._dense


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.QuantizedConv", QuantizedConvKernel())
