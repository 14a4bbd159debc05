"""A factor and a term a channel on 8-bit numbers: they become the scale and the offset of one requantization.

    scale  = factor * input scale / output scale
    offset = term / output scale + output zero point - scale * input zero point
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value, WeightStore
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import QuantizedScale
from tpumlir_core.storage_lowering import Storage, StorageLowering


def scale_and_offset(factor: Array, term: Array, source: Storage, result: Storage) -> tuple[Array, Array]:
    """Both of the requantization, a number a channel."""
    x, y = source.quantization, result.quantization
    assert x is not None
    assert y is not None
    scale = factor.astype(np.float64).reshape(-1) * (x.scale / y.scale)
    offset = term.astype(np.float64).reshape(-1) / y.scale + y.zero_point - scale * x.zero_point
    return scale.astype(np.float32), offset.astype(np.float32)


def can_be_lowered(operation: Operation) -> bool:
    """Whether factors and terms are known, of all channels."""
    channels = operation.output.shape[1] if len(operation.output.shape) > 1 else 0
    parts = operation.operands[1:]
    return operation.opcode == "top.Scale" and all(
        value is not None and isinstance(value.owner, Weight) and value.type.elements == channels for value in parts
    )


def lower_scale(operation: Any, source: Storage, result: Storage, weights: WeightStore, lowering: StorageLowering) -> None:
    """Append a Scale as one requantization."""
    factor, term = (weights[value.name] for value in operation.operands[1:])
    names = f"{operation.name}_scale", f"{operation.name}_offset"
    arrays = scale_and_offset(factor, term, source, result)
    parts = [lowering.weight(name, array, ElementType.F32) for name, array in zip(names, arrays, strict=True)]
    lowering.replace(operation, QuantizedScale, [source], [result], parts)


def candidate(operation: Operation, source: Storage, result: Storage) -> Operation:
    """A detached operation of the form and the types that ``lower_scale`` gives it, to ask a target about."""
    type_ = TensorType((operation.output.shape[1],), ElementType.F32)
    parts = [Weight.create([], [(name, type_)]).output for name in ("scale", "offset")]
    x = Value("input", operation.input.type.with_storage(source.element, source.quantization))
    y = operation.output.type.with_storage(result.element, result.quantization)
    return QuantizedScale.create([x, *parts], [("output", y)], **operation.attributes())
