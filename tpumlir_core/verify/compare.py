"""Comparison of tensors by the rules of the reference's npz comparison (tpu-mlir 1.30.2), so that figures compare.

Two differences, both stricter: no tensor in common is an error, and tensors of different size differ (the reference
compares the part that they share). And the signal of the signal to noise ratio is the reference tensor, not the target.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.verify.report import Report

Array = np.ndarray[Any, np.dtype[Any]]
DEFAULT_TOLERANCE = (0.99, 0.99)
"""Least cosine and euclidean similarity that passes."""
CLOSE_ORDER = 3
"""Tensors equal to a relative 10^-3 pass without looking at their similarity."""
_INFINITY = 1e4
"""What an infinity counts as in a similarity; a NaN counts as 0."""


class Level(Enum):
    """What a comparison found, best first. The first three pass."""

    EQUAL = "EQUAL"
    CLOSE = "CLOSE"
    SIMILAR = "SIMILAR"
    NOT_SIMILAR = "NOT_SIMILAR"
    NOT_EQUAL = "NOT_EQUAL"
    NOT_MATCH = "NOT_MATCH"


_PASSING = frozenset({Level.EQUAL, Level.CLOSE, Level.SIMILAR})


@dataclass(frozen=True)
class Comparison:
    """One tensor compared with its reference.

    ``cosine``: cosine of the angle between them; ``euclid``: 1 - |a - b| / |(a + b) / 2|; both 1 where equal. ``sqnr``:
    signal to noise in dB, inf without noise. ``close_order``: the k of the relative difference 10^-k that holds (CLOSE only).
    """

    name: str
    level: Level
    shape: tuple[int, ...]
    element: str
    cosine: float
    euclid: float
    sqnr: float
    close_order: int | None = None

    @property
    def passed(self) -> bool:
        return self.level in _PASSING

    @property
    def equal(self) -> bool:
        return self.level is Level.EQUAL


def compare_tensors(
    target: Mapping[str, Array],
    reference: Mapping[str, Array],
    tolerance: tuple[float, float] = DEFAULT_TOLERANCE,
    excepts: Collection[str] = (),
) -> Report:
    """Every tensor of ``reference`` that ``target`` has too, in the order of ``reference``, but those in ``excepts``.

    Raises InputError where they have none in common.
    """
    names = [name for name in reference if name in target and name not in excepts]
    if not names:
        raise InputError(f"no tensor to compare: {_some(target)} and {_some(reference)} have no name in common"
                         + (f" besides those excepted ({_some(excepts)})" if excepts else ""))
    return Report(tuple(compare_arrays(target[name], reference[name], tolerance, name) for name in names), tolerance)


def compare_arrays(target: Array, reference: Array, tolerance: tuple[float, float] = DEFAULT_TOLERANCE, name: str = "") -> Comparison:
    """One tensor against its reference; shapes may differ where sizes do not. uint16 is read as BF16."""
    if target.size != reference.size:
        return Comparison(name, Level.NOT_MATCH, target.shape, str(target.dtype), 0.0, 0.0, -math.inf)
    a, b = _aligned(target, reference)
    cosine, euclid, sqnr = _similarity(a, b)
    level, order = _level(a, b, cosine > tolerance[0] and euclid > tolerance[1])
    if level is Level.EQUAL:
        cosine, euclid, sqnr = 1.0, 1.0, math.inf
    return Comparison(name, level, target.shape, str(target.dtype), cosine, euclid, sqnr, order)


def _aligned(target: Array, reference: Array) -> tuple[Array, Array]:
    """Both flat and of one type: int8 if any is, else int32 if any is, else float32."""
    kinds = {target.dtype, reference.dtype}
    common = next((np.dtype(t) for t in (np.int8, np.int32) if np.dtype(t) in kinds), np.dtype(np.float32))
    a, b = ((_bfloat16(x) if x.dtype == np.uint16 else x).reshape(-1).astype(common) for x in (target, reference))
    return a, b


def _bfloat16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _level(a: Array, b: Array, similar: bool) -> tuple[Level, int | None]:
    if np.array_equal(a, b):
        return Level.EQUAL, None
    if a.dtype == np.int8:
        return Level.NOT_EQUAL, None
    for order in range(CLOSE_ORDER + 2, CLOSE_ORDER - 1, -1):
        if np.allclose(a, b, rtol=10.0**-order, atol=1e-8, equal_nan=True):
            return Level.CLOSE, order
    return (Level.SIMILAR if similar else Level.NOT_SIMILAR), None


def _similarity(a: Array, b: Array) -> tuple[float, float, float]:
    """Cosine, euclidean similarity and signal to quantization noise (dB) of ``a`` for the reference ``b``."""
    x, y = (np.nan_to_num(v.astype(np.float64), nan=0.0, posinf=_INFINITY, neginf=-_INFINITY) for v in (a, b))
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    cosine = float(np.dot(x, y)) / norms if norms else float(not (x.any() or y.any()))
    euclid = 1 - float(np.linalg.norm(x - y)) / (float(np.linalg.norm((x + y) / 2)) + 1e-7)
    signal, noise = (float(np.var(v)) if v.size else 0.0 for v in (y, y - x))
    return cosine, euclid, 10 * math.log10(signal / noise) if signal and noise else math.inf


def _some(names: Collection[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f", ... ({len(listed)} names)" if len(listed) > 3 else "") if listed else "nothing"
