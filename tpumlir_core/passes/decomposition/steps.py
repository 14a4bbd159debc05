"""How a decomposition writes its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Operation, Value
from tpumlir_core.passes.rewriting import Rewriter


class Steps:
    """Builds the operations that replace ``op``: every call adds one, ``done`` adds the last under the name of ``op``."""

    def __init__(self, op: Operation, rewriter: Rewriter) -> None:
        self.op = op
        self.rewriter = rewriter
        self.made: set[str] = set()

    def __call__(self, cls: type[Operation], *operands: Value | None, **attributes: Any) -> Value:
        """The result of a new intermediate operation."""
        name = self.rewriter.fresh(f"{self.op.name}_{cls.__name__.lower()}")
        self.made.add(name)
        return self.rewriter.insert(cls, operands, name, **attributes).output

    def weight(self, array: Array | float, suffix: str = "constant") -> Value:
        """A new weight."""
        return self.rewriter.weight(f"{self.op.name}_{suffix}", np.asarray(array, np.float32))

    def reshape(self, value: Value, *shape: int) -> Value:
        """``value`` under another shape."""
        return value if value.shape == shape else self(top.Reshape, value, shape=tuple(shape))

    def permute(self, value: Value, *order: int) -> Value:
        """``value`` with its axes in another order."""
        return self(top.Permute, value, order=tuple(order))

    def times(self, value: Value, factor: float) -> Value:
        """``value`` times a constant."""
        return self(top.MulConst, value, const_val=factor)

    def plus(self, value: Value, term: float) -> Value:
        """``value`` plus a constant."""
        return self(top.AddConst, value, const_val=term)

    def done(self, cls: type[Operation], *operands: Value | None, **attributes: Any) -> bool:
        """Add the last operation, with the activation that ``op`` has, and replace ``op``."""
        limit = getattr(self.op, "relu_limit", -1.0)
        if getattr(self.op, "do_relu", False):
            cls, operands, attributes = top.Relu, (self(cls, *operands, **attributes),), {"relu_limit": limit}
        self.rewriter.replace(self.op, self.rewriter.insert(cls, operands, self.op.name, **attributes).output)
        return True

    def done_value(self, value: Value) -> bool:
        """Finish with an intermediate result, which takes the name of ``op``."""
        if getattr(self.op, "do_relu", False) or value.name not in self.made:
            return self.done(top.MulConst, value, const_val=1.0)
        value.name = self.op.name
        self.rewriter.replace(self.op, value)
        return True

    def done_values(self, values: Sequence[Value]) -> bool:
        """Finish with one value for each result of ``op``; each takes its result's name."""
        given: list[Value] = []
        for result, value in zip(self.op.results, values, strict=True):
            if value.name not in self.made:  # not of our making, or already the value of another result
                value = self(top.MulConst, value, const_val=1.0)
            self.made.discard(value.name)
            value.name = result.name
            given.append(value)
        self.rewriter.replace(self.op, *given)
        return True

    def done_reshape(self, value: Value) -> bool:
        """Finish with ``value`` under the shape of the result."""
        return self.done(top.Reshape, value, shape=self.op.output.shape)


Decomposition = Callable[[Any, Steps], bool]
