"""Decompositions of arithmetic, comparison and selection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.passes.decomposition.steps import Decomposition, Steps

_LARGEST = float(np.finfo(np.float32).max)


def pairwise(op: top.Add | top.Mul | top.Max | top.Min | top.LogicalAnd, s: Steps) -> bool:
    """Operands with coefficients are multiplied first; more than two are combined two by two."""
    coefficients = getattr(op, "coeff", None)
    if coefficients is not None:
        pairs = zip(op.operands, coefficients, strict=True)
        return s.done(type(op), *(v if c == 1 or v is None else s.times(v, c) for v, c in pairs))
    if len(op.operands) == 1:
        return s.done_value(op.input)
    if len(op.operands) == 2:
        return isinstance(op, top.LogicalAnd) and s.done(top.Mul, *(_truth(s, v) for v in op.operands))
    values = list(op.operands)
    while len(values) > 2:
        values = [s(type(op), *values[i : i + 2]) if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)]
    return s.done(type(op), *values)


def sub(op: top.Sub, s: Steps) -> bool:
    """a - b as a + (-b)."""
    if len(op.operands) != 2:
        return False
    left, right = op.operands[::-1] if op.is_reverse else op.operands
    coefficients = op.coeff or (1.0, 1.0)
    first, second = coefficients[::-1] if op.is_reverse else coefficients
    assert left is not None
    assert right is not None
    return s.done(top.Add, left if first == 1 else s.times(left, first), s.times(right, -second))


def div(op: top.Div, s: Steps) -> bool:
    """a / b as a times 1 / b."""
    if len(op.operands) != 2:
        return False
    left, right = op.operands[::-1] if op.is_reverse else op.operands
    one = s.rewriter.constant(left)
    if one is not None and one.size == 1 and one.item() == 1:  # comes from a Reciprocal that is not supported either
        return False
    return s.done(top.Mul, left, s(top.Reciprocal, right))


def sub_const(op: top.SubConst, s: Steps) -> bool:
    """x + (-c), or -x + c."""
    if op.is_reverse:
        return s.done(top.AddConst, s.times(op.input, -1.0), const_val=op.const_val)
    return s.done(top.AddConst, op.input, const_val=-op.const_val)


def div_const(op: top.DivConst, s: Steps) -> bool:
    """x times 1 / c, or c / x."""
    if op.is_reverse:
        return s.done(top.Reciprocal, op.input, const_val=op.const_val)
    return op.const_val != 0 and s.done(top.MulConst, op.input, const_val=1 / op.const_val)


def reciprocal(op: top.Reciprocal, s: Steps) -> bool:
    """c / x as c times 1 / x, and 1 / x as a quotient of two tensors."""
    if op.const_val != 1:
        return s.done(top.MulConst, s(top.Reciprocal, op.input), const_val=op.const_val)
    return s.done(top.Div, s.weight(np.ones((1,) * len(op.input.shape))), op.input)


def with_weight(op: top.AddConst | top.MulConst | top.MaxConst | top.MinConst, s: Steps) -> bool:
    """The constant as a weight of one element."""
    kinds: dict[type[Operation], type[Operation]]
    kinds = {top.AddConst: top.Add, top.MulConst: top.Mul, top.MaxConst: top.Max, top.MinConst: top.Min}
    return s.done(kinds[type(op)], op.input, s.weight(np.full((1,) * len(op.input.shape), op.const_val)))


def clip(op: top.Clip, s: Steps) -> bool:
    """The minimum of a maximum."""
    return s.done(top.MinConst, s(top.MaxConst, op.input, const_val=op.min), const_val=op.max)


def remainder(op: top.Mod | top.Remainder, s: Steps) -> bool:
    """a - floor(a / b) b."""
    if len(op.operands) != 2:
        return False
    left, right = op.operands
    return s.done(top.Sub, left, s(top.Mul, s(top.Floor, s(top.Div, left, right)), right))


def _truth(s: Steps, value: Value | None) -> Value:
    """1 where not 0."""
    return s(top.CompareConst, value, mode="NotEqual", const_val=0.0, inversed=False)


def _opposite(s: Steps, value: Value) -> bool:
    """Finish with 1 - value."""
    return s.done(top.AddConst, s.times(value, -1.0), const_val=1.0)


_NEGATED = {"GreaterOrEqual": "Less", "NotEqual": "Equal", "LessOrEqual": "Greater"}


def compare(op: top.Compare, s: Steps) -> bool:
    """Less is Greater of the operands exchanged; the negated modes are 1 minus the others; And, Xor, Not by truth values."""
    left, right = op.operands[:2]
    if op.mode == "Less":
        return s.done(top.Compare, right, left, mode="Greater")
    if op.mode in _NEGATED:
        return _opposite(s, s(top.Compare, left, right, mode=_NEGATED[op.mode]))
    if op.mode == "And":
        return s.done(top.Mul, _truth(s, left), _truth(s, right))
    if op.mode == "Xor":
        return s.done(top.Compare, _truth(s, left), _truth(s, right), mode="NotEqual")
    return op.mode == "Not" and s.done(top.CompareConst, left, mode="Equal", const_val=0.0, inversed=False)


_MIRRORED = {"Greater": "Less", "Less": "Greater", "GreaterOrEqual": "LessOrEqual", "LessOrEqual": "GreaterOrEqual"}


def compare_const(op: top.CompareConst, s: Steps) -> bool:
    """The constant on the right; the negated modes are 1 minus the others; last, the constant as a weight."""
    if op.mode == "Not":
        return s.done(top.CompareConst, op.input, mode="Equal", const_val=0.0, inversed=False)
    if op.inversed:
        return s.done(top.CompareConst, op.input, mode=_MIRRORED.get(op.mode, op.mode), const_val=op.const_val, inversed=False)
    if op.mode in _NEGATED:
        return _opposite(s, s(top.CompareConst, op.input, mode=_NEGATED[op.mode], const_val=op.const_val, inversed=False))
    return s.done(top.Compare, op.input, s.weight(np.full((1,) * len(op.input.shape), op.const_val)), mode=op.mode)


def masked_fill(op: top.MaskedFill, s: Steps) -> bool:
    """Where with a constant branch."""
    condition, value = op.operands[:2]
    if op.inversed:
        return s.done(top.Where, condition, None, value, x_is_const=True, x_const_val=op.const_val)
    return s.done(top.Where, condition, value, None, y_is_const=True, y_const_val=op.const_val)


def where(op: top.Where, s: Steps) -> bool:
    """Constant branches become weights; then condition * a + (1 - condition) * b."""
    condition, left, right = [*op.operands, None, None][:3]
    if op.x_is_const or op.y_is_const:
        ones = (1,) * len(op.output.shape)
        left = s.weight(np.full(ones, op.x_const_val)) if op.x_is_const else left
        right = s.weight(np.full(ones, op.y_const_val)) if op.y_is_const else right
        return s.done(top.Where, condition, left, right)
    chosen = _truth(s, condition)
    other = s.plus(s.times(chosen, -1.0), 1.0)
    return s.done(top.Add, s(top.Mul, chosen, _finite(s, left)), s(top.Mul, other, _finite(s, right)))


def _finite(s: Steps, value: Value | None) -> Value | None:
    """A weight with its infinities as the largest numbers, as 0 times infinity is no number; other values as they are."""
    array = s.rewriter.constant(value)
    return value if array is None or np.all(np.isfinite(array)) else s.weight(np.clip(array, -_LARGEST, _LARGEST))


ARITHMETIC: Mapping[str, Decomposition] = {
    **{f"top.{name}": pairwise for name in ("Add", "Mul", "Max", "Min", "LogicalAnd")},
    **{f"top.{name}": with_weight for name in ("AddConst", "MulConst", "MaxConst", "MinConst")},
    "top.Sub": sub, "top.Div": div, "top.SubConst": sub_const, "top.DivConst": div_const, "top.Reciprocal": reciprocal,
    "top.Clip": clip, "top.Mod": remainder, "top.Remainder": remainder, "top.Compare": compare, "top.CompareConst": compare_const,
    "top.MaskedFill": masked_fill, "top.Where": where,
}
