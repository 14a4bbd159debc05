"""Top dialect: elementwise."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, CompareMode, F64s, Flag, I64s, RoundMode, Str
from tpumlir_core.ir.operation import Operation, op


@op("top.Add", "inputs*")
class Add(Operation):
    """TODO."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0
    coeff: F64s | None = None
    is_scalar: Flag = False


@op("top.AddConst")
class AddConst(Operation):
    """TODO."""

    const_val: F64
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.Sub", "inputs*")
class Sub(Operation):
    """TODO."""

    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    coeff: F64s | None = None
    is_scalar: Flag = False


@op("top.SubConst")
class SubConst(Operation):
    """TODO."""

    const_val: F64
    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.Mul", "inputs*")
class Mul(Operation):
    """TODO."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.MulConst")
class MulConst(Operation):
    """TODO."""

    const_val: F64
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.Div", "inputs*")
class Div(Operation):
    """TODO."""

    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.DivConst")
class DivConst(Operation):
    """TODO."""

    const_val: F64
    is_reverse: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_scalar: Flag = False


@op("top.Max", "inputs*")
class Max(Operation):
    """TODO."""


@op("top.MaxConst")
class MaxConst(Operation):
    """TODO."""

    const_val: F64
    is_scalar: Flag = False


@op("top.Min", "inputs*")
class Min(Operation):
    """TODO."""


@op("top.MinConst")
class MinConst(Operation):
    """TODO."""

    const_val: F64
    is_scalar: Flag = False


@op("top.Pow")
class Pow(Operation):
    """TODO."""

    exponent: F64


@op("top.Pow2")
class Pow2(Operation):
    """TODO."""

    const_val: F64


@op("top.Pow3", "inputs*")
class Pow3(Operation):
    """TODO."""


@op("top.Reciprocal")
class Reciprocal(Operation):
    """TODO."""

    const_val: F64 = 1.0
    do_relu: Flag = False
    relu_limit: F64 = -1.0


@op("top.Mod", "inputs*")
class Mod(Operation):
    """TODO."""


@op("top.Remainder", "inputs*")
class Remainder(Operation):
    """TODO."""


@op("top.Compare", "lhs,rhs")
class Compare(Operation):
    """TODO."""

    mode: CompareMode


@op("top.CompareConst")
class CompareConst(Operation):
    """TODO."""

    mode: CompareMode
    const_val: F64
    inversed: Flag
    is_scalar: Flag = False


@op("top.LogicalAnd", "inputs*")
class LogicalAnd(Operation):
    """TODO."""


@op("top.Where", "cond,tbrn?,fbrn?")
class Where(Operation):
    """TODO."""

    x_is_const: Flag = False
    y_is_const: Flag = False
    x_const_val: F64 = 0.0
    y_const_val: F64 = 0.0


@op("top.MaskedFill", "cond,brn")
class MaskedFill(Operation):
    """TODO."""

    inversed: Flag
    const_val: F64


@op("top.Clip", "inputs")
class Clip(Operation):
    """TODO."""

    min: F64
    max: F64


@op("top.Cast")
class Cast(Operation):
    """TODO."""

    round_mode: RoundMode = "HalfAwayFromZero"
    to: Str = ""


@op("top.Copy")
class Copy(Operation):
    """TODO."""

    shape: I64s
    input_stride: I64s
    output_stride: I64s


@op("top.PRelu", "input,slope")
class PRelu(Operation):
    """TODO."""


@op("top.Scale", "input,scale,bias")
class Scale(Operation):
    """TODO."""

    do_relu: Flag = False
    relu_limit: F64 = -1.0


@op("top.BatchNorm", "input,mean,variance,gamma?,beta?")
class BatchNorm(Operation):
    """TODO."""

    epsilon: F64 = 1e-05
    do_relu: Flag = False
    relu_limit: F64 = -1.0
