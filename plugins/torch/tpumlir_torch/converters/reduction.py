"""Reductions over axes, positions of extremes, running sums, sorting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.converters.activation import real
from tpumlir_torch.converters.casting import dtype_of
from tpumlir_torch.converters.elementwise import maximum, minimum
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.dtypes import is_float
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axes_of, axis_of
from tpumlir_torch.tensor import Ints, Number, Tensor


def reduced(im: Importer, x: Tensor, axes: Ints, keepdim: bool, mode: str, dtype: str, suffix: str = "") -> Tensor:
    """A reduction over axes; a tensor without axes is its own."""
    if not x.rank:
        return Tensor(x.value, dtype)
    if suffix:
        return im.step(suffix, top.Reduce, [x], dtype, axes=axes, keepdims=keepdim, mode=mode)
    return im.emit(top.Reduce, [x], dtype, axes=axes, keepdims=keepdim, mode=mode)


def _axes(dim: Ints | None, rank: int) -> Ints:
    """The reduced axes: all of them where none are named."""
    return axes_of(dim or None, rank)


def _accumulated(dtype: str) -> str:
    """Integers and booleans add up to int64."""
    return dtype if is_float(dtype) else "int64"


def sum_(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """``sum(x, dtype)`` has a number in the place of ``dim`` only in TorchScript, where it names the type."""
    kind = dtype_of(im, dtype, _accumulated(self.dtype))
    return reduced(im, self, _axes(dim, self.rank), keepdim, "ReduceSum", kind)


def mean(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    return reduced(im, self, _axes(dim, self.rank), keepdim, "ReduceMean", dtype_of(im, dtype, real(self.dtype)))


def prod(im: Importer, self: Tensor, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    axes = tuple(range(self.rank)) if dim is None else (axis_of(dim, self.rank),)
    return reduced(im, self, axes, keepdim, "ReduceProd", dtype_of(im, dtype, _accumulated(self.dtype)))


def _extreme_over(mode: str) -> Converter:
    def convert(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
        return reduced(im, self, _axes(dim, self.rank), keepdim, mode, self.dtype)

    return convert


def _extreme(mode: str, pairwise: Converter) -> Converter:
    """``max(x)``, ``max(x, other)`` or ``max(x, dim, keepdim)``, whose second result are the positions."""

    def convert(im: Importer, self: Tensor, dim: Tensor | int | None = None, keepdim: bool = False, other: Tensor | None = None) -> Any:
        second = dim if isinstance(dim, Tensor) else other
        if second is not None:
            return pairwise(im, self, second)
        if not isinstance(dim, int):
            return reduced(im, self, tuple(range(self.rank)), False, f"Reduce{mode}", self.dtype)
        axis = axis_of(dim, self.rank)
        return [reduced(im, self, (axis,), keepdim, f"Reduce{mode}", self.dtype), _position(im, self, axis, keepdim, mode)]

    return convert


def _position(im: Importer, x: Tensor, axis: int, keepdim: bool, mode: str) -> Tensor:
    return im.step("indices", top.Arg, [x], "int64", axis=axis, keepdims=keepdim, mode=f"Arg{mode}", select_last_index=False)


def _arg(mode: str) -> Converter:
    def convert(im: Importer, self: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        x = self if dim is not None else reshaped(im, self, (-1,), "flat")
        axis = axis_of(dim or 0, x.rank)
        found = im.emit(top.Arg, [x], "int64", axis=axis, keepdims=dim is None or keepdim, mode=f"Arg{mode}", select_last_index=False)
        return found if dim is not None else reshaped(im, found, (1,) * self.rank if keepdim else ())

    return convert


def aminmax(im: Importer, self: Tensor, dim: int | None = None, keepdim: bool = False) -> list[Tensor]:
    axes = tuple(range(self.rank)) if dim is None else (axis_of(dim, self.rank),)
    return [reduced(im, self, axes, keepdim, mode, self.dtype, name) for name, mode in (("min", "ReduceMin"), ("max", "ReduceMax"))]


def any_(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    truth = im.step("truth", top.CompareConst, [self], mode="NotEqual", const_val=0.0, inversed=False)
    return reduced(im, truth, _axes(dim, self.rank), keepdim, "ReduceMax", "bool")


def all_(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    truth = im.step("truth", top.CompareConst, [self], mode="NotEqual", const_val=0.0, inversed=False)
    return reduced(im, truth, _axes(dim, self.rank), keepdim, "ReduceMin", "bool")


def norm(im: Importer, self: Tensor, p: Number | None = 2, dim: Ints | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of all elements, or along axes."""
    axes = _axes(dim, self.rank)
    order = 2.0 if p is None else float(p)
    if order in (1.0, 2.0):
        return reduced(im, self, axes, keepdim, f"ReduceL{int(order)}", real(self.dtype))
    size = im.step("abs", top.Abs, [self])
    if math.isinf(order):
        return reduced(im, size, axes, keepdim, "ReduceMax" if order > 0 else "ReduceMin", self.dtype)
    if order == 0:
        some = im.step("some", top.CompareConst, [size], mode="NotEqual", const_val=0.0, inversed=False)
        return reduced(im, some, axes, keepdim, "ReduceSum", self.dtype)
    powers = im.step("powers", top.Pow, [size], exponent=order)
    return im.emit(top.Pow, [reduced(im, powers, axes, keepdim, "ReduceSum", self.dtype, "sum")], exponent=1 / order)


