"""Arithmetic of two or more operands, and of one with a constant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.arithmetic import Rounding
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, FunctionKernel, Scratch
from tpumlir_core.ir import Array, ElementType, Operation
from tpumlir_sophgo.kernel import FLOAT32, FLOATS, KernelRegistry
from tpumlir_sophgo.tensor import LocalTensor

Step = tuple[str, LocalTensor]
_LEAST_DIVISOR = 2.0**-120  # the reciprocal of a smaller one is no normal number


def chain(first: LocalTensor, steps: Sequence[Step], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """Combine ``first`` with one operand after the other; partial results go to and fro between ``out`` and one buffer."""
    if not steps:
        e.copy(out, first)
        return
    pair = (out, s.take(out.shape, out.element)) if len(steps) > 1 else (out, out)
    left = first
    for i, (operation, right) in enumerate(steps):
        target = pair[(len(steps) - 1 - i) % 2]
        if operation == "div":
            e.divide(target, left, right)
        else:
            e.binary(operation, target, left, right)
        left = target


class ChainKernel(ElementwiseKernel):
    """``((x0 . x1) . x2) ...`` with one operation."""

    def __init__(self, operation: str, native: frozenset[ElementType] = FLOATS) -> None:
        self.operation = operation
        self.native = native

    def buffers_for(self, op: Operation) -> int:
        return int(len(op.operands) > 2)

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        chain(operands[0], [(self.operation, x) for x in operands[1:]], out, s, e)


class WeightedKernel(ChainKernel):
    """Sum or difference of all operands, each times its coefficient."""

    def numbers(self, op: Any) -> Iterable[float]:
        return op.coeff or ()

    def buffers_for(self, op: Any) -> int:
        return super().buffers_for(op) + sum(1 for c in op.coeff or () if c != 1)

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        parts = []
        for x, factor in zip(operands, op.coeff or [1.0] * len(operands), strict=True):
            part = x
            if factor != 1:
                part = s.take(out.shape, out.element)
                e.binary("mul", part, x, factor)
            parts.append(part)
        super().compute(op, parts[::-1] if getattr(op, "is_reverse", False) else parts, out, s, e)


class DivideKernel(ChainKernel):
    """Quotient of all operands from the left (right with ``is_reverse``).

    By a small weight it is a product with its reciprocal, prepared; by an operand that broadcasts, with the reciprocal of
    what there is of it.
    """

    def buffers_for(self, op: Any) -> int:
        small = [v for v in op.operands if v is not None and v.type.elements < op.output.type.elements]
        return super().buffers_for(op) + len(small)

    def prepare(self, op: Any, position: int, values: Array) -> Array:
        if position == _order(op)[0]:
            return values
        with np.errstate(divide="ignore"):
            return np.float32(1) / values

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        fixed = self.constant_operands(op)
        first, *rest = _order(op)
        steps = [("mul", operands[i]) if i in fixed else _division(operands[i], out, s, e) for i in rest]
        chain(operands[first], steps, out, s, e)


def _division(by: LocalTensor, out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> Step:
    if 2 * math.prod(by.shape) > math.prod(out.shape):
        return "div", by
    inverse = s.take(by.shape)
    e.divide(inverse, 1.0, by)
    return "mul", inverse


def _order(op: Any) -> list[int]:
    order = list(range(len(op.operands)))
    return order[::-1] if op.is_reverse else order


def add_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x + const_val``."""
    e.binary("add", out, x, op.const_val)


def subtract_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x - const_val``, or the other way."""
    e.binary("sub", out, *((op.const_val, x) if op.is_reverse else (x, op.const_val)))


def multiply_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x * const_val``."""
    e.binary("mul", out, x, op.const_val)


def divide_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``x / const_val`` as a product, or the other way."""
    if op.is_reverse:
        e.divide(out, op.const_val, x)
    elif abs(op.const_val) < _LEAST_DIVISOR:
        e.divide(out, x, op.const_val)
    else:
        e.binary("mul", out, x, 1 / op.const_val)


def max_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """The greater of x and ``const_val``."""
    e.binary("max", out, x, op.const_val)


def min_constant(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """The lesser of x and ``const_val``."""
    e.binary("min", out, x, op.const_val)


def reciprocal(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``const_val / x``."""
    e.divide(out, op.const_val, x)


def clip(op: Any, out: LocalTensor, x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
    """``min(max(x, low), high)``."""
    (a,) = s.like(out, 1)
    e.binary("max", a, x, op.min)
    e.binary("min", out, a, op.max)


class ModuloKernel(ElementwiseKernel):
    """The rest ``r = x - k y`` with the nearest integer k of ``x / y``; where its sign is not y's, one more y.

    Exact multiples leave 0, which a quotient rounded down would miss: AR div may fall short of an integer.
    """

    buffers = 2

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> None:
        a, b = s.like(out, 2)
        x, y = operands
        e.divide(a, x, y)
        e.unary("cast", b, a, Rounding.HALF_TO_EVEN)
        e.binary("mul", a, b, y)
        e.binary("sub", b, x, a)
        e.binary("mul", a, b, y)
        e.select("lt", out, a, 0.0, 1.0)
        e.binary("mul", a, out, y)
        e.binary("add", out, a, b)


def register(registry: KernelRegistry) -> None:
    """Arithmetic kernels."""
    registry.add("tpu.Add", WeightedKernel("add"))
    registry.add("tpu.Sub", WeightedKernel("sub"))
    registry.add("tpu.Mul", ChainKernel("mul"))
    registry.add("tpu.Max", ChainKernel("max"))
    registry.add("tpu.Min", ChainKernel("min"))
    registry.add("tpu.Div", DivideKernel("div", FLOAT32))
    registry.add("tpu.AddConst", FunctionKernel(add_constant, native=FLOATS))
    registry.add("tpu.SubConst", FunctionKernel(subtract_constant, native=FLOATS))
    registry.add("tpu.MulConst", FunctionKernel(multiply_constant, native=FLOATS))
    registry.add("tpu.DivConst", FunctionKernel(divide_constant))
    registry.add("tpu.MaxConst", FunctionKernel(max_constant, native=FLOATS))
    registry.add("tpu.MinConst", FunctionKernel(min_constant, native=FLOATS))
    registry.add("tpu.Reciprocal", FunctionKernel(reciprocal))
    registry.add("tpu.Clip", FunctionKernel(clip, buffers=1, native=FLOATS))
    registry.add("tpu.Mod tpu.Remainder", ModuloKernel())
