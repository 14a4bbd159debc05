"""Normalizations that exporters write as several operations: LayerNorm, RMSNorm, Softmax."""

from __future__ import annotations

import math

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Operation, Value
from tpumlir_core.passes.rewriting import Rewriter, Rules


def _difference(value: Value | None) -> tuple[Value, Value] | None:
    """The operands of a plain ``a - b``."""
    owner = value.owner if value is not None else None
    if not isinstance(owner, top.Sub) or owner.is_reverse or owner.do_relu or owner.coeff is not None or len(owner.operands) != 2:
        return None
    left, right = owner.operands
    assert left is not None
    assert right is not None
    return left, right


def _reduced(value: Value, mode: str) -> tuple[Value, tuple[int, ...]] | None:
    """What a reduction of this mode with kept dimensions reduces, and the axes."""
    owner = value.owner
    if not isinstance(owner, top.Reduce) or owner.mode != mode or owner.is_scalar or not owner.keepdims:
        return None
    return owner.input, owner.over(len(owner.input.shape))


def _trailing(axes: tuple[int, ...], rank: int) -> bool:
    return axes == tuple(range(rank - len(axes), rank)) and bool(axes)


def _square(value: Value) -> Value | None:
    owner = value.owner
    if isinstance(owner, top.Mul) and not owner.do_relu and len(owner.operands) == 2:
        left, right = owner.operands
        if left is right or (_difference(left) is not None and _difference(left) == _difference(right)):
            return left
    return None


def _quotient(op: Operation) -> list[tuple[Value, Value]]:
    """Every way to see ``op`` as numerator / sqrt(inside): (numerator, inside)."""
    if getattr(op, "do_relu", False) or len(op.operands) != 2:
        return []
    left, right = op.operands
    assert left is not None
    assert right is not None
    if isinstance(op, top.Div):
        root = right.owner
        return [(left, root.input)] if isinstance(root, top.Sqrt) and not op.is_reverse else []
    found = []
    for numerator, factor in ((left, right), (right, left)):
        owner = factor.owner
        if isinstance(owner, top.Rsqrt):
            found.append((numerator, owner.input))
        elif isinstance(owner, top.Reciprocal) and owner.const_val == 1 and not owner.do_relu and isinstance(owner.input.owner, top.Sqrt):
            found.append((numerator, owner.input.owner.input))
    return found


def _mean_square(inside: Value) -> tuple[Value, tuple[int, ...], float] | None:
    """(x, axes, eps) where ``inside`` is the mean of x squared over trailing axes, plus eps."""
    owner = inside.owner
    if not isinstance(owner, top.AddConst) or owner.do_relu:
        return None
    mean = _reduced(owner.input, "ReduceMean")
    base = None if mean is None else _square(mean[0])
    if mean is None or base is None or not _trailing(mean[1], len(base.shape)):
        return None
    return base, mean[1], owner.const_val


def layer_norm(op: Operation, rewriter: Rewriter) -> bool:
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps)."""
    for numerator, inside in _quotient(op):
        found, top_difference = _mean_square(inside), _difference(numerator)
        if found is None or top_difference is None or _difference(found[0]) is None:
            continue
        x, mean = top_difference
        low_x, low_mean = _difference(found[0]) or (x, mean)
        means = [_reduced(m, "ReduceMean") for m in (mean, low_mean)]
        if low_x is not x or any(m != (x, found[1]) for m in means):
            continue
        axis = len(x.shape) - len(found[1])
        made = rewriter.insert(top.LayerNorm, [x, None, None], op.name, normalized_shape=x.shape[axis:], axis=axis, eps=found[2])
        rewriter.replace(op, made.output)
        return True
    return False


def rms_norm(op: Operation, rewriter: Rewriter) -> bool:
    """x / sqrt(mean(x^2) + eps) over the last axis."""
    for numerator, inside in _quotient(op):
        found = _mean_square(inside)
        if found is not None and found[0] is numerator and len(found[1]) == 1 and _difference(numerator) is None:
            made = rewriter.insert(top.RMSNorm, [numerator, None], op.name, eps=found[2])
            rewriter.replace(op, made.output)
            return True
    return False


def norm_weight(op: Operation, rewriter: Rewriter) -> bool:
    """The product with a weight after a normalization without one is its weight."""
    return _affine(op, rewriter, 1)


def norm_bias(op: Operation, rewriter: Rewriter) -> bool:
    """The sum with a weight after a LayerNorm without bias is its bias."""
    return _affine(op, rewriter, 2)


def _affine(op: Operation, rewriter: Rewriter, position: int) -> bool:
    if len(op.operands) != 2 or getattr(op, "do_relu", False) or getattr(op, "coeff", None) is not None:
        return False
    for source, weight in (op.operands, op.operands[::-1]):
        below = source.owner if source is not None else None
        if source is None or not isinstance(below, top.LayerNorm | top.RMSNorm) or not rewriter.only_use(source):
            continue
        operands = [*below.operands, None, None][: len(below.operand_specs)]
        if position >= len(operands) or any(v is not None for v in operands[position:]) or rewriter.constant(weight) is None:
            continue
        inner = source.shape[below.axis :] if isinstance(below, top.LayerNorm) else source.shape[-1:]
        assert weight is not None
        if weight.type.elements != math.prod(inner) or weight.shape[-len(inner) :] != inner or source.shape != op.output.shape:
            continue
        operands[position] = weight
        made = rewriter.remake(below, operands, op.name)
        rewriter.replace(op, made.output)
        return True
    return False


def softmax(op: Operation, rewriter: Rewriter) -> bool:
    """exp(x) over its sum along one axis, with or without its maximum taken off first."""
    assert isinstance(op, top.Div)
    if op.do_relu or op.is_reverse or len(op.operands) != 2:
        return False
    power, total = op.operands
    assert power is not None
    assert total is not None
    found = _reduced(total, "ReduceSum")
    if not isinstance(power.owner, top.Exp) or found is None or found[0] is not power or len(found[1]) != 1:
        return False
    source = power.owner.input
    difference = _difference(source)
    if difference is not None and _reduced(difference[1], "ReduceMax") == (difference[0], found[1]):
        source = difference[0]
    made = rewriter.insert(top.Softmax, [source], op.name, axis=found[1][0])
    rewriter.replace(op, made.output)
    return True


NORM_PATTERNS: Rules = {
    "top.Div": (layer_norm, rms_norm, softmax),
    "top.Mul": (layer_norm, rms_norm, norm_weight),
    "top.Add": (norm_bias,),
}
