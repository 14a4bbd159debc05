"""Which operations keep F32 in a mode of 16 bits, and why: the tables below, of operations by name without dialect.

Besides, an element-wise operation whose users all keep F32 keeps it too: what goes into a sum of squares, what keeps a divisor
from zero. One of an operand in F32 does so for a single such user: the mean in mean(x^2) - mean(x)^2, whose digits cancel. And
so does what the target cannot do in the mode, and, in F16, what a calibration table shows to be too large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tpumlir_core.ir import ElementType, Module, Operation, Return, Value
from tpumlir_core.lowering import KEPT
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Target

STORED: Mapping[str, ElementType] = {"F16": ElementType.F16, "BF16": ElementType.BF16}
"""Mode -> how it stores tensors, for the modes of 16 bits."""

LARGEST_F16 = 65504.0
"""The largest finite F16 number."""

FULL_RANGE = frozenset({"Exp", "Sinh", "Cosh", "Tan", "Pow", "Pow2", "Pow3", "Div", "Reciprocal", "Rsqrt", "CumSum", "Variance"})
"""Results or intermediate sums beyond 65504, the largest F16 number, or below 6e-8, the smallest, are usual."""

FULL_FRACTION = frozenset({
    "Arg", "TopK", "Sort", "Range", "Arange", "Mod", "Remainder", "Cast", "Floor", "Ceil", "Round", "Sign",
})
"""Results are positions or counts, or mean to be exact: they need more than the 11 bits of an F16 fraction (8 of BF16); or they are
steps, where an operand that is rounded may lie on the other side."""

SUMS = frozenset({"ReduceSum", "ReduceL1", "ReduceL2", "ReduceProd"})
"""Modes of Reduce that grow with the number of elements."""

ELEMENTWISE = frozenset({
    "Add", "Sub", "Mul", "AddConst", "SubConst", "MulConst", "DivConst", "Max", "Min", "MaxConst", "MinConst", "Abs", "Sqrt", "Log", "Clip",
    "Reshape", "Flatten", "Squeeze", "Unsqueeze",
})


PROBABILITIES = frozenset({"Sigmoid", "Softmax"})
"""Outputs of the network that these make stay F32: F16 has few digits below 6e-5, and a detector's are smaller where there is nothing."""

RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "View"})
"""Other views of the same numbers."""


def kind(operation: Operation) -> str:
    """A Top operation's name without the dialect; a custom operator's with its own, as it may be called what a Top operation is."""
    dialect, _, name = operation.opcode.partition(".")
    return name if dialect == "top" else operation.opcode


def keeps_f32(operation: Operation) -> bool:
    """Whether an operation stores F32 in every mode, whatever surrounds it."""
    name = kind(operation)
    if name == "Reduce":
        return getattr(operation, "mode", "") in SUMS
    return name in FULL_RANGE or name in FULL_FRACTION


def storage_modes(module: Module, target: Target, options: LoweringOptions) -> dict[Operation, str]:
    """The mode that each operation is stored in: as the options name it, else the default or F32."""
    outputs = set(module.function.outputs)
    modes: dict[Operation, str] = {}
    for operation in reversed(module.function.operations):
        if operation.opcode in KEPT:
            continue
        named = options.modes.get(operation.name)
        modes[operation] = named or _default_mode(operation, target, options, modes, outputs)
    modes |= {operation: "F32" for operation in _final(module, options) if modes[operation] in STORED}
    return modes


def _final(module: Module, options: LoweringOptions) -> set[Operation]:
    """What makes outputs of the network of probabilities, and reshapes to outputs, but for those asked for as they are stored and those
    that options name."""
    asked = {value for i, value in enumerate(module.function.outputs) if i in options.quant_outputs}
    found = set[Operation]()
    for operation in reversed(module.function.operations):
        users = [user for result in operation.results for user, _ in result.uses]
        if kind(operation) not in PROBABILITIES | RESHAPES or operation.name in options.modes or not asked.isdisjoint(operation.results):
            continue
        if all(isinstance(user, Return) or (user in found and kind(user) in RESHAPES) for user in users):
            found.add(operation)
    return found


def _default_mode(
    operation: Operation, target: Target, options: LoweringOptions, modes: Mapping[Operation, str], outputs: set[Value]
) -> str:
    mode = options.mode
    if mode not in STORED:
        return mode
    if keeps_f32(operation) or _serves_f32(operation, modes, outputs) or target.supports(operation, mode) is not None:
        return "F32"
    return mode if mode != "F16" or fits_f16((*operation.operands, *operation.results), options.calibration) else "F32"


def fits_f16(values: Sequence[Value | None], ranges: Mapping[str, CalibratedRange]) -> bool:
    """Whether values stay below the largest F16 number, as far as their ranges tell."""
    known = [ranges[value.name] for value in values if value is not None and value.name in ranges]
    return all(max(one.threshold, -one.low, one.high) <= LARGEST_F16 for one in known)


def _serves_f32(operation: Operation, modes: Mapping[Operation, str], outputs: set[Value]) -> bool:
    """Whether a cheap operation is there only for others that keep F32, or goes on in F32 to one of them."""
    if kind(operation) not in ELEMENTWISE:
        return False
    users = [modes[user] == "F32" for result in operation.results for user, _ in result.uses if user in modes]
    if any(v is not None and v.owner is not None and keeps_f32(v.owner) for v in operation.operands):
        return any(users)
    return bool(users) and not any(r in outputs for r in operation.results) and all(users)
