"""Selection by a condition."""

from __future__ import annotations

from typing import Any

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, Scratch
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor


class WhereKernel(ElementwiseKernel):
    """``cond != 0 ? x : y``; either may be a constant."""

    packed = frozenset({0, 1, 2})

    def supports(self, op: Any) -> str | None:
        if (op.operands[1] is None) != op.x_is_const or (len(op.operands) < 3 or op.operands[2] is None) != op.y_is_const:
            return "each branch must be either a tensor or a constant"
        return super().supports(op)

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        condition, *branches = operands
        yes = op.x_const_val if op.x_is_const else branches.pop(0)
        no = op.y_const_val if op.y_is_const else branches.pop(0)
        e.choose("eq", out, condition, 0.0, no, yes)


class MaskedFillKernel(ElementwiseKernel):
    """``cond != 0 ? x : const_val``, or the other way with ``inversed``."""

    packed = frozenset({0, 1})

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        condition, x = operands
        kept: tuple[LocalTensor | float, LocalTensor | float] = (op.const_val, x)
        no, yes = kept[::-1] if op.inversed else kept
        e.choose("eq", out, condition, 0.0, no, yes)


def register(registry: KernelRegistry) -> None:
    """Selection kernels."""
    registry.add("tpu.Where", WhereKernel())
    registry.add("tpu.MaskedFill", MaskedFillKernel())
