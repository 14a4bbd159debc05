"""Arithmetic of two tensors, or of a tensor and a number, with PyTorch's promotion of types."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Operation, top
from tpumlir_torch.converters.activation import real
from tpumlir_torch.converters.casting import truncated
from tpumlir_torch.dtypes import NARROW, is_float, promoted, scalar_dtype
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Number, Operand, Tensor


def result_dtype(*operands: Operand) -> str:
    """The type that some operands compute in."""
    tensors = [t for t in operands if isinstance(t, Tensor)]
    return promoted(
        [t.dtype for t in tensors if t.rank], [t.dtype for t in tensors if not t.rank],
        [scalar_dtype(v) for v in operands if not isinstance(v, Tensor)],
    )


def refuse_wrapping(im: Importer, dtype: str) -> None:
    """Integers are computed as float32 numbers: what would wrap around in PyTorch cannot be computed."""
    if dtype in NARROW:
        raise im.refusal(f"{dtype} tensors, which wrap around")


def number_of(im: Importer, operand: Operand, other: Operand) -> float | None:
    """The number that an operand is, if it does not add axes to the other one, which is a tensor."""
    if not isinstance(other, Tensor) or im.constant(other) is not None:
        return None if isinstance(operand, Tensor) else float(operand)
    rank = operand.rank if isinstance(operand, Tensor) else 0
    return im.scalar(operand) if rank <= other.rank else None


def combined(
    im: Importer, kind: type[Operation], by_number: type[Operation], left: Operand, right: Operand, dtype: str, suffix: str = ""
) -> Tensor:
    """A commutative operation; one with a number where an operand is one."""
    for operand, other in ((right, left), (left, right)):
        number = number_of(im, operand, other)
        if number is not None and isinstance(other, Tensor):
            if suffix:
                return im.step(suffix, by_number, [other], dtype, const_val=number)
            return im.emit(by_number, [other], dtype, const_val=number)
    operands = [im.tensor(left, suffix="left"), im.tensor(right, suffix="right")]
    return im.step(suffix, kind, operands, dtype) if suffix else im.emit(kind, operands, dtype)


def scaled(im: Importer, operand: Operand, factor: Number) -> Operand:
    """An operand times the number ``alpha`` that some operators take."""
    if factor == 1:
        return operand
    return im.step("alpha", top.MulConst, [operand], const_val=float(factor)) if isinstance(operand, Tensor) else operand * factor


def add(im: Importer, self: Operand, other: Operand, alpha: Number = 1) -> Tensor:
    dtype = result_dtype(self, other)
    refuse_wrapping(im, dtype)
    if dtype == "bool":
        return im.emit(top.Max, [im.tensor(self), im.tensor(other)], dtype)
    return combined(im, top.Add, top.AddConst, self, scaled(im, other, alpha), dtype)


def sub(im: Importer, self: Operand, other: Operand, alpha: Number = 1) -> Tensor:
    dtype, right = result_dtype(self, other), scaled(im, other, alpha)
    refuse_wrapping(im, dtype)
    if (number := number_of(im, right, self)) is not None and isinstance(self, Tensor):
        return im.emit(top.AddConst, [self], dtype, const_val=-number)
    if (number := number_of(im, self, right)) is not None and isinstance(right, Tensor):
        return im.emit(top.SubConst, [right], dtype, const_val=number, is_reverse=True)
    return im.emit(top.Sub, [im.tensor(self), im.tensor(right)], dtype)


def rsub(im: Importer, self: Tensor, other: Operand, alpha: Number = 1) -> Tensor:
    return sub(im, other, self, alpha)


def mul(im: Importer, self: Operand, other: Operand) -> Tensor:
    dtype = result_dtype(self, other)
    refuse_wrapping(im, dtype)
    return combined(im, top.Mul, top.MulConst, self, other, dtype)


def div(im: Importer, self: Operand, other: Operand, rounding_mode: str | None = None) -> Tensor:
    dtype = result_dtype(self, other)
    if rounding_mode is None:
        return _quotient(im, self, other, real(dtype))
    if rounding_mode == "floor":
        return floor_divide(im, self, other)
    if rounding_mode != "trunc":
        raise InputError(f"rounding_mode '{rounding_mode}' is neither floor nor trunc")
    if is_float(dtype):
        return truncated(im, _quotient(im, self, other, dtype), dtype)
    return truncated(im, _integer_quotient(im, self, other, dtype), dtype)


def _quotient(im: Importer, left: Operand, right: Operand, dtype: str) -> Tensor:
    number = number_of(im, right, left)
    if number and isinstance(left, Tensor):
        return im.emit(top.MulConst, [left], dtype, const_val=1 / number)
    number = number_of(im, left, right)
    if number is not None and isinstance(right, Tensor):
        return im.emit(top.Reciprocal, [right], dtype, const_val=number)
    return im.emit(top.Div, [im.tensor(left, suffix="left"), im.tensor(right, suffix="right")], dtype)


def _integer_quotient(im: Importer, left: Operand, right: Operand, dtype: str) -> Tensor:
    """The quotient of integers, half a unit away from zero first: no quotient then is near an integer that it does not reach, and
    so none crosses one where a target's division is off by its last bits."""
    x, y = im.tensor(left, suffix="left"), im.tensor(right, suffix="right")
    half = im.step("half", top.MulConst, [im.step("side", top.Sign, [x])], const_val=0.5)
    return im.step("quotient", top.Div, [im.step("moved", top.Add, [x, half]), y], dtype)


