"""The Top dialect: framework-neutral float operations, named and typed as TPU-MLIR 1.30.2 does (see its Top dialect)."""

from tpumlir_core.ir.top.activation import (
    GELU,
    Abs,
    Arccos,
    Arctanh,
    Ceil,
    Cos,
    Cosh,
    Elu,
    Erf,
    Exp,
    Floor,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Log,
    LogB,
    Mish,
    Relu,
    Round,
    Rsqrt,
    Sigmoid,
    Sign,
    SiLU,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Swish,
    Tan,
    Tanh,
)
from tpumlir_core.ir.top.comparison import Compare, CompareConst, LogicalAnd, MaskedFill, Where
from tpumlir_core.ir.top.convolution import Conv, Deconv, MatMul
from tpumlir_core.ir.top.detection import DetectionOutput, PriorBox
from tpumlir_core.ir.top.elementwise import (
    Add,
    AddConst,
    Cast,
    Clip,
    Copy,
    Div,
    DivConst,
    Max,
    MaxConst,
    Min,
    MinConst,
    Mod,
    Mul,
    MulConst,
    Pow,
    Pow2,
    Pow3,
    PRelu,
    Reciprocal,
    Remainder,
    Sub,
    SubConst,
)
from tpumlir_core.ir.top.gather import (
    Arange,
    ConstantFill,
    Gather,
    GatherElements,
    GatherND,
    Range,
    ScatterElements,
    ScatterND,
    Shape,
    Size,
)
from tpumlir_core.ir.top.movement import Concat, Expand, Flatten, Pad, Permute, Reshape, Slice, Split, Squeeze, Tile, Transpose, Unsqueeze
from tpumlir_core.ir.top.normalization import (
    LRN,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Normalize,
    PixelNorm,
    RMSNorm,
    Scale,
    Softmax,
)
from tpumlir_core.ir.top.pooling import AdaptiveAvgPool, AvgPool, MaxPool
from tpumlir_core.ir.top.rearrangement import Depth2Space, Pack, Reverse, ShuffleChannel, SwapChannel, SwapDimInner, Trilu, Unpack
from tpumlir_core.ir.top.reduction import Arg, CumSum, Reduce, TopK, Variance
from tpumlir_core.ir.top.resize import GridSampler, Interp, Upsample
from tpumlir_core.ir.top.source import Input, Weight

__all__ = [
    "Abs", "AdaptiveAvgPool", "Add", "AddConst", "Arange", "Arccos", "Arctanh", "Arg", "AvgPool", "BatchNorm", "Cast", "Ceil", "Clip",
    "Compare", "CompareConst", "Concat", "ConstantFill", "Conv", "Copy", "Cos", "Cosh", "CumSum", "Deconv", "Depth2Space",
    "DetectionOutput", "Div", "DivConst", "Elu", "Erf", "Exp", "Expand", "Flatten", "Floor", "GELU", "Gather", "GatherElements", "GatherND",
    "GridSampler", "GroupNorm", "HardSigmoid", "HardSwish", "Input", "InstanceNorm", "Interp", "LRN", "LayerNorm", "LeakyRelu", "Log",
    "LogB", "LogicalAnd", "MaskedFill", "MatMul", "Max", "MaxConst", "MaxPool", "Min", "MinConst", "Mish", "Mod", "Mul", "MulConst",
    "Normalize", "PRelu", "Pack", "Pad", "Permute", "PixelNorm", "Pow", "Pow2", "Pow3", "PriorBox", "RMSNorm", "Range", "Reciprocal",
    "Reduce", "Relu", "Remainder", "Reshape", "Reverse", "Round", "Rsqrt", "Scale", "ScatterElements", "ScatterND", "Shape",
    "ShuffleChannel", "SiLU", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Softsign", "Split", "Sqrt",
    "Squeeze", "Sub", "SubConst", "SwapChannel", "SwapDimInner", "Swish", "Tan", "Tanh", "Tile", "TopK", "Transpose", "Trilu", "Unpack",
    "Unsqueeze", "Upsample", "Variance", "Weight", "Where",
]
