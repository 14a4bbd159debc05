"""Top dialect: reduction."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I64, ArgMode, Flag, I64s, ReduceMode
from tpumlir_core.ir.operation import Operation, op


@op("top.Reduce")
class Reduce(Operation):
    """TODO."""

    axes: I64s
    keepdims: Flag
    mode: ReduceMode
    is_scalar: Flag = False


@op("top.Arg", "input", "indices,values?")
class Arg(Operation):
    """TODO."""

    axis: I64
    keepdims: Flag
    mode: ArgMode
    select_last_index: Flag = True


@op("top.CumSum", "input,dim?")
class CumSum(Operation):
    """TODO."""

    axis: I64


@op("top.TopK", "input,kT?", "values?,indices?")
class TopK(Operation):
    """TODO."""

    axis: I64
    K: I64 = -1
    largest: Flag = True
    sorted: Flag = True
    replace_topk_indices: Flag = False
    use_hau: Flag = True


@op("top.Variance")
class Variance(Operation):
    """TODO."""

    reduce_list: I64s
    correction: F64
    keep_dims: Flag = False
