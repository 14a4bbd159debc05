"""Operators of ATen with shape variations, as functions of tensors: what the PyTorch sweep and its tests draw from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A network of one operator or few: what it computes, from inputs of these shapes; ``whole`` says which inputs are integers below
    a bound; ``low`` and ``high`` limit the others."""

    name: str
    function: Callable[..., Any]
    shapes: Sequence[Shape]
    low: float = -3.0
    high: float = 3.0
    whole: Sequence[int] = ()

    def inputs(self, seed: int) -> list[Tensor]:
        """Seeded inputs."""
        random = torch.Generator().manual_seed(seed)
        bounds = [*self.whole, *(0,) * (len(self.shapes) - len(self.whole))]
        span = self.high - self.low
        return [
            torch.randint(0, bound, shape, generator=random) if bound else torch.rand(shape, generator=random) * span + self.low
            for shape, bound in zip(self.shapes, bounds, strict=True)
        ]


class Wrapped(nn.Module):  # type: ignore[misc]
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        if isinstance(function, nn.Module):
            self.inner = function

    def forward(self, *tensors: Tensor) -> Any:
        """The function's value; named tuples, which have no name in files, as plain ones."""
        result = self.function(*tensors)
        return tuple(result) if isinstance(result, tuple) else result


POINTWISE: Sequence[tuple[str, Callable[[Tensor], Tensor], float, float]] = (
    ("abs", torch.abs, -3, 3), ("acos", torch.acos, -0.95, 0.95), ("acosh", torch.acosh, 1.1, 5), ("asin", torch.asin, -0.95, 0.95),
    ("asinh", torch.asinh, -3, 3), ("atan", torch.atan, -3, 3), ("atanh", torch.atanh, -0.9, 0.9), ("ceil", torch.ceil, -3, 3),
    ("celu", F.celu, -3, 3), ("cos", torch.cos, -3, 3), ("cosh", torch.cosh, -3, 3), ("elu", F.elu, -3, 3), ("erf", torch.erf, -3, 3),
    ("erfc", torch.erfc, -2, 2), ("exp", torch.exp, -3, 3), ("exp2", torch.exp2, -3, 3), ("expm1", torch.expm1, -3, 3),
    ("floor", torch.floor, -3, 3), ("frac", torch.frac, -3, 3), ("gelu", F.gelu, -3, 3),
    ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), -3, 3), ("hardshrink", F.hardshrink, -3, 3),
    ("hardsigmoid", F.hardsigmoid, -5, 5),
    ("hardswish", F.hardswish, -5, 5), ("hardtanh", F.hardtanh, -3, 3), ("leaky_relu", lambda x: F.leaky_relu(x, 0.2), -3, 3),
    ("log", torch.log, 0.1, 5), ("log10", torch.log10, 0.1, 5), ("log1p", torch.log1p, -0.5, 5), ("log2", torch.log2, 0.1, 5),
    ("log_sigmoid", F.logsigmoid, -3, 3), ("logit", lambda x: torch.logit(x, 1e-3), 0.05, 0.95), ("mish", F.mish, -3, 3),
    ("neg", torch.neg, -3, 3), ("positive", torch.positive, -3, 3), ("reciprocal", torch.reciprocal, 0.2, 3), ("relu", torch.relu, -3, 3),
    ("relu6", F.relu6, -3, 9), ("round", torch.round, -3, 3), ("round_decimals", lambda x: torch.round(x, decimals=2), -3, 3),
    ("rsqrt", torch.rsqrt, 0.2, 3), ("selu", F.selu, -3, 3), ("sigmoid", torch.sigmoid, -3, 3), ("sign", torch.sign, -3, 3),
    ("silu", F.silu, -3, 3), ("sin", torch.sin, -3, 3), ("sinh", torch.sinh, -3, 3), ("softplus", F.softplus, -3, 3),
    ("softplus_beta", lambda x: F.softplus(x, 2.0), -3, 3), ("softshrink", F.softshrink, -3, 3), ("softsign", F.softsign, -3, 3),
    ("sqrt", torch.sqrt, 0.1, 3), ("square", torch.square, -3, 3), ("tan", torch.tan, -1, 1), ("tanh", torch.tanh, -3, 3),
    ("tanhshrink", F.tanhshrink, -3, 3), ("threshold", lambda x: F.threshold(x, 0.5, 2.0), -3, 3), ("trunc", torch.trunc, -3, 3),
    ("clamp", lambda x: x.clamp(-1, 1.5), -3, 3), ("clamp_min", lambda x: x.clamp_min(-0.5), -3, 3),
    ("clamp_max", lambda x: x.clamp_max(1), -3, 3),
    ("clamp_zero", lambda x: x.clamp(0, 2), -3, 3), ("pow2", lambda x: x**2, -3, 3), ("pow3", lambda x: x**3, -3, 3),
    ("pow_half", lambda x: x**0.5, 0.1, 3), ("pow_real", lambda x: x**1.7, 0.1, 3), ("pow_base", lambda x: 2**x, -3, 3),
    ("pow_negative", lambda x: x**-1, 0.5, 3), ("add_number", lambda x: x + 2, -3, 3), ("sub_number", lambda x: x - 1.5, -3, 3),
    ("rsub", lambda x: 1 - x, -3, 3), ("mul_number", lambda x: x * 3, -3, 3), ("div_number", lambda x: x / 4, -3, 3),
    ("number_div", lambda x: 3 / x, 0.5, 3), ("floor_divide", lambda x: x // 0.7, -3, 3), ("remainder", lambda x: x % 0.7, -3, 3),
    ("fmod", lambda x: torch.fmod(x, 0.7), -3, 3), ("div_floor", lambda x: torch.div(x, 0.7, rounding_mode="floor"), -3, 3),
    ("div_trunc", lambda x: torch.div(x, 0.7, rounding_mode="trunc"), -3, 3), ("isnan", lambda x: torch.isnan(x).float() + x, -3, 3),
    ("isinf", lambda x: torch.isinf(x / (x > 0)).float(), -3, 3), ("isfinite", lambda x: torch.isfinite(x / (x > 0)).float(), -3, 3),
    ("logical_not", lambda x: torch.logical_not(x > 0).float(), -3, 3), ("nan_to_num", torch.nan_to_num, -3, 3),
    ("eq_number", lambda x: (x.round() == 1).float(), -3, 3), ("ne_number", lambda x: (x.round() != 1).float(), -3, 3),
    ("gt_number", lambda x: (x > 0.5).float(), -3, 3), ("ge_number", lambda x: (x >= 0.5).float(), -3, 3),
    ("lt_number", lambda x: (x < 0.5).float(), -3, 3), ("le_number", lambda x: (x <= 0.5).float(), -3, 3),
    ("to_int", lambda x: x.int().float() * 2, -3, 3), ("to_bool", lambda x: x.round().bool().float(), -3, 3),
    ("type_as", lambda x: (x > 0).type_as(x), -3, 3), ("clone", lambda x: x.clone() + 1, -3, 3),
    ("detach", lambda x: x.detach() + 1, -3, 3),
    ("contiguous", lambda x: x.contiguous() + 1, -3, 3), ("zeros_like", lambda x: torch.zeros_like(x) + x, -3, 3),
    ("ones_like", lambda x: torch.ones_like(x) * x, -3, 3), ("full_like", lambda x: torch.full_like(x, 2.5) * x, -3, 3),
    ("new_zeros", lambda x: x.new_zeros(x.shape) + x, -3, 3), ("new_ones", lambda x: x.new_ones(x.shape) * x, -3, 3),
    ("new_full", lambda x: x.new_full(x.shape, 3.0) * x, -3, 3), ("masked_fill", lambda x: x.masked_fill(x > 1, -5.0), -3, 3),
    ("where_number", lambda x: torch.where(x > 0, x, 0.5), -3, 3), ("dropout", lambda x: F.dropout(x, 0.5, False) + 1, -3, 3),
    ("relu_in_place", lambda x: (x + 0).relu_() * 2, -3, 3), ("add_in_place", lambda x: (x * 1).add_(2).mul_(3), -3, 3),
    ("cumsum", lambda x: x.cumsum(-1), -3, 3), ("softmax", lambda x: x.softmax(-1), -3, 3),
    ("log_softmax", lambda x: x.log_softmax(-1), -3, 3),
    ("softmin", lambda x: F.softmin(x, -1), -3, 3), ("sum_all", torch.sum, -3, 3), ("mean_all", torch.mean, -3, 3),
    ("max_all", torch.max, -3, 3),
    ("min_all", torch.min, -3, 3), ("std_all", torch.std, -3, 3), ("var_all", torch.var, -3, 3), ("norm_all", torch.norm, -3, 3),
    ("argmax_all", lambda x: torch.argmax(x).float(), -3, 3), ("argmin_all", lambda x: torch.argmin(x).float(), -3, 3),
    ("numel", lambda x: x * x.numel(), -3, 3), ("size", lambda x: x * x.size(0), -3, 3), ("ravel", torch.ravel, -3, 3),
    ("unsqueeze", lambda x: x.unsqueeze(-1) + 1, -3, 3), ("flip", lambda x: x.flip(-1), -3, 3), ("roll", lambda x: x.roll(1, -1), -3, 3),
    ("roll_all", lambda x: x.roll(2), -3, 3), ("argsort", lambda x: x.argsort(-1).float(), -3, 3),
    ("sort", lambda x: x.sort(-1)[0], -3, 3),
    ("sort_down", lambda x: x.sort(-1, descending=True), -3, 3), ("logsumexp", lambda x: x.logsumexp(-1), -3, 3),
    ("cumprod", lambda x: x.cumprod(-1), 0.5, 1.5),
)
"""(name, function, least and greatest input)"""

