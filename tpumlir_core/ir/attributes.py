"""Attribute types of operations: Python types annotated with their MLIR spelling, which the text form needs."""

from __future__ import annotations

from typing import Annotated, Literal

I64 = Annotated[int, "i64"]
SI32 = Annotated[int, "si32"]
I32 = Annotated[int, "i32"]
F64 = Annotated[float, "f64"]
I64s = Annotated[tuple[int, ...], "i64[]"]
F64s = Annotated[tuple[float, ...], "f64[]"]
Str = Annotated[str, "str"]
Flag = Annotated[bool, "bool"]

ArgMode = Annotated[Literal["ArgMin", "ArgMax"], "enum"]
CompareMode = Annotated[
    Literal["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NotEqual", "And", "Not", "Xor"], "enum"
]
ReduceMode = Annotated[
    Literal["ReduceMin", "ReduceMax", "ReduceMean", "ReduceL2", "ReduceL1", "ReduceSum", "ReduceProd"], "enum"
]
InterpMode = Annotated[Literal["nearest", "linear"], "enum"]
InterpCoordMode = Annotated[Literal["align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric"], "enum"]
PaddingMode = Annotated[Literal["constant", "reflect", "symmetric", "edge"], "enum"]
AutoPadMode = Annotated[Literal["SAME_UPPER", "SAME_LOWER", "NOTSET", "VALID"], "enum"]
RoundMode = Annotated[
    Literal["HalfAwayFromZero", "HalfUp", "HalfDown", "HalfToEven", "HalfToOdd", "HalfTowardsZero", "TowardsZero", "Up", "Down"],
    "enum",
]
GELUMode = Annotated[Literal["normal", "tanh", "sigm"], "enum"]
BoxCode = Annotated[Literal["CORNER", "CENTER_SIZE", "CORNER_SIZE"], "enum"]
