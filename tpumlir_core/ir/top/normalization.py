"""Top dialect: normalization."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I64, SI32, Flag, I64s, RoundMode
from tpumlir_core.ir.operation import Operation, op


@op("top.Softmax")
class Softmax(Operation):
    """TODO."""

    axis: SI32
    log: Flag = False
    beta: F64 = 1.0
    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.LayerNorm", "input,weight?,bias?")
class LayerNorm(Operation):
    """TODO."""

    normalized_shape: I64s
    axis: SI32
    eps: F64


@op("top.InstanceNorm", "input,weight?,bias?")
class InstanceNorm(Operation):
    """TODO."""

    eps: F64


@op("top.GroupNorm", "input,weight?,bias?")
class GroupNorm(Operation):
    """TODO."""

    num_groups: I64
    eps: F64


@op("top.PixelNorm", "input,weight?,bias?")
class PixelNorm(Operation):
    """TODO."""

    eps: F64


@op("top.RMSNorm", "input,gamma?")
class RMSNorm(Operation):
    """TODO."""

    eps: F64
    weight_keep_f32: Flag = False


@op("top.LRN")
class LRN(Operation):
    """TODO."""

    size: I64
    alpha: F64 = 0.0001
    beta: F64 = 0.75
    bias: F64 = 1.0


@op("top.Normalize", "input,scale")
class Normalize(Operation):
    """TODO."""

    across_spatial: Flag = False
    channel_shared: Flag = True
