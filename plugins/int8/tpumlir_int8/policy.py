"""Which operations are done on 8-bit numbers, by name without dialect, and how.

    PRODUCTS    multiplied and summed in integers, one requantization at the end (``products``); floats straight from the sums
                where only floats take them
    FOLLOWING   move or choose numbers: their result is stored as their operand is
    JOINING     the same with several operands, which are converted to what the result is stored as
    POINTWISE   8 bits in memory, calculated in F32 on the chip: each number of the result depends on a few of the operands
                (but float between floats: where the operand comes from a float operation, or all that take the result are float,
                as the variance of a normalisation that is spelled out, which is a small difference of large sums)
    the rest    float: softmax and normalisation lose too much, so do steps and periods (Floor, Sign, Sin), whose results jump or turn
                within one step of the operand; and what has no range in the calibration table cannot be quantized
"""

from __future__ import annotations

from collections.abc import Set

from tpumlir_core.ir import Module, Operation
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import LoweringOptions, Positions
from tpumlir_core.precision import RESHAPES, kind

INT8 = "INT8"

PRODUCTS = frozenset({"Conv", "MatMul"})
FOLLOWING = RESHAPES | frozenset({
    "MaxPool", "Permute", "Slice", "Reverse", "Tile", "Expand", "Upsample",
    "Gather", "Depth2Space", "ShuffleChannel", "SwapChannel", "SwapDimInner",
})
JOINING = frozenset({"Concat"})
POINTWISE = frozenset({
    "Add", "Sub", "Mul", "Max", "Min", "AddConst", "SubConst", "MulConst", "DivConst", "MaxConst", "MinConst", "Abs", "Clip",
    "Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "SiLU", "Swish", "HardSwish", "HardSigmoid", "Elu", "GELU", "Mish", "Softplus",
    "Softsign", "Sqrt", "Erf", "AvgPool", "Interp", "Scale", "BatchNorm", "Pad",
})


LOOKED_UP = frozenset({
    "Sigmoid", "Tanh", "SiLU", "Swish", "HardSwish", "HardSigmoid", "Elu", "GELU", "Mish", "Softplus", "Softsign", "Sqrt", "Erf",
})
"""Functions among them of one operand: a table of all 256 results beats calculating, and is exact."""


RECTIFYING = frozenset({"Relu", "LeakyRelu", "PRelu", "SiLU", "HardSwish", "Elu", "GELU", "Mish", "Softplus"})
"""Functions that leave large positive numbers as they are."""

SHIFTING = frozenset({"Scale", "BatchNorm", "AddConst", "SubConst", "MulConst", "DivConst"})
"""Functions that scale and shift."""


RETURN = "func.return"
"""What takes the outputs of a network."""


def may_be_quantized(operation: Operation) -> bool:
    """Whether an operation can be done on 8-bit numbers, whatever their ranges."""
    name = kind(operation)
    if name == "Upsample" or (name == "Interp" and getattr(operation, "mode", "") == "nearest"):
        return not getattr(operation, "do_relu", False)
    if name in PRODUCTS:
        return _product_of_weights(operation)
    return follows(operation) or name in JOINING or name in POINTWISE


def serving_floats(module: Module, asked: Positions) -> set[Operation]:
    """Pointwise operations, and those that follow, that are there for float operations only, and functions that
    make an output which is not ``asked`` for in 8 bits."""
    outputs, serving = set(module.function.outputs), set[Operation]()
    kept = {value for position, value in enumerate(module.function.outputs) if position in asked}
    for operation in reversed(module.function.operations):
        users = [user for result in operation.results for user, _ in result.uses if user.opcode != RETURN]
        if not users and kind(operation) in LOOKED_UP and operation.output not in kept:
            serving.add(operation)
        if not users or not outputs.isdisjoint(operation.results) or not (kind(operation) in POINTWISE or follows(operation)):
            continue
        if all(user in serving or not may_be_quantized(user) for user in users):
            serving.add(operation)
    return serving


def ending_in_floats(module: Module, options: LoweringOptions, serving: Set[Operation]) -> set[Operation]:
    """Products, and reshapes of what they make, which only floats are made of: by operations that are float (``serving``, or named so
    by a quantization table) or for the network's user, who has not asked for 8 bits."""
    asked = {value for i, value in enumerate(module.function.outputs) if i in options.quant_outputs}
    found = set[Operation]()

    def takes_floats(user: Operation) -> bool:
        if user.opcode == RETURN:
            return True
        if user.name in options.modes:
            return options.modes[user.name] != INT8
        return user in serving or not may_be_quantized(user) or (user in found and kind(user) in RESHAPES)

    for operation in reversed(module.function.operations):
        users = {user for result in operation.results for user, _ in result.uses}
        passes_on = kind(operation) in PRODUCTS | RESHAPES and asked.isdisjoint(operation.results)
        if passes_on and all(map(takes_floats, users)):
            found.add(operation)
    return found


def follows(operation: Operation) -> bool:
    """Whether the result is stored as the first operand is; of a custom operator its author says so."""
    if isinstance(operation, Operator):
        return operation.quantization == "same_scale"
    name = kind(operation)
    return name in FOLLOWING or (name == "Interp" and getattr(operation, "mode", "") == "nearest")


def _product_of_weights(operation: Operation) -> bool:
    """Filters (and biases) that are known beforehand; the float operand comes first."""
    rest = operation.operands[1:]
    return all(value is None or isinstance(value.owner, Weight) for value in rest)
