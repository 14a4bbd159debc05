"""Comparison and logic; truth is 1, falsehood 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, Scratch
from tpumlir_core.ir import Operation
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor

Operand = LocalTensor | float

# The relation whose truth (or, with True, falsehood) a mode is.
_RELATIONS = {
    "Equal": ("eq", False), "NotEqual": ("eq", True), "Greater": ("gt", False), "LessOrEqual": ("gt", True),
    "Less": ("lt", False), "GreaterOrEqual": ("lt", True),
}


def relate(mode: str, out: LocalTensor, left: Operand, right: Operand, s: Scratch, e: Bm1684xEmitter) -> None:
    """``out = left mode right``; (in)equality, And and Xor take two buffers.

    The hardware tells -0 from 0 where it tests for equality: floats get 0 added before.
    """
    if mode in _RELATIONS:
        relation, negated = _RELATIONS[mode]
        if relation == "eq":
            left, right = (_without_negative_zero(x, out, s, e) for x in (left, right))
        e.select(relation, out, left, right, 1.0)
        if negated:
            e.linear(out, out, -1.0, 1.0)
    elif mode == "Not":
        e.select("eq", out, left, 0.0, 1.0)
    elif mode == "And":
        conjunction((left, right), out, s, e)
    else:
        a, b = s.like(out, 2)
        e.select("eq", a, left, 0.0, 1.0)
        e.select("eq", b, right, 0.0, 1.0)
        e.select("eq", out, a, b, 1.0)
        e.linear(out, out, -1.0, 1.0)


def _without_negative_zero(x: Operand, out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> Operand:
    if not isinstance(x, LocalTensor):
        return x + 0.0
    (a,) = s.like(out, 1)
    e.binary("add", a, x, 0.0)
    return a


def conjunction(operands: Sequence[Operand], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """1 where no operand is 0; two buffers."""
    a, b = s.like(out, 2)
    pair = (out, b) if len(operands) % 2 else (b, out)
    e.select("eq", pair[0], operands[0], 0.0, 1.0)
    for i, operand in enumerate(operands[1:]):
        e.select("eq", a, operand, 0.0, 1.0)
        e.binary("max", pair[(i + 1) % 2], pair[i % 2], a)
    e.linear(out, out, -1.0, 1.0)


class CompareKernel(ElementwiseKernel):
    """A relation between two tensors."""

    def supports(self, op: Any) -> str | None:
        if len(op.operands) == 2 and op.operands[0] is op.operands[1] and op.mode in ("Equal", "NotEqual"):
            return "whether a number is none (x != x) cannot be told: a NaN equals itself on this chip"
        return super().supports(op)

    def buffers_for(self, op: Any) -> int:
        return 2 if op.mode in ("Equal", "NotEqual", "And", "Xor") else 0

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        relate(op.mode, out, operands[0], operands[-1], s, e)


class CompareConstKernel(CompareKernel):
    """A relation between a tensor and a constant."""

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        left, right = operands[0], op.const_val
        if op.inversed and op.mode != "Not":
            relate(op.mode, out, right, left, s, e)
        else:
            relate(op.mode, out, left, right, s, e)


class LogicalAndKernel(ElementwiseKernel):
    """1 where no operand is 0."""

    buffers = 2

    def compute(self, op: Operation, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        conjunction(operands, out, s, e)


def register(registry: KernelRegistry) -> None:
    """Comparison kernels."""
    registry.add("tpu.Compare", CompareKernel())
    registry.add("tpu.CompareConst", CompareConstKernel())
    registry.add("tpu.LogicalAnd", LogicalAndKernel())
