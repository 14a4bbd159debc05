"""Values of flags, out of the text that is typed. What they raise becomes one line that names the flag."""

from __future__ import annotations

import ast
from argparse import ArgumentTypeError


def words(text: str) -> tuple[str, ...]:
    """``a,b,c``; empty words are left out."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """``[[1,3,224,224],[10]]``: a shape for each input; ``[1,3,224,224]``: of the only one."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if _is_shape(found):
        found = [found]
    if not isinstance(found, list | tuple) or not all(_is_shape(shape) for shape in found):
        raise ArgumentTypeError(f"{text!r} is not a list of shapes of positive numbers, as in [[1,3,224,224]]")
    return tuple(tuple(shape) for shape in found)


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(type(size) is int and size > 0 for size in value)


def numbers(text: str) -> tuple[float, ...]:
    """``123.7,116.3,103.5``."""
    try:
        return tuple(float(word) for word in words(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not numbers separated by commas") from None


def integers(text: str) -> tuple[int, ...]:
    """``256,256``."""
    try:
        return tuple(int(word) for word in words(text))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not whole numbers separated by commas") from None


def positions(text: str) -> frozenset[int]:
    """``1,3``: the first and the third, as positions from 0."""
    found = integers(text)
    if min(found, default=1) < 1:
        raise ArgumentTypeError(f"{text!r} is not a list of positions from 1, as in 1,3")
    return frozenset(number - 1 for number in found)


def tolerance(text: str) -> tuple[float, float] | None:
    """``COS,EUCLID``: least similarities that pass; nothing for nothing."""
    found = numbers(text)
    if len(found) not in (0, 2):
        raise ArgumentTypeError(f"{text!r} is not two numbers, as in 0.99,0.99")
    return (found[0], found[1]) if found else None


def truth(text: str) -> bool:
    """``true``, ``yes``, ``1`` ... or their contraries."""
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise ArgumentTypeError(f"{text!r} is neither true nor false")
