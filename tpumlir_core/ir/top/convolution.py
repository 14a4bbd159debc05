"""Top dialect: convolution."""

from __future__ import annotations

from tpumlir_core.ir.attributes import F64, I64, AutoPadMode, Flag, I64s, RoundMode, Str
from tpumlir_core.ir.operation import Operation, op


@op("top.Conv", "input,filter,bias?")
class Conv(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    group: I64 = 1
    dilations: I64s | None = None
    inserts: I64s | None = None
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    dynweight_reorderd: Flag = False
    weight_is_coeff: I64 = 1
    do_winograd: Flag | None = None
    auto_pad: AutoPadMode | None = None
    in_int4_scale: F64 | None = None
    in_int4_zp: F64 | None = None
    out_int8_scale: F64 | None = None
    out_int8_zp: F64 | None = None
    weight_bits: I64 | None = None


@op("top.Deconv", "input,filter,bias?")
class Deconv(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    group: I64 = 1
    dilations: I64s | None = None
    output_padding: I64s | None = None
    dynweight_reorderd: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0


@op("top.MatMul", "input,right,bias?")
class MatMul(Operation):
    """TODO."""

    right_transpose: Flag = False
    left_transpose: Flag = False
    output_transpose: Flag = False
    hdim_is_batch: Flag = False
    keep_dims: Flag = True
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    is_lora: Flag = False
    weight_bits: I64 | None = None
    in_int4_scale: F64 | None = None
    in_int4_zp: F64 | None = None
    out_int8_scale: F64 | None = None
    out_int8_zp: F64 | None = None
    dq_type: Str = "NONE"
    q_group_size: I64 = 0


@op("top.MaxPool")
class MaxPool(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None = None
    auto_pad: AutoPadMode | None = None
    is_adaptive: Flag = False
    keepdims: Flag = True
    pad_value: I64 = 0
    count_include_pad: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    first_round_mode: RoundMode = "HalfAwayFromZero"


@op("top.AvgPool")
class AvgPool(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None = None
    auto_pad: AutoPadMode | None = None
    is_adaptive: Flag = False
    keepdims: Flag = True
    pad_value: I64 = 0
    count_include_pad: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    first_round_mode: RoundMode = "HalfAwayFromZero"


@op("top.DeformConv2D", "input,filter,offset,mask?,bias?")
class DeformConv2D(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    group: I64 = 1
    deform_group: I64 = 1
    use_mask: Flag = False
    dilations: I64s | None = None
    do_relu: Flag = False
    relu_limit: F64 = -1.0


@op("top.MaxPoolWithMask", "input", "output,mask")
class MaxPoolWithMask(Operation):
    """TODO."""

    kernel_shape: I64s
    strides: I64s
    pads: I64s
    ceil_mode: Flag | None = None
    auto_pad: AutoPadMode | None = None
    is_adaptive: Flag = False
    keepdims: Flag = True
    pad_value: I64 = 0
    count_include_pad: Flag = False
    do_relu: Flag = False
    relu_limit: F64 = -1.0
    round_mode: RoundMode = "HalfAwayFromZero"
    first_round_mode: RoundMode = "HalfAwayFromZero"


@op("top.MaxUnpool", "input,mask")
class MaxUnpool(Operation):
    """TODO."""

    scale_h: I64
    scale_w: I64


@op("top.AdaptiveAvgPool")
class AdaptiveAvgPool(Operation):
    """TODO."""

    output_size: I64s