def floor_divide(im: Importer, self: Operand, other: Operand) -> Tensor:
    """Rounded down; integers half a unit up first, as divisors of either sign allow."""
    dtype = result_dtype(self, other)
    if is_float(dtype):
        return im.emit(top.Floor, [_quotient(im, self, other, dtype)])
    x, y = im.tensor(self, suffix="left"), im.tensor(other, suffix="right")
    remainder = im.step("remainder", top.Remainder, [x, y], dtype)
    exact = im.step("exact", top.Sub, [x, remainder], dtype)
    return im.emit(top.Round, [im.step("quotient", top.Div, [exact, y], dtype)])


def remainder(im: Importer, self: Operand, other: Operand) -> Tensor:
    """The remainder with the sign of the divisor."""
    operands = [im.tensor(self, suffix="left"), im.tensor(other, suffix="right")]
    return im.emit(top.Remainder, operands, result_dtype(self, other))


def fmod(im: Importer, self: Operand, other: Operand) -> Tensor:
    """The remainder with the sign of the dividend: sign(x) (|x| mod |y|)."""
    dtype = result_dtype(self, other)
    x, y = im.tensor(self, suffix="left"), im.tensor(other, suffix="right")
    rest = im.step("rest", top.Remainder, [im.step("abs", top.Abs, [x]), im.step("size", top.Abs, [y])], dtype)
    return im.emit(top.Mul, [im.step("sign", top.Sign, [x]), rest], dtype)


def pow_(im: Importer, self: Operand, exponent: Operand) -> Tensor:
    dtype = result_dtype(self, exponent)
    refuse_wrapping(im, dtype)
    number = number_of(im, exponent, self)
    if number is not None and isinstance(self, Tensor):
        return _power(im, self, number, dtype)
    number = number_of(im, self, exponent)
    if number is not None and isinstance(exponent, Tensor):
        return im.emit(top.Pow2, [exponent], dtype, const_val=number)
    return im.emit(top.Pow3, [im.tensor(self, suffix="left"), im.tensor(exponent, suffix="right")], dtype)


def _power(im: Importer, x: Tensor, exponent: float, dtype: str) -> Tensor:
    match exponent:
        case 1.0:
            return Tensor(x.value, dtype)
        case 2.0:
            return im.emit(top.Mul, [x, x], dtype)
        case 3.0:
            return im.emit(top.Mul, [im.step("square", top.Mul, [x, x], dtype), x], dtype)
        case 0.5:
            return im.emit(top.Sqrt, [x], dtype)
        case -0.5:
            return im.emit(top.Rsqrt, [x], dtype)
        case -1.0:
            return im.emit(top.Reciprocal, [x], dtype, const_val=1.0)
        case _:
            return im.emit(top.Pow, [x], dtype, exponent=exponent)


