"""Floating-point literals that read back to the same bits."""

from __future__ import annotations

import math
import struct

# LLVM's APFloat::toString: at most 17 digits, and as many zeros of padding before scientific notation.
_DIGITS, _PADDING = 17, 3


def float_text(value: float) -> str:
    """As MLIR prints an f64: six digits if they are exact, else up to 17; infinities and NaN as their bits."""
    value = float(value)
    if not math.isfinite(value):
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    short = f"{value:.6e}"
    if float(short) == value:
        return short
    mantissa, _, power = f"{abs(value):.{_DIGITS - 1}e}".partition("e")
    digits, exponent = mantissa.replace(".", "").rstrip("0"), int(power)
    sign = "-" if value < 0 else ""
    trailing = exponent - len(digits) + 1
    if exponent < -_PADDING or trailing > _PADDING or (trailing > 0 and exponent + 1 > _DIGITS):
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent:+d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits.ljust(exponent + 1, "0")
    return f"{sign}{whole[: exponent + 1]}.{whole[exponent + 1 :] or '0'}"


def parse_float(text: str) -> float:
    """The value of a literal of :func:`float_text` (or any MLIR one); an integer is accepted. Raises ValueError."""
    if text.startswith("0x"):
        bits = int(text, 16)
        if bits >= 1 << 64:
            raise ValueError("a float's bits must fit in 64")
        return float(struct.unpack("<d", struct.pack("<Q", bits))[0])
    return float(text)
