"""Single operations with random shapes and attributes: what the shape sweep draws from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.ir import Array

Shape = tuple[int, ...]
EXTENTS = (1, 1, 2, 3, 4, 5, 7, 9, 16, 17, 31, 33, 63, 64, 65, 70, 100, 127, 128, 130, 200, 257, 300, 512, 1000, 1025)
SMALL, LARGE = 20_000, 6_000_000
"""Elements of a tensor: what the emulator does at once, and what no local memory holds."""
FIELD = 65_535
"""The largest number that a size field of a command takes."""
PRODUCTS = 40_000_000
"""Multiplications of a convolution or matrix product that the emulator does in a second or two."""


@dataclass(frozen=True)
class Operand:
    """A random operand: uniform from ``low`` to ``high``, whole numbers if so wanted; a weight or an input."""

    shape: Shape
    weight: bool = False
    low: float = -3.0
    high: float = 3.0
    whole: bool = False

    def draw(self, random: np.random.Generator) -> Array:
        """Its values."""
        if self.whole:
            return random.integers(int(self.low), int(self.high) + 1, self.shape).astype(np.float32)
        return random.uniform(self.low, self.high, self.shape).astype(np.float32)


@dataclass(frozen=True)
class Call:
    """One operation: opcode without dialect, operands (None: absent), attributes, and the seed of the operands' values."""

    opcode: str
    operands: tuple[Operand | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


Drawn = tuple[Sequence[Operand | None], dict[str, Any]]


class Draw:
    """Random choices; ``budget``: elements that a tensor may have."""

    def __init__(self, seed: int, budget: int) -> None:
        self.random = np.random.default_rng(seed)
        self.budget = budget

    def integer(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included."""
        return int(self.random.integers(low, high + 1))

    def pick(self, values: Sequence[Any]) -> Any:
        """One of some values."""
        return values[self.integer(0, len(values) - 1)]

    def coin(self) -> bool:
        return bool(self.integer(0, 1))

    def shape(self, least: int = 1, most: int = 5, budget: int | None = None) -> Shape:
        """Of ``least`` to ``most`` axes, within the budget."""
        limit = budget or self.budget
        if limit > FIELD and self.integer(0, 2) == 0:
            return self._long(least, most, limit)
        shape = [self.pick(EXTENTS) for _ in range(self.integer(least, most))]
        if limit > SMALL and shape:
            shape[self.integer(0, len(shape) - 1)] *= self.pick((1, 8, 64, 500))
        while math.prod(shape) > limit:
            at = int(np.argmax(shape))
            shape[at] = max(1, shape[at] // self.integer(2, 5))
        return tuple(shape)

    def _long(self, least: int, most: int, limit: int) -> Shape:
        """One extent beyond what size fields take, the others small."""
        shape = [self.pick((1, 2, 3, 5)) for _ in range(max(1, self.integer(least, min(most, 4))))]
        at = self.integer(0, len(shape) - 1)
        shape[at] = self.pick((FIELD, FIELD + 1, 70_000, 100_003))
        if math.prod(shape) > limit:
            shape = [extent if i == at else 1 for i, extent in enumerate(shape)]
        return tuple(shape)

    def image(self, channels: int | None = None) -> Shape:
        """[n, c, h, w] with rather more than one row and column."""
        n, c, h, w = self.shape(4, 4)
        shape = [n, channels or c, max(h, self.integer(1, 12)), max(w, self.integer(1, 12))]
        while math.prod(shape) > self.budget:
            at = int(np.argmax(shape))
            if at == 1 and channels:
                shape[0] = 1
                at = 2 if shape[2] >= shape[3] else 3
            shape[at] = max(1, shape[at] // 2)
        return (shape[0], shape[1], shape[2], shape[3])

    def broadcast(self, shape: Shape) -> Shape:
        """A shape that broadcasts to another: some axes 1, outer ones left out."""
        found = [1 if self.integer(0, 2) == 0 else extent for extent in shape]
        return tuple(found[self.integer(0, len(found)) if self.coin() else 0 :])


def _unary(low: float = -3.0, high: float = 3.0, **attributes: Callable[[Draw], Any]) -> Callable[[Draw], Drawn]:
    return lambda d: ([Operand(d.shape(), low=low, high=high)], {name: draw(d) for name, draw in attributes.items()})


def _number(d: Draw) -> float:
    return float(np.float32(d.random.uniform(0.2, 2.0)))


def _binary(low: float = -3.0, high: float = 3.0, whole: bool = False, **attributes: Callable[[Draw], Any]) -> Callable[[Draw], Drawn]:
    def draw(d: Draw) -> Drawn:
        shape = d.shape()
        a = Operand(shape, low=-3.0 if low > 0 else low, high=high, whole=whole)
        b = Operand(shape if d.coin() else d.broadcast(shape), weight=d.coin(), low=low, high=high, whole=whole)
        swapped = low <= 0 and len(b.shape) == len(shape) and d.coin()
        return [b, a] if swapped and not b.weight else [a, b], {name: value(d) for name, value in attributes.items()}

    return draw


def _axis(shape: Shape, d: Draw) -> int:
    return d.integer(0, len(shape) - 1)


def _convolution(d: Draw) -> Drawn:
    group = d.pick((1, 1, 1, 2, 5, 0))  # 0: depthwise
    c = d.pick((1, 3, 16, 30, 64, 65, 130)) if group < 2 else group * d.pick((1, 3, 16, 40))
    outer = c if group == 0 else d.pick((1, 5, 64, 70, 200)) * max(group, 1)
    group = group or c
    kernel = (d.pick((1, 1, 2, 3, 5, 7)), d.pick((1, 1, 2, 3, 5, 7)))
    dilations = (d.pick((1, 1, 2)), d.pick((1, 1, 3)))
    strides = (d.pick((1, 1, 2, 3)), d.pick((1, 1, 2, 4)))
    n, c, h, w = d.image(c)
    h, w = (max(size, (k - 1) * step + 1) for size, k, step in zip((h, w), kernel, dilations, strict=True))
    pads = tuple(d.integer(0, k - 1) for k in (*kernel, *kernel))
    while n * outer * c // group * h * w * math.prod(kernel) // math.prod(strides) > PRODUCTS and (n > 1 or h > 20 or w > 20):
        n, h, w = (n - 1 if n > 1 else 1), (h // 2 if h > 20 else h), (w // 2 if w > 20 else w)
    bias = Operand((outer,), weight=True) if d.coin() else None
    attributes = {
        "kernel_shape": kernel, "strides": strides, "pads": pads, "group": group, "dilations": dilations, "do_relu": d.coin(),
    }
    return [Operand((n, c, h, w)), Operand((outer, c // group, *kernel), weight=True), bias], attributes


def _deconvolution(d: Draw) -> Drawn:
    group = d.pick((1, 1, 3))
    inner, outer = group * d.pick((1, 3, 16, 40)), group * d.pick((1, 5, 22, 66))
    kernel, strides = (d.integer(1, 4), d.integer(1, 4)), (d.integer(1, 3), d.integer(1, 3))
    pads = tuple(d.integer(0, (k - 1) // 2) for k in (*kernel, *kernel))
    shape = (d.integer(1, 2), inner, d.integer(2, 20), d.integer(2, 20))
    bias = Operand((outer,), weight=True) if d.coin() else None
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "group": group, "do_relu": d.coin()}
    return [Operand(shape), Operand((outer // group, inner, *kernel), weight=True), bias], attributes


def _pool(d: Draw) -> Drawn:
    n, c, h, w = d.image()
    kernel = (min(d.pick((1, 2, 3, 5, 7, h)), h), min(d.pick((1, 2, 3, 5, 7, w)), w))
    pads = tuple(d.integer(0, k // 2) for k in (*kernel, *kernel))
    strides = (d.pick((1, 2, 3)), d.pick((1, 2, 3)))
    return [Operand((n, c, h, w))], {"kernel_shape": kernel, "strides": strides, "pads": pads, "do_relu": d.coin()}


def _average(d: Draw) -> Drawn:
    operands, attributes = _pool(d)
    return operands, attributes | {"count_include_pad": d.coin()}


def _product(d: Draw) -> Drawn:
    batch = d.shape(0, 2, 12)
    m, k, n = (d.pick(EXTENTS) * (8 if d.budget > SMALL and d.integer(0, 3) == 0 else 1) for _ in range(3))
    while math.prod(batch) * m * k * n > PRODUCTS:
        m, k, n = max(1, m // 2), max(1, k // 2), max(1, n // 2)
    weight, turned = d.coin(), d.coin()
    inner = (n, k) if turned else (k, n)
    right = Operand(inner if weight else (*batch, *inner), weight=weight)
    bias = Operand((n,), weight=True) if d.coin() else None
    return [Operand((*batch, m, k)), right, bias], {"right_transpose": turned, "do_relu": d.coin()}


def _reduce(d: Draw) -> Drawn:
    shape = d.shape()
    axes = sorted({_axis(shape, d) for _ in range(d.integer(1, 3))})
    mode = d.pick(("ReduceMin", "ReduceMax", "ReduceMean", "ReduceL2", "ReduceL1", "ReduceSum", "ReduceProd"))
    near = mode == "ReduceProd"
    return [Operand(shape, low=0.9 if near else -3, high=1.1 if near else 3)], {"axes": tuple(axes), "keepdims": d.coin(), "mode": mode}


def _with_axis(**attributes: Callable[[Draw], Any]) -> Callable[[Draw], Drawn]:
    def draw(d: Draw) -> Drawn:
        shape = d.shape()
        return [Operand(shape)], {"axis": _axis(shape, d)} | {name: value(d) for name, value in attributes.items()}

    return draw


def _concat(d: Draw) -> Drawn:
    shape = d.shape()
    axis = _axis(shape, d)
    shapes = [(*shape[:axis], d.integer(1, shape[axis]), *shape[axis + 1 :]) for _ in range(d.integer(2, 4))]
    return [Operand(part, weight=i == 1 and d.coin()) for i, part in enumerate(shapes)], {"axis": axis}


def _slice(d: Draw) -> Drawn:
    shape = d.shape()
    offset = [d.integer(0, extent - 1) for extent in shape]
    ends = [d.integer(o + 1, extent) for o, extent in zip(offset, shape, strict=True)]
    return [Operand(shape)], {"offset": tuple(offset), "steps": tuple(d.pick((1, 1, 1, 2, 3)) for _ in shape), "ends": tuple(ends)}


def _pad(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    mode = d.pick(("constant", "constant", "reflect", "edge"))
    most = [min(3, extent - 1) if mode == "reflect" else 3 for extent in shape]
    return [Operand(shape)], {"paddings": tuple(d.integer(0, m) for m in most * 2), "mode": mode, "val": _number(d)}


def _permute(d: Draw) -> Drawn:
    shape = d.shape(2, 5)
    return [Operand(shape)], {"order": tuple(int(i) for i in d.random.permutation(len(shape)))}


def _tile(d: Draw) -> Drawn:
    shape = d.shape(1, 4, d.budget // 8)
    return [Operand(shape), None], {"tile": tuple(d.pick((1, 1, 2, 3)) for _ in shape)}


def _expand(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    return [Operand(d.broadcast(shape)), None], {"shape": shape}


def _gather(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    axis = _axis(shape, d)
    return [Operand(shape), Operand(d.shape(0, 2, 12), weight=True, low=0, high=shape[axis] - 1, whole=True)], {"axis": axis}


def _interp(d: Draw) -> Drawn:
    n, c, h, w = d.image()
    scales = {"scale_h": float(d.pick((0.5, 1, 2, 2.5, 3))), "scale_w": float(d.pick((0.5, 1, 2, 1.5, 4)))}
    coordinates = d.pick(("align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric"))
    return [Operand((n, c, max(2, h), max(2, w))), None], {"mode": d.pick(("nearest", "linear")), "coord_mode": coordinates, **scales}


def _where(d: Draw) -> Drawn:
    shape = d.shape()
    cond = Operand(shape if d.coin() else d.broadcast(shape), low=0, high=1, whole=True)
    return [cond, Operand(shape), Operand(shape if d.coin() else d.broadcast(shape))], {}


def _layer_norm(d: Draw) -> Drawn:
    shape = d.shape(2, 4)
    axis = d.integer(max(1, len(shape) - 2), len(shape) - 1)
    inner = shape[axis:]
    affine = [Operand(inner, weight=True) if d.coin() else None for _ in range(2)]
    return [Operand(shape), *affine], {"normalized_shape": inner, "axis": axis, "eps": 1e-5}


def _channel_norm(d: Draw) -> Drawn:
    shape = d.image()
    return [Operand(shape), *(Operand((1, shape[1], 1, 1), weight=True) for _ in range(2))], {"eps": 1e-5}


def _group_norm(d: Draw) -> Drawn:
    groups = d.pick((1, 2, 3, 8))
    shape = d.image(groups * d.pick((1, 2, 10, 24)))
    return [Operand(shape), *(Operand((1, shape[1], 1, 1), weight=True) for _ in range(2))], {"num_groups": groups, "eps": 1e-5}


def _batch_norm(d: Draw) -> Drawn:
    shape = d.image()
    c = (shape[1],)
    return [Operand(shape), Operand(c, True), Operand(c, True, 0.5, 2.0), Operand(c, True), Operand(c, True)], {"do_relu": d.coin()}


def _scale(d: Draw) -> Drawn:
    shape = d.image()
    return [Operand(shape), *(Operand((1, shape[1], 1, 1), weight=True) for _ in range(2))], {"do_relu": d.coin()}


def _slope(d: Draw) -> Drawn:
    shape = d.image()
    return [Operand(shape), Operand((1, shape[1], 1, 1), weight=True)], {}


def _rms_norm(d: Draw) -> Drawn:
    shape = d.shape(2, 4)
    return [Operand(shape), Operand(shape[-1:], weight=True)], {"eps": 1e-5}


def _relu_too(d: Draw) -> bool:
    return d.coin()


DRAWERS: Mapping[str, Callable[[Draw], Drawn]] = {
    **dict.fromkeys(
        ("Abs", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "GELU", "HardSwish", "Mish", "Round", "SiLU", "Sigmoid", "Sign", "Sin",
         "Sinh", "Softplus", "Softsign", "Tanh", "Relu"), _unary(),
    ),
    **dict.fromkeys(("Log", "Rsqrt", "Sqrt"), _unary(0.01, 50.0)),
    **dict.fromkeys(("Arccos", "Arctanh"), _unary(-0.95, 0.95)),
    "Tan": _unary(-1.3, 1.3),
    "LogB": _unary(0.01, 50.0, base=lambda d: d.pick((2, 10))),
    "Reciprocal": _unary(0.1, 5.0, const_val=_number),
    "Elu": _unary(alpha=_number),
    "LeakyRelu": _unary(alpha=_number),
    "Swish": _unary(beta=_number),
    "HardSigmoid": _unary(alpha=_number, beta=_number),
    "Pow": _unary(0.1, 4.0, exponent=_number),
    "Pow2": _unary(const_val=_number),
    "Clip": _unary(min=lambda d: -_number(d), max=_number),
    "AddConst": _unary(const_val=_number, do_relu=_relu_too),
    "SubConst": _unary(const_val=_number, is_reverse=_relu_too, do_relu=_relu_too),
    "MulConst": _unary(const_val=_number, do_relu=_relu_too),
    "DivConst": _unary(0.1, 5.0, const_val=_number, is_reverse=_relu_too, do_relu=_relu_too),
    "MaxConst": _unary(const_val=_number),
    "MinConst": _unary(const_val=_number),
    "CompareConst": _unary(
        const_val=_number, inversed=_relu_too,
        mode=lambda d: d.pick(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NotEqual")),
    ),
    **dict.fromkeys(("Add", "Sub", "Mul"), _binary(do_relu=_relu_too)),
    **dict.fromkeys(("Max", "Min"), _binary()),
    "Div": _binary(0.3, 4.0, do_relu=_relu_too),
    **dict.fromkeys(("Mod", "Remainder"), _binary(1, 9, whole=True)),
    "Pow3": _binary(1, 4, whole=True),
    "LogicalAnd": _binary(0, 1, whole=True),
    "Compare": _binary(-2, 2, whole=True, mode=lambda d: d.pick(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NotEqual"))),
    "Where": _where, "PRelu": _slope, "Scale": _scale, "BatchNorm": _batch_norm,
    "Conv": _convolution, "Deconv": _deconvolution, "MaxPool": _pool, "AvgPool": _average, "MatMul": _product,
    "Reduce": _reduce, "Arg": _with_axis(keepdims=_relu_too, mode=lambda d: d.pick(("ArgMin", "ArgMax"))),
    "Softmax": _with_axis(log=_relu_too),
    "Reverse": _with_axis(), "Concat": _concat, "Slice": _slice, "Pad": _pad, "Permute": _permute, "Tile": _tile, "Expand": _expand,
    "Gather": _gather, "Interp": _interp,
    "Upsample": lambda d: ([Operand(d.image())], {"scale_h": d.integer(1, 3), "scale_w": d.integer(1, 3)}),
    "LayerNorm": _layer_norm, "InstanceNorm": _channel_norm, "PixelNorm": _channel_norm, "GroupNorm": _group_norm, "RMSNorm": _rms_norm,
    "LRN": lambda d: ([Operand(d.image())], {"size": d.pick((1, 3, 5)), "alpha": _number(d), "beta": 0.75, "bias": 1.0}),
}
"""What each operation of the sweep takes."""


def draw_call(opcode: str, seed: int, large: bool) -> Call:
    """A call of an operation, the same for the same seed."""
    operands, attributes = DRAWERS[opcode](Draw(seed, LARGE if large else SMALL))
    return Call(opcode, tuple(operands), attributes, seed)
