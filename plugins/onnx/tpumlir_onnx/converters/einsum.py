"""Einsum of one or two operands, as permutations, sums and one batched matrix product."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Importer

_ELLIPSIS = "0123456789"
"""Labels that stand for the axes of an ellipsis, last axis last."""


def einsum(im: Importer, node: Node) -> Value:
    operands = [im.value(name) for name in node.inputs]
    labels, result = _labels(node, node.text("equation"), [len(v.shape) for v in operands])
    if len(operands) > 2 or any(len(set(text)) != len(text) for text in labels):
        raise UnsupportedError(f"Einsum '{node.text('equation')}' (node {node.label})")
    extents = _extents(node, labels, operands)
    if len(operands) == 1:
        kept = _sum_out(im, operands[0], labels[0], result, "0")
        return _ordered(im, kept[0], kept[1], result)
    return _pair(im, operands, labels, result, extents)


def _labels(node: Node, equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One label a character and axis, for every operand and the result; an implicit result is in alphabetical order."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise InputError(f"{node}: equation '{equation}' does not fit {len(ranks)} operands")
    hidden = [rank - len(term.replace("...", "")) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)]
    widest = max(hidden)
    if widest > len(_ELLIPSIS) or min(hidden) < 0:
        raise InputError(f"{node}: equation '{equation}' does not fit the ranks {list(ranks)}")
    shared = _ELLIPSIS[:widest]
    labels = [term.replace("...", shared[widest - count :]) for term, count in zip(terms, hidden, strict=True)]
    if any(len(text) != rank for text, rank in zip(labels, ranks, strict=True)):
        raise InputError(f"{node}: equation '{equation}' does not fit the ranks {list(ranks)}")
    everything = "".join(labels)
    if not arrow:
        once = sorted(c for c in set(everything) if everything.count(c) == 1 and c not in shared)
        return labels, shared + "".join(once)
    result = right.replace("...", shared)
    if len(set(result)) != len(result) or not set(result) <= set(everything):
        raise InputError(f"{node}: equation '{equation}' has a result that its operands do not give")
    return labels, result


def _extents(node: Node, labels: Sequence[str], operands: Sequence[Value]) -> Mapping[str, int]:
    extents: dict[str, int] = {}
    for text, value in zip(labels, operands, strict=True):
        for label, extent in zip(text, value.shape, strict=True):
            if extents.setdefault(label, extent) != extent:
                raise UnsupportedError(f"Einsum that broadcasts axis '{label}' (node {node.label})")
    return extents


def _sum_out(im: Importer, value: Value, labels: str, needed: str, name: str) -> tuple[Value, str]:
    """Sum over the axes that nobody else needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not axes:
        return value, labels
    kept = "".join(label for label in labels if label in needed)
    return im.step(f"sum{name}", top.Reduce, [value], axes=axes, keepdims=False, mode="ReduceSum"), kept


def _ordered(im: Importer, value: Value, labels: str, result: str) -> Value:
    return value if labels == result else im.emit(top.Permute, [value], order=tuple(labels.index(c) for c in result))


def _pair(im: Importer, operands: Sequence[Value], labels: Sequence[str], result: str, extents: Mapping[str, int]) -> Value:
    """[batch, rows, inner] x [batch, inner, columns] -> [batch, rows, columns], then the result's own order."""
    (a, left), (b, right) = (
        _sum_out(im, operands[i], labels[i], labels[1 - i] + result, str(i)) for i in (0, 1)
    )
    batch = "".join(c for c in left if c in right and c in result)
    inner = "".join(c for c in left if c in right and c not in result)
    rows = "".join(c for c in left if c not in right)
    columns = "".join(c for c in right if c not in left)

    def arranged(value: Value, now: str, groups: Sequence[str], name: str) -> Value:
        order = "".join(groups)
        if order != now:
            value = im.step(f"order{name}", top.Permute, [value], order=tuple(now.index(c) for c in order))
        shape = tuple(math.prod(extents[c] for c in group) for group in groups)
        return im.step(f"matrix{name}", top.Reshape, [value], shape=shape)

    matrices = [arranged(a, left, (batch, rows, inner), "0"), arranged(b, right, (batch, inner, columns), "1")]
    product = im.step("product", top.MatMul, matrices)
    now = batch + rows + columns
    shape = tuple(extents[c] for c in now)
    if now == result:
        return im.emit(top.Reshape, [product], shape=shape)
    return _ordered(im, im.step("axes", top.Reshape, [product], shape=shape), now, result)
