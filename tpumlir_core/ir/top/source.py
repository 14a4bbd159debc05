"""Top dialect: where values come from."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.ir.attributes import I64, F64s, Flag, I64s, Str
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import array, declared
from tpumlir_core.ir.types import TensorType


@op("top.Input")
class Input(Operation):
    """An input of the function, of a declared type; its attributes may describe preprocessing.

    It has no operand here: the text form's is the function's argument.
    """

    shape_tensor: I64s | None = None
    do_preprocess: Flag = False
    pixel_format: Str | None = None
    channel_format: Str | None = None
    resize_dims: I64s | None = None
    keep_aspect_ratio: Flag | None = None
    keep_ratio_mode: Str | None = None
    pad_value: I64 | None = None
    pad_type: Str | None = None
    scale: F64s | None = None
    mean: F64s | None = None
    customization_format: Str | None = None
    aligned: Flag | None = None
    yuv_type: Str | None = None

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        given = types[0] if types else None
        return declared(self) if given is None else [given]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [array(inputs)]


@op("top.Weight", "")
class Weight(Operation):
    """A constant: its array lies in the module's weights, under the result's name; the result's type is declared."""

    scale: F64s | None = None
    store_mode: Str | None = None
    allow_split: I64s | None = None
    indices_idx: I64s | None = None
    indices_slice: I64s | None = None
    path: Str | None = None
    placeholder: Str | None = None
    do_compress: Flag | None = None
    bias0: I64 | None = None
    bias1: I64 | None = None
    is_signed: Flag | None = None
    zero_guard: Flag | None = None
    inline_bytes: Str | None = None

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return declared(self)
