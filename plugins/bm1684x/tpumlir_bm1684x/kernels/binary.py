"""Arithmetic of two or more operands, and of one with a constant."""

from __future__ import annotations

from typing import Any

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, Scratch, relu
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor


class AddKernel(ElementwiseKernel):
    """``sum(coeff[i] * x[i])``."""

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        e.binary("add", out, operands[0], operands[1])
        relu(op, out, e)


def register(registry: KernelRegistry) -> None:
    registry.add("tpu.Add", AddKernel())
