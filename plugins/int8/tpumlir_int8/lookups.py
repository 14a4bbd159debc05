"""Functions of one tensor as tables of their results for all 256 operands."""

from __future__ import annotations

import numpy as np

from tpumlir_core.ir import Array, Operation, TensorType, Value
from tpumlir_core.ir.storage import to_real
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import Lookup
from tpumlir_core.storage_lowering import Storage, StorageLowering
from tpumlir_int8.functions import Steps, evaluate

ENTRIES = 256


def table(steps: Steps, source: Storage, result: Storage) -> Array:
    """The stored result of a run of operations for each bit pattern of its origin, saturated."""
    bits = np.arange(ENTRIES, dtype=np.uint8).view(source.element.numpy)
    origin = steps[0].operands[0]
    assert origin is not None
    real = evaluate(steps, origin, to_real(bits, TensorType((ENTRIES,), source.element, source.quantization)))
    assert result.quantization is not None
    limits = np.iinfo(result.element.numpy)
    scaled = np.nan_to_num(real.astype(np.float64) / result.quantization.scale, nan=0.0) + result.quantization.zero_point
    return np.clip(np.rint(scaled), limits.min, limits.max).astype(result.element.numpy)


def lower_lookup(steps: Steps, source: Storage, result: Storage, lowering: StorageLowering) -> None:
    """Append a run of operations as a Lookup in its table, under the last one's name."""
    last, origin = steps[-1], steps[0].operands[0]
    assert origin is not None
    entries = lowering.weight(f"{last.name}_table", table(steps, source, result), result.element)
    lowering.replace(last, Lookup, [source], [result], [entries], first=[origin])


def candidate(operation: Operation, source: Storage, result: Storage) -> Operation:
    """A detached operation of the form and the types that ``lower_lookup`` gives it, to ask a target about."""
    entries = Weight.create([], [("table", TensorType((ENTRIES,), result.element))]).output
    x = Value("input", operation.input.type.with_storage(source.element, source.quantization))
    y = operation.output.type.with_storage(result.element, result.quantization)
    return Lookup.create([x, entries], [("output", y)])