def _extreme(kind: type[Operation], by_number: type[Operation]) -> Converter:
    def convert(im: Importer, self: Operand, other: Operand) -> Tensor:
        return combined(im, kind, by_number, self, other, result_dtype(self, other))

    return convert


maximum, minimum = _extreme(top.Max, top.MaxConst), _extreme(top.Min, top.MinConst)


def addcmul(im: Importer, self: Tensor, tensor1: Tensor, tensor2: Tensor, value: Number = 1) -> Tensor:
    dtype = result_dtype(self, tensor1, tensor2)
    product = im.step("product", top.Mul, [tensor1, tensor2], dtype)
    return im.emit(top.Add, [self, im.tensor(scaled(im, product, value))], dtype)


def addcdiv(im: Importer, self: Tensor, tensor1: Tensor, tensor2: Tensor, value: Number = 1) -> Tensor:
    dtype = real(result_dtype(self, tensor1, tensor2))
    quotient = im.step("quotient", top.Div, [tensor1, tensor2], dtype)
    return im.emit(top.Add, [self, im.tensor(scaled(im, quotient, value))], dtype)


def lerp(im: Importer, self: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """x + w (end - x)."""
    way = im.step("way", top.Sub, [end, self])
    return im.emit(top.Add, [self, combined(im, top.Mul, top.MulConst, way, weight, self.dtype, "part")])


def atan2(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    """sign(y) acos(x / |(x, y)|), with the sign of 0 as 1."""
    dtype = real(result_dtype(self, other))
    squares = [im.step(f"square{i}", top.Mul, [t, t], dtype) for i, t in enumerate((self, other))]
    inverse = im.step("rsqrt", top.Rsqrt, [im.step("sum", top.Add, squares)])
    angle = im.step("angle", top.Arccos, [im.step("cosine", top.Mul, [inverse, other])])
    below = im.step("below", top.CompareConst, [self], mode="Less", const_val=0.0, inversed=False)
    side = im.step("side", top.AddConst, [im.step("twice", top.MulConst, [below], dtype, const_val=-2.0)], const_val=1.0)
    return im.emit(top.Mul, [side, angle])


def logaddexp(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    """max + softplus(-|x - y|)."""
    gap = im.step("gap", top.Abs, [im.step("difference", top.Sub, [self, other])])
    soft = im.step("soft", top.Softplus, [im.step("below", top.MulConst, [gap], const_val=-1.0)])
    return im.emit(top.Add, [im.step("peak", top.Max, [self, other]), soft])


def xlogy(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    """x log(y), 0 where x is 0."""
    product = im.step("product", top.Mul, [self, im.step("log", top.Log, [other])])
    zero = im.step("zero", top.CompareConst, [self], mode="Equal", const_val=0.0, inversed=False)
    return im.emit(top.Where, [zero, None, product], self.dtype, x_is_const=True, x_const_val=0.0)


def hypot(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    squares = [im.step(f"square{i}", top.Mul, [t, t]) for i, t in enumerate((self, other))]
    return im.emit(top.Sqrt, [im.step("sum", top.Add, squares)])


def mse_loss(im: Importer, self: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Squared differences; ``reduction`` 0 leaves them, 1 takes the mean, 2 the sum."""
    gap = im.step("gap", top.Sub, [self, target])
    squares = im.emit(top.Mul, [gap, gap])
    if not reduction:
        return squares
    axes = tuple(range(squares.rank))
    return im.emit(top.Reduce, [squares], axes=axes, keepdims=False, mode="ReduceMean" if reduction == 1 else "ReduceSum")


CONVERTERS: Mapping[str, Converter] = {
    "add": add, "addcdiv": addcdiv, "addcmul": addcmul, "arctan2": atan2, "atan2": atan2, "div": div, "divide": div, "true_divide": div,
    "floor_divide": floor_divide, "fmax": maximum, "fmin": minimum, "fmod": fmod, "hypot": hypot, "lerp": lerp, "logaddexp": logaddexp,
    "maximum": maximum, "minimum": minimum, "mse_loss": mse_loss, "mul": mul, "multiply": mul, "pow": pow_, "float_power": pow_,
    "remainder": remainder, "rsub": rsub, "sub": sub, "subtract": sub, "xlogy": xlogy,
}
