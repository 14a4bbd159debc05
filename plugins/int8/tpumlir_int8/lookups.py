"""Functions of one operand as tables of their results for all 256 operands."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array, Operation, TensorType, Value
from tpumlir_core.ir.storage import to_real
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import Lookup
from tpumlir_core.storage_lowering import Storage, StorageLowering

ENTRIES = 256


def table(operation: Operation, source: Storage, result: Storage) -> Array:
    """The stored result for each bit pattern of the operand, saturated."""
    bits = np.arange(ENTRIES, dtype=np.uint8).view(source.element.numpy)
    real = operation.evaluate([to_real(bits, TensorType((ENTRIES,), source.element, source.quantization))])[0]
    assert result.quantization is not None
    limits = np.iinfo(result.element.numpy)
    scaled = np.nan_to_num(real.astype(np.float64) / result.quantization.scale, nan=0.0) + result.quantization.zero_point
    return np.clip(np.rint(scaled), limits.min, limits.max).astype(result.element.numpy)


def lower_lookup(operation: Operation, source: Storage, result: Storage, lowering: StorageLowering) -> None:
    """Append a function as a Lookup in its table."""
    entries = lowering.weight(f"{operation.name}_table", table(operation, source, result), result.element)
    lowering.replace(operation, Lookup, [source], [result], [entries])


def candidate(operation: Operation, source: Storage, result: Storage) -> Operation:
    """A detached operation of the form and the types that ``lower_lookup`` gives it, to ask a target about."""
    entries = Weight.create([], [("table", TensorType((ENTRIES,), result.element))]).output
    x = Value("input", operation.input.type.with_storage(source.element, source.quantization))
    y = operation.output.type.with_storage(result.element, result.quantization)
    return Lookup.create([x, entries], [("output", y)])


