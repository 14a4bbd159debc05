"""Top dialect: gather."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I32, I64, SI32, Flag, InterpCoordMode, InterpMode, Str
from tpumlir_core.ir.operation import Operation, op


@op("top.Gather", "input,indices")
class Gather(Operation):
    """TODO."""

    keepdims: Flag = True
    axis: SI32 = 0
    is_scalar: Flag = False
    is_lora: Flag = False


@op("top.GatherElements", "input,indices")
class GatherElements(Operation):
    """TODO."""

    axis: I64 = 2


@op("top.GatherND", "input,indices")
class GatherND(Operation):
    """TODO."""

    indice_dims: I64 | None = None
    batch_dims: I64 = 0


@op("top.ScatterElements", "input,indices,updates")
class ScatterElements(Operation):
    """TODO."""

    axis: I64
    reduction: I64 = 0
    nc_can_split: Flag = False


@op("top.ScatterND", "input_data,indices,updates")
class ScatterND(Operation):
    """TODO."""

    reduction: I32 = 0


@op("top.NonZero")
class NonZero(Operation):
    """TODO."""

    order: Str


@op("top.Interp", "input,target_shape?")
class Interp(Operation):
    """TODO."""

    mode: InterpMode
    coord_mode: InterpCoordMode
    scale_h: F64 = -1.0
    scale_w: F64 = -1.0


@op("top.Upsample")
class Upsample(Operation):
    """TODO."""

    scale_h: I64
    scale_w: I64
    do_relu: Flag = False
    relu_limit: F64 = -1.0


@op("top.GridSampler", "input,grid")
class GridSampler(Operation):
    """TODO."""

    mode: I64
    padding_mode: I64
    align_corners: Flag


@op("top.Shape")
class Shape(Operation):
    """TODO."""

    start: I64 | None = None
    end: I64 | None = None
    step: I64 | None = None


@op("top.Size")
class Size(Operation):
    """TODO."""

    axis: SI32 | None = None


@op("top.ConstantFill")
class ConstantFill(Operation):
    """TODO."""

    value: F64


@op("top.Range", "start?,limit,delta?")
class Range(Operation):
    """TODO."""


@op("top.Arange", "start?,end,step?")
class Arange(Operation):
    """TODO."""