def vector_norm(im: Importer, self: Tensor, ord: Number = 2, dim: Ints | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    return norm(im, self, ord, dim, keepdim)


def linalg_norm(
    im: Importer, self: Tensor, ord: Number | str | None = None, dim: Ints | None = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    if isinstance(ord, str) and ord != "fro":
        raise im.refusal(f"ord '{ord}'")
    if not isinstance(ord, str) and ord is not None and len(_axes(dim, self.rank)) == 2:
        raise im.refusal("a norm of matrices other than Frobenius'")
    return norm(im, self, 2 if ord is None or isinstance(ord, str) else ord, dim, keepdim)


def frobenius_norm(im: Importer, self: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    return norm(im, self, 2, dim, keepdim)


def _variance(im: Importer, x: Tensor, axes: Ints, correction: float, keepdim: bool, suffix: str) -> Tensor:
    return im.step(suffix, top.Variance, [x], reduce_list=axes, correction=correction, keep_dims=keepdim)


def _spread(root: bool) -> Converter:
    """``var`` and ``std``: (x, unbiased), (x, dim, unbiased, keepdim) or (x, dim, *, correction, keepdim)."""

    def convert(
        im: Importer, self: Tensor, dim: bool | Ints | None = None, unbiased: bool = True, keepdim: bool = False,
        correction: Number | None = None,
    ) -> Tensor:
        over, amount = (None, float(dim)) if isinstance(dim, bool) else (dim, float(unbiased))
        amount = amount if correction is None else float(correction)
        variance = _variance(im, self, _axes(over, self.rank), amount, keepdim, "variance")
        return im.emit(top.Sqrt, [variance]) if root else variance

    return convert


def _spread_and_mean(root: bool) -> Converter:
    spread = _spread(root)

    def convert(
        im: Importer, self: Tensor, dim: bool | Ints | None = None, unbiased: bool = True, keepdim: bool = False,
        correction: Number | None = None,
    ) -> list[Tensor]:
        first = spread(im, self, dim, unbiased, keepdim, correction)
        assert isinstance(first, Tensor)
        axes = _axes(None if isinstance(dim, bool) else dim, self.rank)
        return [first, reduced(im, self, axes, keepdim, "ReduceMean", self.dtype, "mean")]

    return convert


def logsumexp(im: Importer, self: Tensor, dim: Ints, keepdim: bool = False) -> Tensor:
    """max + log(sum(exp(x - max))), which does not overflow."""
    axes = _axes(dim, self.rank)
    peak = reduced(im, self, axes, True, "ReduceMax", self.dtype, "peak")
    powers = im.step("exp", top.Exp, [im.step("centred", top.Sub, [self, peak])])
    log = im.step("log", top.Log, [reduced(im, powers, axes, True, "ReduceSum", self.dtype, "sum")])
    whole = im.emit(top.Add, [log, peak])
    return whole if keepdim else reshaped(im, whole, [n for i, n in enumerate(self.shape) if i not in axes])


def cumsum(im: Importer, self: Tensor, dim: int, dtype: Any = None) -> Tensor:
    if not self.rank:
        return self
    return im.emit(top.CumSum, [self], dtype_of(im, dtype, _accumulated(self.dtype)), axis=axis_of(dim, self.rank))


def topk(im: Importer, self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Tensor]:
    axis = axis_of(dim, self.rank)
    if not self.rank or not 1 <= k <= self.shape[axis]:
        raise InputError(f"the best {k} of shape {list(self.shape)}")
    last = self.rank - 1
    order = tuple(last if i == axis else axis if i == last else i for i in range(self.rank))
    x = self if axis == last else im.step("last", top.Permute, [self], order=order)
    results = im.emit_many(top.TopK, [x], [self.dtype, "int64"], axis=last, K=k, largest=largest, sorted=True)
    if axis == last:
        return results
    return [im.step(f"back{i}", top.Permute, [result], order=order) for i, result in enumerate(results)]


def sort(im: Importer, self: Tensor, dim: Any = -1, descending: Any = False, stable: Any = None, *more: Any) -> list[Tensor]:
    """All of the best; with ``stable`` first in the arguments the others are one place later."""
    if (dim is None or isinstance(dim, bool)) and isinstance(descending, int):
        dim, descending = descending, bool(stable)
    if not isinstance(dim, int) or not self.rank:
        raise InputError("a sort without an axis")
    return topk(im, self, self.shape[axis_of(dim, self.rank)], dim, bool(descending))


def argsort(im: Importer, self: Tensor, dim: Any = -1, descending: Any = False, stable: Any = None) -> Tensor:
    return sort(im, self, dim, descending, stable)[1]


def cumulative_product(im: Importer, self: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Products of the first elements, one reduction each."""
    axis = axis_of(dim, self.rank)
    parts = [
        im.step(f"first{i}", top.Slice, [self], axes=(axis,), offset=(0,), steps=(1,), ends=(i + 1,)) for i in range(self.shape[axis])
    ]
    products = [reduced(im, part, (axis,), True, "ReduceProd", self.dtype, "product") for part in parts]
    return im.emit(top.Concat, products, axis=axis) if len(products) > 1 else products[0]


def cdist(im: Importer, x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    """Norms of the differences of all pairs of rows."""
    left = im.step("left", top.Unsqueeze, [x1], axes=(x1.rank - 1,))
    right = im.step("right", top.Unsqueeze, [x2], axes=(x2.rank - 2,))
    return norm(im, im.step("gaps", top.Sub, [left, right]), p, (-1,))


CONVERTERS: Mapping[str, Converter] = {
    "all": all_, "amax": _extreme_over("ReduceMax"), "amin": _extreme_over("ReduceMin"), "aminmax": aminmax, "any": any_,
    "argmax": _arg("Max"), "argmin": _arg("Min"), "argsort": argsort, "cdist": cdist, "_cdist_forward": cdist,
    "cumprod": cumulative_product, "cumsum": cumsum,
    "frobenius_norm": frobenius_norm, "linalg_norm": linalg_norm, "linalg_vector_norm": vector_norm,
    "logsumexp": logsumexp, "max": _extreme("Max", maximum), "mean": mean, "min": _extreme("Min", minimum), "norm": norm, "prod": prod,
    "sort": sort, "std": _spread(root=True), "std_mean": _spread_and_mean(root=True), "sum": sum_, "topk": topk,
    "var": _spread(root=False), "var_mean": _spread_and_mean(root=False),
}
