"""Functions of one tensor, element by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Operation, top
from tpumlir_torch.dtypes import is_float, is_integer, promoted, scalar_dtype
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import axis_of
from tpumlir_torch.tensor import Number, Operand, Tensor

_LARGEST = float(np.finfo(np.float32).max)


def real(dtype: str) -> str:
    """The type of a function's values: integers and booleans become float32."""
    return dtype if is_float(dtype) else "float32"


def _plain(kind: type[Operation], **attributes: Any) -> Converter:
    """A converter to one operation without parameters."""

    def convert(im: Importer, self: Tensor) -> Tensor:
        return im.emit(kind, [self], real(self.dtype), **attributes)

    return convert


def _same_type(kind: type[Operation], on_integers: bool, **attributes: Any) -> Converter:
    """A converter to an operation that keeps the type; ``on_integers`` tells whether it changes integers at all."""

    def convert(im: Importer, self: Tensor) -> Tensor:
        return im.emit(kind, [self], **attributes) if on_integers or is_float(self.dtype) else self

    return convert


def neg(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.MulConst, [self], const_val=-1.0)


def reciprocal(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Reciprocal, [self], real(self.dtype), const_val=1.0)


def square(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Mul, [self, self])


def asin(im: Importer, self: Tensor) -> Tensor:
    """pi / 2 - acos(x)."""
    angle = im.step("acos", top.Arccos, [self], real(self.dtype))
    return im.emit(top.SubConst, [angle], const_val=math.pi / 2, is_reverse=True)


def atan(im: Importer, self: Tensor) -> Tensor:
    """asin(x / sqrt(1 + x^2)), with asin(s) = pi / 2 - acos(s)."""
    squared = im.step("square", top.Mul, [self, self], real(self.dtype))
    inverse = im.step("rsqrt", top.Rsqrt, [im.step("add", top.AddConst, [squared], const_val=1.0)])
    angle = im.step("angle", top.Arccos, [im.step("sine", top.Mul, [inverse, self])])
    return im.emit(top.SubConst, [angle], const_val=math.pi / 2, is_reverse=True)


def asinh(im: Importer, self: Tensor) -> Tensor:
    """sign(x) log(|x| + sqrt(x^2 + 1)), which does not cancel for negative x."""
    squared = im.step("square", top.Mul, [self, self], real(self.dtype))
    root = im.step("sqrt", top.Sqrt, [im.step("plus_one", top.AddConst, [squared], const_val=1.0)])
    log = im.step("log", top.Log, [im.step("add", top.Add, [root, im.step("abs", top.Abs, [self])])])
    return im.emit(top.Mul, [log, im.step("sign", top.Sign, [self])])


def acosh(im: Importer, self: Tensor) -> Tensor:
    """log(x + sqrt(x^2 - 1))."""
    squared = im.step("square", top.Mul, [self, self], real(self.dtype))
    root = im.step("sqrt", top.Sqrt, [im.step("minus_one", top.AddConst, [squared], const_val=-1.0)])
    return im.emit(top.Log, [im.step("add", top.Add, [root, self])])


def log2(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.LogB, [self], real(self.dtype), base=2)


def log10(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.LogB, [self], real(self.dtype), base=10)


def log1p(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Log, [im.step("plus_one", top.AddConst, [self], real(self.dtype), const_val=1.0)])


def expm1(im: Importer, self: Tensor) -> Tensor:
    """Elu continues exp(x) - 1 by x where x is positive."""
    low = im.step("elu", top.Elu, [self], real(self.dtype), alpha=1.0)
    high = im.step("minus_one", top.AddConst, [im.step("exp", top.Exp, [self])], const_val=-1.0)
    positive = im.step("positive", top.CompareConst, [self], mode="Greater", const_val=0.0, inversed=False)
    return im.emit(top.Where, [positive, high, low], real(self.dtype))


def exp2(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Exp, [im.step("scaled", top.MulConst, [self], real(self.dtype), const_val=math.log(2))])


def erfc(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.SubConst, [im.step("erf", top.Erf, [self], real(self.dtype))], const_val=1.0, is_reverse=True)


def trunc(im: Importer, self: Tensor) -> Tensor:
    if is_integer(self.dtype):
        return self
    size = im.step("floor", top.Floor, [im.step("abs", top.Abs, [self])])
    return im.emit(top.Mul, [im.step("sign", top.Sign, [self]), size])


def frac(im: Importer, self: Tensor) -> Tensor:
    size = im.step("floor", top.Floor, [im.step("abs", top.Abs, [self])])
    return im.emit(top.Sub, [self, im.step("whole", top.Mul, [im.step("sign", top.Sign, [self]), size])])


def round_(im: Importer, self: Tensor, decimals: int = 0) -> Tensor:
    if is_integer(self.dtype):
        return self
    if not decimals:
        return im.emit(top.Round, [self])
    scaled = im.step("scaled", top.MulConst, [self], const_val=10.0**decimals)
    return im.emit(top.MulConst, [im.step("round", top.Round, [scaled])], const_val=10.0**-decimals)


