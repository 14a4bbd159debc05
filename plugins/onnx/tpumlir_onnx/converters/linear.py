"""Matrix products: MatMul, Gemm, Einsum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top
from tpumlir_onnx.converters.einsum import einsum
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer


def matmul(im: Importer, node: Node) -> Value:
    a, b = im.value(node.input(0)), im.value(node.input(1))
    if not a.shape or not b.shape:
        raise InputError(f"{node}: an operand is a scalar")
    left = im.step("row", top.Reshape, [a], shape=(1, *a.shape)) if len(a.shape) == 1 else a
    right = im.step("column", top.Reshape, [b], shape=(*b.shape, 1)) if len(b.shape) == 1 else b
    if left is a and right is b:
        return im.emit(top.MatMul, [a, b])
    product = im.step("product", top.MatMul, [left, right])
    batch = product.shape[:-2]
    rows = () if left is not a else product.shape[-2:-1]
    columns = () if right is not b else product.shape[-1:]
    return im.emit(top.Reshape, [product], shape=(*batch, *rows, *columns))


def gemm(im: Importer, node: Node) -> Value:
    """alpha A B + beta C; constant B and C take the transposition and the factors."""
    a = im.value(node.input(0))
    if len(a.shape) != 2:
        raise InputError(f"{node}: A of shape {list(a.shape)} is no matrix")
    if node.flag("transA"):
        a = im.step("transposed", top.Permute, [a], order=(1, 0))
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    b, swapped, factor = _right(im, node, alpha)
    columns = b.shape[0] if swapped else b.shape[-1]
    bias, addend = _bias(im, node, beta, columns)
    if addend is None and factor == 1.0:
        return im.emit(top.MatMul, [a, b, bias], right_transpose=swapped)
    product = im.step("product", top.MatMul, [a, b, bias if factor == 1.0 else None], right_transpose=swapped)
    if factor != 1.0:
        extra = bias if addend is None else addend
        if extra is None:
            return im.emit(top.MulConst, [product], const_val=factor)
        product, addend = im.step("scaled", top.MulConst, [product], const_val=factor), extra
    return im.emit(top.Add, [product, addend])


def _right(im: Importer, node: Node, alpha: float) -> tuple[Value, bool, float]:
    """The right operand, whether the product must transpose it, and the factor that is left to apply."""
    constant, swap = im.constant(node.input(1)), node.flag("transB")
    if constant is None:
        return im.value(node.input(1)), swap, alpha
    if constant.ndim != 2:
        raise InputError(f"{node}: B of shape {list(constant.shape)} is no matrix")
    if not swap and alpha == 1.0:
        return im.value(node.input(1)), False, 1.0
    matrix = constant.T if swap else constant
    if alpha != 1.0:
        matrix = matrix * np.float32(alpha)
    return im.weight(f"{node.input(1)}_fix", matrix), False, 1.0


def _bias(im: Importer, node: Node, beta: float, columns: int) -> tuple[Value | None, Value | None]:
    """C as (a bias of one row, anything else that must be added); one of them, or none, is there."""
    if not node.input(2) or beta == 0.0:
        return None, None
    constant = im.constant(node.input(2))
    if constant is None:
        c = im.value(node.input(2))
        return None, c if beta == 1.0 else im.step("beta", top.MulConst, [c], const_val=beta)
    scaled = constant if beta == 1.0 else constant * np.float32(beta)
    if constant.size not in (1, columns) or constant.shape[-1:] not in ((), (1,), (columns,)) or (
        constant.size == columns > 1 and constant.shape[-1] != columns
    ):
        return None, im.value(node.input(2)) if beta == 1.0 else im.constant_result("bias", scaled)
    row = np.broadcast_to(scaled.reshape(-1), (columns,))
    plain = beta == 1.0 and constant.shape == (columns,)
    return (im.value(node.input(2)) if plain else im.constant_result("bias", row)), None


CONVERTERS: Mapping[str, Converter] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
