"""What the formulations of matrix products share: the product asked for, its weight, matrices in the lanes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels.common import F32, Scratch, is_weight
from tpumlir_bm1684x.kernels.filters import has_bias
from tpumlir_core.ir import Array, WeightStore
from tpumlir_sophgo.kernel import FLOATS, Kernel, Tile
from tpumlir_sophgo.tensor import Box, LocalTensor, aligned_bytes

ONE = Sweep((1, 1))


@dataclass(frozen=True)
class Product:
    """A matrix product: batches of rows x inner by inner x columns, as the operands have them before any transposition."""

    left_batches: tuple[int, ...]
    right_batches: tuple[int, ...]
    batches: tuple[int, ...]
    rows: int
    inner: int
    columns: int

    @property
    def total_rows(self) -> int:
        return prod(self.batches) * self.rows

    def source_batches(self, side: tuple[int, ...]) -> Array:
        """For every batch of the result, in order, that of the operand with batches ``side``."""
        return np.broadcast_to(np.arange(prod(side)).reshape(side), self.batches).reshape(-1)


def product(op: Any) -> Product:
    """The product that an operation asks for."""
    left, right = op.shapes(op.input.shape, op.operands[1].shape)
    left = left if len(left) > 1 else (1, *left)
    right = right if len(right) > 1 else (*right, 1)
    batches = np.broadcast_shapes(left[:-2], right[:-2])
    return Product(tuple(left[:-2]), tuple(right[:-2]), batches, left[-2], left[-1], right[-1])


def weight_matrix(op: Any, weights: WeightStore) -> Array:
    """The right operand, a weight of one batch, as inner x columns."""
    p = product(op)
    matrix = weights[op.operands[1].name]
    if op.right_transpose and matrix.ndim > 1:
        return matrix.reshape(p.columns, p.inner).T
    return matrix.reshape(p.inner, p.columns)


def shares_weight(op: Any) -> bool:
    """Whether the right operand is a weight that is the same for all batches."""
    return is_weight(op.operands[1]) and prod(product(op).right_batches) == 1


class MatrixKernel(Kernel):
    """What both formulations share: in 16 bits the bias alone may be stored otherwise, as weights are."""

    native = FLOATS

    def takes(self, op: Any) -> bool:
        matrices = [op.input, *(v for i, v in enumerate(op.operands[1:2], 1) if i not in self.constant_operands(op)), op.output]
        bias = op.operands[2].type.element if has_bias(op) else F32
        element = op.output.type.element
        return {v.type.element for v in matrices} == {element} and element in self.native and bias in (F32, element)


def left_transposed(op: Any) -> bool:
    """Whether the left operand is a matrix with K first."""
    return bool(op.left_transpose) and len(op.input.shape) > 1


def right_transposed(op: Any) -> bool:
    """Whether the right operand is a matrix with K last."""
    return bool(op.right_transpose) and len(op.operands[1].shape) > 1


def tile_operand(tile: Tile, index: int) -> LocalTensor:
    """An operand that is there."""
    tensor = tile.operands[index]
    assert tensor is not None
    return tensor


def one_image(x: LocalTensor, n: int) -> LocalTensor:
    """Image ``n`` of a tensor."""
    return x.part(arch(), Box((n, 0, 0, 0), (1, *x.shape[1:])))


def turned_bytes(x: LocalTensor, batches: int) -> int:
    """Scratch bytes of ``turned`` for so many batches of ``x``."""
    _, c, h, w = x.shape
    return sum(aligned_bytes(arch(), shape, x.element) for shape in ((batches, w, h, c), (batches, c, h, w)))


def turned(x: LocalTensor, s: Scratch, e: Bm1684xEmitter) -> LocalTensor:
    """c and w exchanged."""
    n, c, h, w = x.shape
    if not x.is_aligned(arch()):
        part = s.take(x.shape, x.element)
        e.copy(part, x)
        x = part
    out = s.take((n, w, h, c), x.element)
    e.transpose(out, x)
    return out
