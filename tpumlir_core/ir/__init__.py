"""The intermediate representation: types, values, operations, modules, dialects and their text form."""

from tpumlir_core.ir.operation import (
    Array,
    Function,
    Module,
    OperandSpec,
    Operation,
    Return,
    Value,
    WeightStore,
    op,
    operation_class,
    registered_operations,
)
from tpumlir_core.ir.storage import to_bfloat16, to_real
from tpumlir_core.ir.types import ElementType, Quantization, TensorType

__all__ = [
    "Array", "ElementType", "Function", "Module", "OperandSpec", "Operation", "Quantization", "Return", "TensorType", "Value",
    "WeightStore", "op", "operation_class", "registered_operations", "to_bfloat16", "to_real",
]
