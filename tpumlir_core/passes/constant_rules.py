"""Canonical forms of arithmetic with constants: a weight of one value becomes an attribute, neutral constants go, chains merge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.ir.types import ElementType
from tpumlir_core.passes.rewriting import Rewriter, Rules

# What tells a quotient from its neighbour one unit in the last place away.
_SENSITIVE = (top.Floor, top.Ceil, top.Round, top.Cast, top.Compare, top.CompareConst, top.Sign, top.Mod, top.Remainder)


def scalar(value: Value | None, rewriter: Rewriter) -> float | None:
    """The one value that all elements of a weight have, else None."""
    array = rewriter.constant(value)
    if array is None or array.size == 0:
        return None
    flat = array.reshape(-1)
    first = flat[0]
    if first != flat[-1] or not np.all(flat == first):
        return None
    return float(first)


def binary_scalar(op: Operation, rewriter: Rewriter) -> tuple[Value, float, bool] | None:
    """For an operation of two operands, one of them such a weight that does not widen the other: (the other, the constant,
    whether the constant is on the right)."""
    if len(op.operands) != 2 or getattr(op, "coeff", None) is not None:
        return None
    left, right = op.operands
    assert left is not None
    assert right is not None
    for other, weight, on_right in ((left, right, True), (right, left, False)):
        if other.shape == op.output.shape and rewriter.constant(other) is None:
            constant = scalar(weight, rewriter)
            if constant is not None:
                return other, constant, on_right
    return None


def _into(op: Operation, cls: type[Operation], source: Value, rewriter: Rewriter, **attributes: Any) -> bool:
    """Replace ``op`` by a ``cls`` of ``source``, with the activation that ``op`` has."""
    if getattr(op, "do_relu", False):
        attributes |= {"do_relu": True, "relu_limit": op.relu_limit}  # type: ignore[attr-defined]
    made = rewriter.insert(cls, [source], op.name, **attributes)
    rewriter.replace(op, made.output)
    return True


def constant_operand(op: Operation, rewriter: Rewriter) -> bool:
    """Arithmetic with a weight of one value: the operation with a constant."""
    found = binary_scalar(op, rewriter)
    if found is None:
        return False
    source, constant, on_right = found
    reverse = on_right is bool(getattr(op, "is_reverse", False))
    match op:
        case top.Add() | top.Mul() | top.Max() | top.Min():
            kinds: dict[type[Operation], type[Operation]]
            kinds = {top.Add: top.AddConst, top.Mul: top.MulConst, top.Max: top.MaxConst, top.Min: top.MinConst}
            return _into(op, kinds[type(op)], source, rewriter, const_val=constant)
        case top.Sub():
            return _into(op, top.SubConst, source, rewriter, const_val=constant, is_reverse=reverse)
        case top.Div():
            return _into(op, top.DivConst, source, rewriter, const_val=constant, is_reverse=reverse)
        case top.Pow3():
            cls, name = (top.Pow, "exponent") if on_right else (top.Pow2, "const_val")
            return _into(op, cls, source, rewriter, **{name: constant})
        case top.Compare():
            return op.mode != "Not" and _into(
                op, top.CompareConst, source, rewriter, mode=op.mode, const_val=constant, inversed=not on_right
            )
        case _:
            return False


def weight_operand(op: Operation, rewriter: Rewriter) -> bool:
    """x - w becomes x + (-w), and x / w becomes x * (1 / w), for a weight w of many values."""
    if len(op.operands) != 2 or getattr(op, "is_reverse", False) or getattr(op, "coeff", None) is not None:
        return False
    source, weight = op.operands
    array = rewriter.constant(weight)
    if array is None or weight is None or source is None or weight.type.element is not ElementType.F32:
        return False
    if isinstance(op, top.Div):
        if _feeds_sensitive(op):
            return False
        with np.errstate(all="ignore"):
            changed = np.float32(1) / array
        if not np.all(np.isfinite(changed)):
            return False
    else:
        changed = -array
    cls = top.Mul if isinstance(op, top.Div) else top.Add
    fixed = rewriter.weight(f"{weight.name}_fix", changed)
    made = rewriter.insert(
        cls, [source, fixed], op.name, do_relu=op.do_relu, relu_limit=op.relu_limit  # type: ignore[attr-defined]
    )
    rewriter.replace(op, made.output)
    return True


def _feeds_sensitive(op: Operation) -> bool:
    return any(isinstance(user, _SENSITIVE) for user, _ in op.output.uses)


def plain_constant(op: Operation, rewriter: Rewriter) -> bool:
    """x - c is x + (-c); x / c is x * (1 / c) unless rounding follows; c / x is a Reciprocal."""
    if isinstance(op, top.SubConst):
        return not op.is_reverse and _into(op, top.AddConst, op.input, rewriter, const_val=-op.const_val)
    assert isinstance(op, top.DivConst)
    if op.is_reverse:
        return _into(op, top.Reciprocal, op.input, rewriter, const_val=op.const_val)
    inverse = 1.0 / op.const_val if op.const_val else math.inf
    if not _is_f32(inverse) or not _is_f32(op.const_val) or _feeds_sensitive(op):
        return False
    return _into(op, top.MulConst, op.input, rewriter, const_val=inverse)


def _is_f32(value: float) -> bool:
    """Whether a constant is a normal number in float32."""
    return math.isfinite(value) and float(np.finfo(np.float32).tiny) <= abs(value) <= float(np.finfo(np.float32).max)


def neutral(op: Operation, rewriter: Rewriter) -> bool:
    """x + 0 and x * 1 are x (with an activation: Relu)."""
    assert isinstance(op, top.AddConst | top.MulConst)
    if op.const_val != (0.0 if isinstance(op, top.AddConst) else 1.0) or not op.input.type.element.is_float:
        return False
    if not op.do_relu:
        return rewriter.forward(op, op.input)
    made = rewriter.insert(top.Relu, [op.input], op.name, relu_limit=op.relu_limit)
    rewriter.replace(op, made.output)
    return True


def merge_constants(op: Operation, rewriter: Rewriter) -> bool:
    """(x + a) + b is x + (a + b), (x * a) * b is x * (a * b), where nothing else uses the inner result."""
    assert isinstance(op, top.AddConst | top.MulConst)
    below = op.input.owner
    if type(below) is not type(op) or below.do_relu or not rewriter.only_use(op.input):
        return False
    assert isinstance(below, top.AddConst | top.MulConst)
    merged = below.const_val + op.const_val if isinstance(op, top.AddConst) else below.const_val * op.const_val
    fits = math.isfinite(merged) if isinstance(op, top.AddConst) else _is_f32(merged)
    return fits and _into(op, type(op), below.input, rewriter, const_val=merged)


def clamp(op: Operation, rewriter: Rewriter) -> bool:
    """Maximum with 0 is Relu; the minimum of a maximum is Clip."""
    below = op.input.owner
    if isinstance(op, top.MaxConst) and op.const_val == 0:
        return _into(op, top.Relu, op.input, rewriter)
    if isinstance(op, top.MinConst) and isinstance(below, top.MaxConst) and below.const_val <= op.const_val:
        return rewriter.only_use(op.input) and _into(op, top.Clip, below.input, rewriter, min=below.const_val, max=op.const_val)
    if isinstance(op, top.MinConst) and isinstance(below, top.Relu) and below.relu_limit <= 0 < op.const_val:
        return rewriter.only_use(op.input) and _into(op, top.Relu, below.input, rewriter, relu_limit=op.const_val)
    return False


def clip(op: Operation, rewriter: Rewriter) -> bool:
    """Clip from 0 is Relu, with a limit where the upper bound is finite; a bound at infinity leaves MaxConst or MinConst."""
    assert isinstance(op, top.Clip)
    largest = float(np.finfo(np.float32).max)
    if op.min == 0 and op.max > 0:
        return _into(op, top.Relu, op.input, rewriter, relu_limit=op.max if op.max < largest else -1.0)
    if op.min <= -largest and op.max >= largest:
        return rewriter.forward(op, op.input)
    if op.max >= largest:
        return _into(op, top.MaxConst, op.input, rewriter, const_val=op.min)
    return op.min <= -largest and _into(op, top.MinConst, op.input, rewriter, const_val=op.max)


def constant_branches(op: Operation, rewriter: Rewriter) -> bool:
    """A branch of Where that is a weight of one value becomes its constant, where that does not narrow the result."""
    assert isinstance(op, top.Where)
    for position, flag, name in ((1, "x_is_const", "x_const_val"), (2, "y_is_const", "y_const_val")):
        value = op.operands[position] if position < len(op.operands) else None
        constant = None if getattr(op, flag) else scalar(value, rewriter)
        if constant is None:
            continue
        operands: list[Value | None] = [*op.operands, None, None][:3]
        operands[position] = None
        rest = [v.shape for v in operands if v is not None]
        if tuple(np.broadcast_shapes(*rest)) != op.output.shape:
            continue
        made = rewriter.remake(op, operands, op.name, **{flag: True, name: constant})
        rewriter.replace(op, made.output)
        return True
    return False


def power(op: Operation, rewriter: Rewriter) -> bool:
    """Powers with exponents 1, 2, 1/2, -1/2 and -1 are cheaper operations."""
    assert isinstance(op, top.Pow)
    if op.exponent == 1 and op.input.type.holds_as(op.output.type):
        return rewriter.forward(op, op.input)
    if op.exponent == 2:
        made = rewriter.insert(top.Mul, [op.input, op.input], op.name)
        rewriter.replace(op, made.output)
        return True
    kinds: dict[float, type[Operation]] = {0.5: top.Sqrt, -0.5: top.Rsqrt, -1.0: top.Reciprocal}
    return op.exponent in kinds and _into(op, kinds[op.exponent], op.input, rewriter)


_BINARY = ("Add", "Mul", "Max", "Min", "Sub", "Div", "Pow3", "Compare")

CONSTANT_RULES: Rules = {
    **{f"top.{name}": (constant_operand,) for name in _BINARY},
    "top.Sub": (constant_operand, weight_operand),
    "top.Div": (constant_operand, weight_operand),
    "top.SubConst": (plain_constant,),
    "top.DivConst": (plain_constant,),
    "top.AddConst": (neutral, merge_constants),
    "top.MulConst": (neutral, merge_constants),
    "top.MaxConst": (clamp,),
    "top.MinConst": (clamp,),
    "top.Clip": (clip,),
    "top.Where": (constant_branches,),
    "top.Pow": (power,),
}
