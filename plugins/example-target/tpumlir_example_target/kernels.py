"""Kernels: one for each operation that the chip computes.

A kernel is local: the tile that it is given lies in local memory already, and it emits the instructions that compute it. It
says which part of each operand a part of the result needs; slicing, loads, stores and addresses are the schedule's.
All tensors are seen as matrices: the last axis is the columns, all others together are the rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir import Operation, Value, top
from tpumlir_example_target.chip import Command


@dataclass(frozen=True)
class Window:
    """Part of a matrix: these rows and columns."""

    rows: range
    columns: range

    @property
    def elements(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True)
class Operand:
    """The part of an operand that a tile needs, dense at a local address."""

    window: Window
    local: int


ONE = range(1)
"""The rows, or columns, of an operand that has one for all of the result's."""


def matrix(value: Value) -> Window:
    """All of a tensor."""
    *outer, columns = value.shape or (1,)
    return Window(range(math.prod(outer)), range(columns))


class Kernel(ABC):
    """How the chip computes one operation."""

    operation: ClassVar[type[Operation]]
    """Its class in the Top dialect; that of the Tpu dialect is a subclass of the same name."""

    def refuses(self, op: Operation) -> str | None:
        """Why this case cannot be done, for the error message and the support table; None where it can."""
        if getattr(op, "do_relu", False):
            return "the activation must be an operation of its own"  # the core makes it one when it hears this
        return None

    def needs(self, op: Operation, window: Window) -> list[Window]:
        """The part of each operand that this part of the result depends on; by default the same."""
        return [window for _ in op.operands]

    @abstractmethod
    def emit(self, window: Window, operands: Sequence[Operand], result: int) -> Iterator[Command]:
        """Instructions that compute this part of the result at local address ``result``."""


class MatMul(Kernel):
    """A matrix product, with a row of biases added."""

    operation = top.MatMul

    def refuses(self, op: Operation) -> str | None:
        assert isinstance(op, top.MatMul)
        left, right, *bias = op.operands
        if op.left_transpose or op.right_transpose or not op.keep_dims:
            return "operands must not be transposed, and dimensions be kept"
        if left is None or right is None or len(left.shape) < 2 or len(right.shape) != 2:
            return "the left operand must have two dimensions or more, the right one two"
        if bias and bias[0] is not None and bias[0].type.elements != right.shape[1]:
            return "the bias must be one row"
        return super().refuses(op)

    def needs(self, op: Operation, window: Window) -> list[Window]:
        inner = matrix(op.input).columns
        return [Window(window.rows, inner), Window(inner, window.columns), Window(ONE, window.columns)][: len(op.operands)]

    def emit(self, window: Window, operands: Sequence[Operand], result: int) -> Iterator[Command]:
        left, right, *bias = operands
        rows, columns = len(window.rows), len(window.columns)
        sizes = {"m": rows, "k": len(left.window.columns), "n": columns}
        yield Command("MATMUL", {"left": left.local, "right": right.local, "result": result, **sizes})
        for row in bias:
            yield _add(window, result, row, result)


class Add(Kernel):
    """The sum of two tensors, of which the second may be one row, one column or one number."""

    operation = top.Add

    def refuses(self, op: Operation) -> str | None:
        assert isinstance(op, top.Add)
        if len(op.operands) != 2 or op.coeff is not None:
            return "there must be two operands without coefficients"
        left, right = (matrix(value) for value in op.operands if value is not None)
        if op.input.shape != op.output.shape or right.rows not in (ONE, left.rows) or right.columns not in (ONE, left.columns):
            return "the second operand must be as large as the first, or one row, one column or one number"
        return super().refuses(op)

    def needs(self, op: Operation, window: Window) -> list[Window]:
        right = op.operands[1]
        assert right is not None
        whole = matrix(right)
        return [window, Window(ONE if whole.rows == ONE else window.rows, ONE if whole.columns == ONE else window.columns)]

    def emit(self, window: Window, operands: Sequence[Operand], result: int) -> Iterator[Command]:
        left, right = operands
        yield _add(window, left.local, right, result)


class Relu(Kernel):
    """max(x, 0)."""

    operation = top.Relu

    def refuses(self, op: Operation) -> str | None:
        assert isinstance(op, top.Relu)
        return "it has no upper limit" if op.relu_limit > 0 else None

    def emit(self, window: Window, operands: Sequence[Operand], result: int) -> Iterator[Command]:
        (source,) = operands
        yield Command("RELU", {"source": source.local, "result": result, "count": window.elements})


def _add(window: Window, left: int, right: Operand, result: int) -> Command:
    sizes = {"rows": len(window.rows), "columns": len(window.columns)}
    repeated = {"right_rows": len(right.window.rows), "right_columns": len(right.window.columns)}
    return Command("ADD", {"left": left, "right": right.local, "result": result, **sizes, **repeated})


KERNELS: Mapping[str, Kernel] = {kernel.operation.__name__: kernel for kernel in (MatMul(), Add(), Relu())}
"""By the name of the operation."""


def kernel_for(op: Operation) -> Kernel | None:
    """The kernel of an operation of either dialect, or None."""
    return KERNELS.get(op.opcode.partition(".")[2])