PAIRS: Sequence[tuple[str, Callable[[Tensor, Tensor], Any], float, float]] = (
    ("add", torch.add, -3, 3), ("add_alpha", lambda x, y: torch.add(x, y, alpha=0.5), -3, 3), ("sub", torch.sub, -3, 3),
    ("sub_alpha", lambda x, y: torch.sub(x, y, alpha=2), -3, 3), ("mul", torch.mul, -3, 3), ("div", torch.div, 0.5, 3),
    ("maximum", torch.maximum, -3, 3), ("minimum", torch.minimum, -3, 3), ("max_other", torch.max, -3, 3),
    ("min_other", torch.min, -3, 3),
    ("pow", torch.pow, 0.3, 2), ("atan2", torch.atan2, -3, 3), ("hypot", torch.hypot, 0.3, 3), ("fmod_pair", torch.fmod, 0.5, 3),
    ("remainder_pair", torch.remainder, 0.5, 3), ("floor_divide_pair", torch.floor_divide, 0.5, 3),
    ("eq", lambda x, y: (x.round() == y.round()).float(), -2, 2),
    ("ne", lambda x, y: (x.round() != y.round()).float(), -2, 2), ("gt", lambda x, y: (x > y).float(), -3, 3),
    ("ge", lambda x, y: (x >= y).float(), -3, 3), ("lt", lambda x, y: (x < y).float(), -3, 3),
    ("le", lambda x, y: (x <= y).float(), -3, 3),
    ("logical_and", lambda x, y: torch.logical_and(x > 0, y > 0).float(), -3, 3),
    ("logical_or", lambda x, y: torch.logical_or(x > 0, y > 0).float(), -3, 3),
    ("logical_xor", lambda x, y: torch.logical_xor(x > 0, y > 0).float(), -3, 3),
    ("bitwise_and", lambda x, y: ((x > 0) & (y > 0)).float(), -3, 3),
    ("bitwise_or", lambda x, y: ((x > 0) | (y > 0)).float(), -3, 3), ("bitwise_not", lambda x, y: (~(x > y)).float(), -3, 3),
    ("where", lambda x, y: torch.where(x > y, x, y * 2), -3, 3), ("lerp", lambda x, y: torch.lerp(x, y, 0.3), -3, 3),
    ("addcmul", lambda x, y: torch.addcmul(x, x, y, value=0.5), -3, 3),
    ("addcdiv", lambda x, y: torch.addcdiv(x, x, y, value=0.5), 0.5, 3),
    ("logaddexp", torch.logaddexp, -3, 3), ("xlogy", torch.xlogy, 0.5, 3), ("rsub_pair", torch.rsub, -3, 3),
    ("expand_as", lambda x, y: (y[..., :1].expand_as(x) + x), -3, 3),
)
_SHAPES: Sequence[Shape] = ((2, 3, 5, 7), (4, 65), (9,))
_PAIR_SHAPES: Sequence[tuple[Shape, Shape]] = (((2, 3, 5, 7), (2, 3, 5, 7)), ((2, 3, 5, 7), (3, 1, 7)), ((4, 65), (65,)))


def pointwise() -> Iterator[Case]:
    """Functions of one tensor, over three shapes."""
    for name, function, low, high in POINTWISE:
        yield from (Case(f"{name} {shape}", function, [shape], low, high) for shape in _SHAPES)


def pairs() -> Iterator[Case]:
    """Functions of two tensors, equal in shape and broadcast."""
    for name, function, low, high in PAIRS:
        yield from (Case(f"{name} {left} {right}", function, [left, right], low, high) for left, right in _PAIR_SHAPES)
