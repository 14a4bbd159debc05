"""Einsum, as permutations, sums and batched matrix products of two operands at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Tensor, Tensors

_ELLIPSIS = "0123456789"
"""Labels that stand for the axes of an ellipsis, last axis last."""


def einsum(im: Importer, equation: str, tensors: Tensors, path: Any = None) -> Tensor:
    labels, result = _labels(equation, [t.rank for t in tensors])
    if any(len(set(text)) != len(text) for text in labels):
        raise im.refusal(f"a diagonal, '{equation}'")
    extents = _extents(im, labels, tensors)
    x, now = tensors[0], labels[0]
    for place, (other, text) in enumerate(zip(tensors[1:], labels[1:], strict=True), 2):
        later = result + "".join(labels[place:])
        x, now = _pair(im, (x, other), (now, text), later, extents)
    x, now = _sum_out(im, x, now, result)
    return x if now == result else im.emit(top.Permute, [x], order=tuple(now.index(c) for c in result))


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One label a character and axis, for every operand and the result; an implicit result is in alphabetical order."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise InputError(f"equation '{equation}' does not fit {len(ranks)} operands")
    hidden = [rank - len(term.replace("...", "")) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)]
    shared = _ELLIPSIS[: max(hidden)]
    if min(hidden) < 0 or max(hidden) > len(_ELLIPSIS):
        raise InputError(f"equation '{equation}' does not fit the ranks {list(ranks)}")
    labels = [term.replace("...", shared[len(shared) - count :]) for term, count in zip(terms, hidden, strict=True)]
    if any(len(text) != rank for text, rank in zip(labels, ranks, strict=True)):
        raise InputError(f"equation '{equation}' does not fit the ranks {list(ranks)}")
    everything = "".join(labels)
    once = sorted(c for c in set(everything) if everything.count(c) == 1 and c not in shared)
    result = right.replace("...", shared) if arrow else shared + "".join(once)
    if len(set(result)) != len(result) or not set(result) <= set(everything):
        raise InputError(f"equation '{equation}' has a result that its operands do not give")
    return labels, result


def _extents(im: Importer, labels: Sequence[str], tensors: Sequence[Tensor]) -> Mapping[str, int]:
    extents: dict[str, int] = {}
    for text, tensor in zip(labels, tensors, strict=True):
        for label, extent in zip(text, tensor.shape, strict=True):
            if extents.setdefault(label, extent) != extent:
                raise im.refusal(f"axis '{label}' broadcast")
    return extents


def _sum_out(im: Importer, x: Tensor, labels: str, needed: str) -> tuple[Tensor, str]:
    """Sum over the axes that nobody else needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not axes:
        return x, labels
    kept = "".join(label for label in labels if label in needed)
    return im.emit(top.Reduce, [x], axes=axes, keepdims=False, mode="ReduceSum"), kept


def _pair(
    im: Importer, operands: tuple[Tensor, Tensor], labels: tuple[str, str], later: str, extents: Mapping[str, int]
) -> tuple[Tensor, str]:
    """[batch, rows, inner] x [batch, inner, columns], and the labels of what comes out."""
    (a, left), (b, right) = (_sum_out(im, operands[i], labels[i], labels[1 - i] + later) for i in (0, 1))
    batch = "".join(c for c in left if c in right and c in later)
    inner = "".join(c for c in left if c in right and c not in later)
    rows = "".join(c for c in left if c not in right)
    columns = "".join(c for c in right if c not in left)

    def arranged(x: Tensor, now: str, groups: Sequence[str], name: str) -> Tensor:
        order = "".join(groups)
        if order != now:
            x = im.step(f"order{name}", top.Permute, [x], order=tuple(now.index(c) for c in order))
        return reshaped(im, x, tuple(math.prod(extents[c] for c in group) for group in groups), f"matrix{name}")

    matrices = [arranged(a, left, (batch, rows, inner), "0"), arranged(b, right, (batch, inner, columns), "1")]
    product = im.emit(top.MatMul, matrices)
    now = batch + rows + columns
    return reshaped(im, product, tuple(extents[c] for c in now)), now


CONVERTERS: Mapping[str, Converter] = {"einsum": einsum}
