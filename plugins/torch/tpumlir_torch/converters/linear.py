"""Matrix products and attention."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.converters.elementwise import result_dtype, scaled
from tpumlir_torch.converters.logic import selected
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axes_of
from tpumlir_torch.tensor import Ints, Number, Tensor


def product(im: Importer, left: Tensor, right: Tensor, bias: Tensor | None = None, transposed: bool = False) -> Tensor:
    """left @ right, or left @ right^T; a constant right side is transposed now."""
    if left.rank < 2 or right.rank < 2:
        raise InputError(f"shapes {list(left.shape)} and {list(right.shape)} are not both matrices")
    if transposed and im.constant(right) is not None:
        right, transposed = im.step("right", top.Permute, [right], order=(*range(right.rank - 2), right.rank - 1, right.rank - 2)), False
    return im.emit(top.MatMul, [left, right, bias], result_dtype(left, right), right_transpose=transposed)


def matmul(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    if not self.rank or not other.rank:
        raise InputError("an operand has no axes")
    left = reshaped(im, self, (1, *self.shape), "row") if self.rank == 1 else self
    right = reshaped(im, other, (*other.shape, 1), "column") if other.rank == 1 else other
    result = product(im, left, right)
    rows = result.shape[-2:-1] if self.rank > 1 else ()
    columns = result.shape[-1:] if other.rank > 1 else ()
    return reshaped(im, result, (*result.shape[:-2], *rows, *columns))


def linear(im: Importer, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if weight.rank != 2:
        raise InputError(f"a weight of shape {list(weight.shape)} is no matrix")
    x = reshaped(im, input, (1, *input.shape), "row") if input.rank == 1 else input
    row = bias if bias is None or im.constant(bias) is not None else None
    result = product(im, x, weight, row, transposed=True)
    if bias is not row and bias is not None:
        result = im.emit(top.Add, [result, bias])
    return reshaped(im, result, (*input.shape[:-1], weight.shape[0]))


def addmm(im: Importer, self: Tensor, mat1: Tensor, mat2: Tensor, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta self + alpha mat1 @ mat2; a constant row is the product's bias."""
    if alpha == 1 and beta == 1 and im.constant(self) is not None and self.shape == mat2.shape[-1:]:
        return product(im, mat1, mat2, self)
    result = scaled(im, product(im, mat1, mat2), alpha)
    if beta == 0:
        return im.tensor(result)
    return im.emit(top.Add, [im.tensor(result), im.tensor(scaled(im, self, beta))])


def baddbmm(im: Importer, self: Tensor, batch1: Tensor, batch2: Tensor, beta: Number = 1, alpha: Number = 1) -> Tensor:
    return addmm(im, self, batch1, batch2, beta, alpha)


def addbmm(im: Importer, self: Tensor, batch1: Tensor, batch2: Tensor, beta: Number = 1, alpha: Number = 1) -> Tensor:
    total = im.step("total", top.Reduce, [product(im, batch1, batch2)], axes=(0,), keepdims=False, mode="ReduceSum")
    return im.emit(top.Add, [im.tensor(scaled(im, total, alpha)), im.tensor(scaled(im, self, beta))])


def addmv(im: Importer, self: Tensor, mat: Tensor, vec: Tensor, beta: Number = 1, alpha: Number = 1) -> Tensor:
    result = scaled(im, matmul(im, mat, vec), alpha)
    return im.emit(top.Add, [im.tensor(result), im.tensor(scaled(im, self, beta))])


def outer(im: Importer, self: Tensor, vec2: Tensor) -> Tensor:
    return im.emit(top.Mul, [reshaped(im, self, (-1, 1), "column"), reshaped(im, vec2, (1, -1), "row")])


