"""The spelling of tensor types: ``tensor<1x3x8x8xf32>``, with calibration, quantization or an address."""

from __future__ import annotations

import re

from tpumlir_core.ir.text.floats import float_text
from tpumlir_core.ir.types import ElementType, Quantization, TensorType

_ELEMENTS = {e.value: e for e in ElementType} | {"i32": ElementType.SI32, "i8": ElementType.SI8, "i64": ElementType.SI64}
_TENSOR = re.compile(r"tensor<(\*x|(?:[0-9]{1,18}x)*)(\w+|!quant\.[^,]*(?:,[^,]*?)?>)\s*(?:,\s*([0-9]{1,19})\s*:\s*i64\s*)?>")
_FLOAT = r"(-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
_CALIBRATED = re.compile(rf"!quant\.calibrated<(\w+)<{_FLOAT}:{_FLOAT}>>")
_UNIFORM = re.compile(rf"!quant\.uniform<([iu])(8|16|32):f32,\s*{_FLOAT}(?::(-?[0-9]{{1,10}}))?>")
_STORED = {"i": "si", "u": "ui"}


def type_text(type_: TensorType | None) -> str:
    """MLIR spelling; ``none`` for an absent value."""
    if type_ is None:
        return "none"
    element, q = type_.element.value, type_.quantization
    if q is not None and type_.element.is_float:
        element = f"!quant.calibrated<{element}<{float_text(q.low)}:{float_text(q.high)}>>"
    elif q is not None:
        stored = element[1:] if element.startswith("s") else "u" + element[2:]
        element = f"!quant.uniform<{stored}:f32, {float_text(q.scale)}" + (f":{q.zero_point}>" if q.zero_point else ">")
    address = "" if type_.address is None else f", {type_.address} : i64"
    return f"tensor<{''.join(f'{d}x' for d in type_.shape)}{element}{address}>"


def parse_tensor(text: str) -> TensorType | None:
    """The type that ``tensor<...>`` spells; None for an unranked one. Raises ValueError, with the reason."""
    found = _TENSOR.fullmatch(text)
    if found is None:
        raise ValueError("expected tensor<1x2xf32>, static dimensions, optionally with an address ', 123 : i64'")
    dims, element, address = found.groups()
    kind, quantization = _element(element)
    if dims == "*x":
        return None
    shape = tuple(int(d) for d in dims.split("x")[:-1])
    return TensorType(shape, kind, quantization, None if address is None else int(address))


def _element(text: str) -> tuple[ElementType, Quantization | None]:
    if text in _ELEMENTS:
        return _ELEMENTS[text], None
    if found := _CALIBRATED.fullmatch(text):
        if found[1] in _ELEMENTS:
            return _ELEMENTS[found[1]], Quantization(1.0, 0, float(found[2]), float(found[3]))
    elif found := _UNIFORM.fullmatch(text):
        return _ELEMENTS[_STORED[found[1]] + found[2]], Quantization(float(found[3]), int(found[4] or 0))
    raise ValueError(f"element type {text} is not known; expected one of {', '.join(e.value for e in ElementType)}")