def relu6(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Relu, [self], relu_limit=6.0)


def elu(im: Importer, self: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    x = self if input_scale == 1 else im.step("input", top.MulConst, [self], const_val=input_scale)
    if scale == 1:
        return im.emit(top.Elu, [x], alpha=alpha)
    return im.emit(top.MulConst, [im.step("elu", top.Elu, [x], alpha=alpha)], const_val=scale)


def selu(im: Importer, self: Tensor) -> Tensor:
    return elu(im, self, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def celu(im: Importer, self: Tensor, alpha: float = 1.0) -> Tensor:
    """alpha elu(x / alpha)."""
    if alpha == 0:
        raise InputError("alpha is 0")
    return elu(im, self, 1.0, alpha, 1 / alpha)


def leaky_relu(im: Importer, self: Tensor, negative_slope: float = 0.01) -> Tensor:
    return im.emit(top.LeakyRelu, [self], alpha=negative_slope)


def rrelu(im: Importer, self: Tensor, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, generator: None = None) -> Tensor:
    if training:
        raise im.refusal("training=True; call eval() before saving the model")
    return im.emit(top.LeakyRelu, [self], alpha=(lower + upper) / 2)


def rrelu_with_noise(
    im: Importer, self: Tensor, noise: Tensor, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, generator: None = None
) -> tuple[Tensor, Tensor]:
    """What programs hold after decomposition; only training reads or writes the noise."""
    return rrelu(im, self, lower, upper, training), noise


def prelu(im: Importer, self: Tensor, weight: Tensor) -> Tensor:
    slope = im.scalar(weight)
    if slope is not None:
        return im.emit(top.LeakyRelu, [self], alpha=slope)
    channels = weight.shape if self.rank < 2 else (weight.shape[weight.rank > 1], *(1,) * (self.rank - 2))
    along = im.step("slope", top.Reshape, [weight], shape=channels)
    if im.constant(weight) is not None and self.rank > 1:
        return im.emit(top.PRelu, [self, im.step("slope_of_channels", top.Reshape, [along], shape=(1, *channels))])
    negative = im.step("negative", top.Mul, [im.step("below", top.MinConst, [self], const_val=0.0), along])
    return im.emit(top.Add, [im.step("positive", top.Relu, [self]), negative])


def softplus(im: Importer, self: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; above the threshold it is x but for what float32 rounds away anyway."""
    if beta == 0:
        raise InputError("beta is 0")
    if beta == 1:
        return im.emit(top.Softplus, [self])
    inner = im.step("softplus", top.Softplus, [im.step("scaled", top.MulConst, [self], const_val=beta)])
    return im.emit(top.MulConst, [inner], const_val=1 / beta)


def hardtanh(im: Importer, self: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return clamp(im, self, min_val, max_val)


def clamp(im: Importer, self: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Limits that are numbers, or tensors."""
    given = [v for v in (min, max) if v is not None]
    others = [v.dtype if isinstance(v, Tensor) else scalar_dtype(v) for v in given]
    dtype = promoted([self.dtype], (), others)
    low, high = (None if v is None else im.scalar(v) for v in (min, max))
    if (min is not None and low is None) or (max is not None and high is None):
        x = self if min is None else im.step("low", top.Max, [self, im.tensor(min)], dtype)
        return x if max is None else im.emit(top.Min, [x, im.tensor(max)], dtype)
    if low == 0 and (high is None or high > 0):
        return im.emit(top.Relu, [self], dtype, relu_limit=-1.0 if high is None or math.isinf(high) else high)
    bounds = [-_LARGEST if low is None else low, _LARGEST if high is None else high]
    floor, ceiling = (float(np.clip(bound, -_LARGEST, _LARGEST)) for bound in bounds)
    return im.emit(top.Clip, [self], dtype, min=floor, max=ceiling)


def clamp_min(im: Importer, self: Tensor, min: Operand) -> Tensor:
    return clamp(im, self, min)


def clamp_max(im: Importer, self: Tensor, max: Operand) -> Tensor:
    return clamp(im, self, None, max)


def gelu(im: Importer, self: Tensor, approximate: str = "none") -> Tensor:
    if approximate not in ("none", "tanh"):
        raise InputError(f"approximate '{approximate}' is neither none nor tanh")
    return im.emit(top.GELU, [self], approx_mode="tanh" if approximate == "tanh" else "normal")


def glu(im: Importer, self: Tensor, dim: int = -1) -> Tensor:
    axis = axis_of(dim, self.rank)
    half, odd = divmod(self.shape[axis], 2)
    if odd:
        raise InputError(f"an axis of {self.shape[axis]} does not halve")
    parts = [im.step(f"half{i}", top.Slice, [self], axes=(axis,), offset=(i * half,), steps=(1,), ends=((i + 1) * half,)) for i in (0, 1)]
    return im.emit(top.Mul, [parts[0], im.step("gate", top.Sigmoid, [parts[1]])])


def softmax(log: bool) -> Converter:
    """``softmax(x, dim, dtype)`` or ``_softmax(x, dim, half_to_float)``; softmin by its caller."""

    def convert(im: Importer, self: Tensor, dim: int, dtype: Any = None, half_to_float: Any = None) -> Tensor:
        axis = axis_of(dim, self.rank)
        if not self.rank:
            raise im.refusal("a tensor without axes")
        return im.emit(top.Softmax, [self], real(self.dtype), axis=axis, log=log)

    return convert


def threshold(im: Importer, self: Tensor, threshold: float, value: float) -> Tensor:
    passes = im.step("passes", top.CompareConst, [self], mode="Greater", const_val=threshold, inversed=False)
    return im.emit(top.Where, [passes, self, None], self.dtype, y_is_const=True, y_const_val=value)


def hardshrink(im: Importer, self: Tensor, lambd: float = 0.5) -> Tensor:
    size = im.step("abs", top.Abs, [self])
    passes = im.step("passes", top.CompareConst, [size], mode="Greater", const_val=lambd, inversed=False)
    return im.emit(top.Where, [passes, self, None], self.dtype, y_is_const=True, y_const_val=0.0)


def softshrink(im: Importer, self: Tensor, lambd: float = 0.5) -> Tensor:
    """x less what of it lies within [-lambd, lambd]."""
    return im.emit(top.Sub, [self, im.step("inner", top.Clip, [self], min=-lambd, max=lambd)])


def logit(im: Importer, self: Tensor, eps: float | None = None) -> Tensor:
    x = self if eps is None else im.step("clip", top.Clip, [self], min=eps, max=1 - eps)
    rest = im.step("rest", top.SubConst, [x], const_val=1.0, is_reverse=True)
    return im.emit(top.Log, [im.step("odds", top.Div, [x, rest])])


def nan_to_num(im: Importer, self: Tensor, nan: Number | None = None, posinf: Number | None = None, neginf: Number | None = None) -> Tensor:
    number = im.step("number", top.Compare, [self, self], mode="Equal")
    finite = im.step("finite", top.Where, [number, self, None], self.dtype, y_is_const=True, y_const_val=float(nan or 0))
    limits = (-_LARGEST if neginf is None else float(neginf), _LARGEST if posinf is None else float(posinf))
    return im.emit(top.Clip, [finite], min=limits[0], max=limits[1])


CONVERTERS: Mapping[str, Converter] = {
    "abs": _same_type(top.Abs, True), "acos": _plain(top.Arccos), "acosh": acosh, "asin": asin, "asinh": asinh, "atan": atan,
    "atanh": _plain(top.Arctanh), "ceil": _same_type(top.Ceil, False), "celu": celu, "clamp": clamp, "clamp_max": clamp_max,
    "clamp_min": clamp_min, "clip": clamp, "cos": _plain(top.Cos), "cosh": _plain(top.Cosh), "elu": elu, "erf": _plain(top.Erf),
    "erfc": erfc, "exp": _plain(top.Exp), "exp2": exp2, "expm1": expm1, "floor": _same_type(top.Floor, False), "frac": frac, "gelu": gelu,
    "glu": glu, "hardshrink": hardshrink, "hardsigmoid": _plain(top.HardSigmoid, alpha=1 / 6, beta=0.5),
    "hardswish": _plain(top.HardSwish), "hardtanh": hardtanh, "leaky_relu": leaky_relu, "log": _plain(top.Log), "log10": log10,
    "log1p": log1p, "log2": log2, "log_sigmoid": _plain(top.Sigmoid, log=True), "log_softmax": softmax(log=True),
    "_log_softmax": softmax(log=True), "logit": logit, "mish": _plain(top.Mish), "nan_to_num": nan_to_num, "neg": neg, "negative": neg,
    "prelu": prelu, "_prelu_kernel": prelu, "reciprocal": reciprocal, "relu": _same_type(top.Relu, True), "relu6": relu6, "round": round_,
    "rrelu": rrelu, "rrelu_with_noise_functional": rrelu_with_noise,
    "rsqrt": _plain(top.Rsqrt), "selu": selu, "sigmoid": _plain(top.Sigmoid), "sign": _same_type(top.Sign, True),
    "silu": _plain(top.SiLU), "sin": _plain(top.Sin), "sinh": _plain(top.Sinh), "softmax": softmax(log=False),
    "_softmax": softmax(log=False), "softplus": softplus, "softshrink": softshrink, "special_expm1": expm1, "special_logit": logit,
    "sqrt": _plain(top.Sqrt), "square": square, "tan": _plain(top.Tan), "tanh": _plain(top.Tanh), "threshold": threshold, "trunc": trunc,
    "fix": trunc,
}