def bilinear(im: Importer, input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[o] = x1 W[o] x2, as products of [1, n, i] and [o, i, j], weighed by x2 and summed."""
    rows = reshaped(im, input1, (1, -1, input1.shape[-1]), "rows")
    halves = product(im, rows, weight)
    weighed = im.step("weighed", top.Mul, [halves, reshaped(im, input2, (1, -1, input2.shape[-1]), "others")])
    sums = im.step("sums", top.Reduce, [weighed], axes=(2,), keepdims=False, mode="ReduceSum")
    result = reshaped(im, im.emit(top.Permute, [sums], order=(1, 0)), (*input1.shape[:-1], weight.shape[0]))
    return result if bias is None else im.emit(top.Add, [result, bias])


def trilinear(
    im: Importer, i1: Tensor, i2: Tensor, i3: Tensor, expand1: Ints, expand2: Ints, expand3: Ints, sumdim: Ints, unroll_dim: int = 1
) -> Tensor:
    """What bilinear is decomposed to: the product of three tensors with new axes of one element, summed over some axes."""
    wide = []
    for at, (x, places) in enumerate(((i1, expand1), (i2, expand2), (i3, expand3))):
        new, old = axes_of(places, x.rank + len(places)), iter(x.shape)
        wide.append(reshaped(im, x, [1 if i in new else next(old) for i in range(x.rank + len(places))], f"wide{at}"))
    im.check_size(np.broadcast_shapes(*(x.shape for x in wide)))
    first = im.step("first", top.Mul, wide[:2])
    products = im.step("products", top.Mul, [first, wide[2]])
    axes = axes_of(sumdim, products.rank)
    return im.emit(top.Reduce, [products], axes=axes, keepdims=False, mode="ReduceSum") if axes else products


def attention(
    im: Importer, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale Q K^T + mask) V; a boolean mask keeps where it holds."""
    if dropout_p:
        raise im.refusal("dropout_p; call eval() before saving the model")
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        key, value = (_repeated_heads(im, t, query.shape[-3] // t.shape[-3]) for t in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = im.step("scores", top.MatMul, [query, key], right_transpose=True)
    scores = im.step("scaled", top.MulConst, [scores], const_val=factor)
    if is_causal:
        rows, columns = scores.shape[-2:]
        attn_mask = im.array(np.tril(np.ones((rows, columns), np.float32)), "bool", "causal")
    scores = _masked(im, scores, attn_mask)
    weights = im.step("weights", top.Softmax, [scores], axis=scores.rank - 1)
    return im.emit(top.MatMul, [weights, value])


_FAR_BELOW = -1e30
"""What a score becomes that a mask takes out: its exponential is 0, and nothing overflows on the way."""


def _masked(im: Importer, scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == "bool":
        return selected(im, mask, scores, _FAR_BELOW, scores.dtype)
    constant = im.constant(mask)
    if constant is not None:
        mask = im.array(np.maximum(constant, np.float32(_FAR_BELOW)), mask.dtype, "mask")
    return im.step("masked", top.Add, [scores, mask])


def _repeated_heads(im: Importer, x: Tensor, times: int) -> Tensor:
    wide = im.step("heads", top.Unsqueeze, [x], axes=(x.rank - 2,))
    repeated = im.step("repeated", top.Tile, [wide], tile=tuple(times if i == x.rank - 2 else 1 for i in range(x.rank + 1)))
    return reshaped(im, repeated, (*x.shape[:-3], x.shape[-3] * times, *x.shape[-2:]), "groups")


def flash_attention(
    im: Importer, query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False,
    attn_mask: Tensor | None = None, scale: float | None = None,
) -> list[Tensor]:
    """The CPU kernel that decomposed programs name; its second result serves training."""
    result = attention(im, query, key, value, attn_mask, dropout_p, is_causal, scale)
    return [result, result]


CONVERTERS: Mapping[str, Converter] = {
    "mm": matmul, "bmm": matmul, "matmul": matmul, "mv": matmul, "dot": matmul, "vdot": matmul, "linear": linear,
    "addmm": addmm, "baddbmm": baddbmm, "addbmm": addbmm, "addmv": addmv, "outer": outer, "ger": outer, "bilinear": bilinear,
    "_trilinear": trilinear,
    "scaled_dot_product_attention": attention, "_scaled_dot_product_flash_attention_for_cpu": flash_attention,
}
