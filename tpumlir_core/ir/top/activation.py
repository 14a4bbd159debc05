"""Top dialect: activation."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I64, Flag, GELUMode, RoundMode
from tpumlir_core.ir.operation import Operation, op


@op("top.Relu")
class Relu(Operation):
    """TODO."""

    relu_limit: F64 = -1.0


@op("top.LeakyRelu")
class LeakyRelu(Operation):
    """TODO."""

    alpha: F64
    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.Elu")
class Elu(Operation):
    """TODO."""

    alpha: F64


@op("top.Sigmoid")
class Sigmoid(Operation):
    """TODO."""

    scale: F64 = 1.0
    bias: F64 = 0.0
    log: Flag = False
    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.HardSigmoid")
class HardSigmoid(Operation):
    """TODO."""

    alpha: F64
    beta: F64


@op("top.HardSwish")
class HardSwish(Operation):
    """TODO."""


@op("top.SiLU")
class SiLU(Operation):
    """TODO."""


@op("top.Swish")
class Swish(Operation):
    """TODO."""

    beta: F64
    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.Tanh")
class Tanh(Operation):
    """TODO."""

    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.Softplus")
class Softplus(Operation):
    """TODO."""


@op("top.Softsign")
class Softsign(Operation):
    """TODO."""


@op("top.Mish")
class Mish(Operation):
    """TODO."""


@op("top.GELU")
class GELU(Operation):
    """TODO."""

    round_mode: RoundMode = "HalfAwayFromZero"
    approx_mode: GELUMode = "normal"


@op("top.Abs")
class Abs(Operation):
    """TODO."""


@op("top.Sqrt")
class Sqrt(Operation):
    """TODO."""


@op("top.Rsqrt")
class Rsqrt(Operation):
    """TODO."""


@op("top.Exp")
class Exp(Operation):
    """TODO."""


@op("top.Log")
class Log(Operation):
    """TODO."""


@op("top.LogB")
class LogB(Operation):
    """TODO."""

    base: I64


@op("top.Floor")
class Floor(Operation):
    """TODO."""

    is_scalar: Flag = False


@op("top.Ceil")
class Ceil(Operation):
    """TODO."""


@op("top.Round")
class Round(Operation):
    """TODO."""


@op("top.Erf")
class Erf(Operation):
    """TODO."""


@op("top.Sin")
class Sin(Operation):
    """TODO."""


@op("top.Cos")
class Cos(Operation):
    """TODO."""


@op("top.Tan")
class Tan(Operation):
    """TODO."""


@op("top.Sinh")
class Sinh(Operation):
    """TODO."""


@op("top.Cosh")
class Cosh(Operation):
    """TODO."""


@op("top.Arccos")
class Arccos(Operation):
    """TODO."""


@op("top.Arctanh")
class Arctanh(Operation):
    """TODO."""


@op("top.Sign")
class Sign(Operation):
    """TODO."""
