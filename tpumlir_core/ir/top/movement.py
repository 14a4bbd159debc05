"""Top dialect: movement."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I64, SI32, Flag, I64s, PaddingMode, RoundMode
from tpumlir_core.ir.operation import Operation, op


@op("top.Concat", "inputs*")
class Concat(Operation):
    """TODO."""

    axis: SI32 = 1
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    only_merge: Flag = False
    round_mode: RoundMode = "HalfAwayFromZero"


@op("top.Split", "input", "outputs*")
class Split(Operation):
    """TODO."""

    axis: SI32
    num: I64
    split_size: I64s | None = None


@op("top.Slice", "input,offsetT?,endsT?,stepsT?")
class Slice(Operation):
    """TODO."""

    offset: I64s
    steps: I64s
    ends: I64s
    axes: I64s = ()
    hasparamConvert_axes: I64s = ()


@op("top.StridedSlice", "input,starts,ends,strides")
class StridedSlice(Operation):
    """TODO."""

    begin_mask: I64
    end_mask: I64
    ellipsis_mask: I64
    new_axis_mask: I64
    shrink_axis_mask: I64


@op("top.Reshape", "input,shapeT?")
class Reshape(Operation):
    """TODO."""

    shape: I64s | None = None
    flatten_start_dim: I64 = -1


@op("top.Flatten")
class Flatten(Operation):
    """TODO."""

    start_dim: I64 = 0
    end_dim: I64 = -1


@op("top.Squeeze")
class Squeeze(Operation):
    """TODO."""

    axes: I64s
    is_scalar: Flag = False


@op("top.Unsqueeze")
class Unsqueeze(Operation):
    """TODO."""

    axes: I64s


@op("top.Permute")
class Permute(Operation):
    """TODO."""

    order: I64s


@op("top.Transpose")
class Transpose(Operation):
    """TODO."""

    dim0: SI32
    dim1: SI32


@op("top.Expand", "input,shapeT?")
class Expand(Operation):
    """TODO."""

    shape: I64s = ()


@op("top.Tile", "input,tileT?")
class Tile(Operation):
    """TODO."""

    tile: I64s | None = None


@op("top.Repeat", "input,repeats")
class Repeat(Operation):
    """TODO."""


@op("top.Pad", "input,paddingsT?")
class Pad(Operation):
    """TODO."""

    paddings: I64s
    val: F64 = 0.0
    mode: PaddingMode


@op("top.Depth2Space")
class Depth2Space(Operation):
    """TODO."""

    block_h: I64
    block_w: I64
    is_CRD: Flag
    is_inversed: Flag
    in_is_NCHW: Flag = True
    out_is_NCHW: Flag = True
    swap_cr: Flag = False


@op("top.ShuffleChannel")
class ShuffleChannel(Operation):
    """TODO."""

    group: I64


@op("top.SwapChannel")
class SwapChannel(Operation):
    """TODO."""

    channel_order: I64s


@op("top.SwapDimInner")
class SwapDimInner(Operation):
    """TODO."""

    offset: I64s


@op("top.Reverse")
class Reverse(Operation):
    """TODO."""

    axis: I64


@op("top.Pack", "inputs*")
class Pack(Operation):
    """TODO."""

    axis: SI32
    values_count: I64


@op("top.Unpack", "input", "outputs*")
class Unpack(Operation):
    """TODO."""

    axis: SI32


@op("top.Trilu")
class Trilu(Operation):
    """TODO."""

    upper: SI32
    diagonal: SI32


@op("top.View", "input,shape")
class View(Operation):
    """TODO."""
