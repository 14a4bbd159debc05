"""Top dialect: comparison and selection, element by element with numpy's broadcasting. Booleans are 0.0 and 1.0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from tpumlir_core.ir.attributes import F64, CompareMode, Flag
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import Broadcasting, Pointwise, array, broadcast, elements, float_like, present, real
from tpumlir_core.ir.types import TensorType

_COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "Equal": np.equal, "NotEqual": np.not_equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal,
    "Less": np.less, "LessOrEqual": np.less_equal, "And": np.logical_and, "Xor": np.logical_xor,
    "Not": lambda left, right: np.logical_not(np.broadcast_arrays(left, right)[0]),
}


@op("top.Compare", "lhs,rhs")
class Compare(Broadcasting):
    """1 where ``mode`` holds between the operands, else 0. Mode Not looks at the first alone."""

    mode: CompareMode

    def combine(self, operands: list[Array]) -> Array:
        return _COMPARISONS[self.mode](*operands)


@op("top.CompareConst")
class CompareConst(Pointwise):
    """1 where ``mode`` holds between x and ``const_val`` (``const_val`` is the left side with ``inversed``), else 0.

    Mode Not gives 1 where x is 0, whatever the constant.
    """

    mode: CompareMode
    const_val: F64
    inversed: Flag
    is_scalar: Flag = False

    def apply(self, values: Array) -> Array:
        constant = np.asarray(self.const_val, np.float32)
        left, right = (constant, values) if self.inversed and self.mode != "Not" else (values, constant)
        return _COMPARISONS[self.mode](left, right)


@op("top.LogicalAnd", "inputs*")
class LogicalAnd(Broadcasting):
    """1 where no operand is 0, else 0."""

    cost = 2

    def combine(self, operands: list[Array]) -> Array:
        return reduce(np.logical_and, operands)


@op("top.Where", "cond,tbrn?,fbrn?")
class Where(Operation):
    """``tbrn`` where ``cond`` is not 0, else ``fbrn``; with ``x_is_const``/``y_is_const`` the constant stands for that branch."""

    x_is_const: Flag = False
    y_is_const: Flag = False
    x_const_val: F64 = 0.0
    y_const_val: F64 = 0.0

    def _uses(self) -> tuple[int, ...]:
        """Positions of the operands that count."""
        return (0, *((1,) if not self.x_is_const else ()), *((2,) if not self.y_is_const else ()))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        found = [present(self, types, position) for position in self._uses()]
        return [float_like(found[-1], broadcast(self, *(t.shape for t in found)))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        chosen = np.float32(self.x_const_val) if self.x_is_const else real(inputs, 1)
        other = np.float32(self.y_const_val) if self.y_is_const else real(inputs, 2)
        return [np.where(array(inputs) != 0, chosen, other)]

    def flops(self) -> int:
        return elements(self)


@op("top.MaskedFill", "cond,brn")
class MaskedFill(Operation):
    """``brn`` where ``cond`` is not 0 and ``const_val`` elsewhere; the other way with ``inversed``."""

    inversed: Flag
    const_val: F64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        condition, source = present(self, types), present(self, types, 1)
        return [float_like(source, broadcast(self, condition.shape, source.shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        keep = (array(inputs) != 0) != self.inversed
        return [np.where(keep, real(inputs, 1), np.float32(self.const_val))]

    def flops(self) -> int:
        return elements(self)
