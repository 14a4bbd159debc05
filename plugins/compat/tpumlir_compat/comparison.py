"""Tensors of two files compared as TPU-MLIR 1.30.2 does, and told in its words, which scripts look for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.verify import DEFAULT_TOLERANCE, Comparison, Level, compare_arrays

LABELS = {level: level.value for level in Level} | {Level.NOT_SIMILAR: "NOT_SIMLIAR"}
"""What the reference calls a level; its own spelling, as scripts compare with it."""
MEASURED = (Level.SIMILAR, Level.NOT_SIMILAR)
"""Levels with similarities to tell."""


@dataclass(frozen=True)
class Options:
    """How to compare: least cosine and euclidean similarity, tensors to leave out, the only one to compare ("": all).

    ``strict_integers``: tensors of int8 have to be equal. ``axis``: compare every slice up to this axis by itself (-1: the whole
    tensor), the worst one counts.
    """

    tolerance: tuple[float, float] = DEFAULT_TOLERANCE
    excepts: Collection[str] = ()
    key: str = ""
    strict_integers: bool = True
    axis: int = -1


@dataclass(frozen=True)
class Compared:
    """A tensor that was compared, and which slice of it counted."""

    result: Comparison
    target: Array
    reference: Array
    slice: int = 0


def compare_all(target: Mapping[str, Array], reference: Mapping[str, Array], options: Options) -> list[Compared]:
    """The tensors that both have, in the reference's order. Shapes that differ in size are compared where they overlap."""
    common = [name for name in reference if name in target and name not in options.excepts]
    names = [name for name in common if options.key in ("", name)]
    return [_compare(name, target[name], reference[name], options) for name in names]


def most_alike(target: Mapping[str, Array], reference: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of ``target``, each under the name of the tensor of its shape in ``reference`` that it is most alike."""
    found: dict[str, Array] = {}
    for name, array in target.items():
        alike = {other: compare_arrays(array, tensor) for other, tensor in reference.items() if tensor.shape == array.shape}
        best = max(alike, key=lambda other: (alike[other].equal, alike[other].cosine, other == name), default=name)
        found[best] = array
    return found


def _compare(name: str, target: Array, reference: Array, options: Options) -> Compared:
    a, b = _overlap(target, reference)
    if not options.strict_integers:
        a, b = (x.astype(np.float32) if x.dtype == np.int8 else x for x in (a, b))
    if a.size != b.size or not 0 <= options.axis < a.ndim:
        return Compared(_measured(name, a, b, options), target, reference)
    rows = math.prod(a.shape[: options.axis + 1])
    slices = [_measured(name, x, y, options) for x, y in zip(a.reshape(rows, -1), b.reshape(rows, -1), strict=True)]
    worst = min(range(rows), key=lambda row: (slices[row].passed, slices[row].cosine if not slices[row].passed else -row))
    return Compared(replace(slices[worst], shape=target.shape), target, reference, worst)


def _overlap(target: Array, reference: Array) -> tuple[Array, Array]:
    """Both in the target's shape, or cut to what they share where one is larger along every axis; else as they are."""
    if target.size == reference.size:
        return target, reference.reshape(target.shape)
    if target.ndim != reference.ndim:
        return target, reference
    pairs = list(zip(target.shape, reference.shape, strict=True))
    if not (all(x >= y for x, y in pairs) or all(x <= y for x, y in pairs)):
        return target, reference
    shared = tuple(slice(min(pair)) for pair in pairs)
    return target[shared], reference[shared]


def _measured(name: str, target: Array, reference: Array, options: Options) -> Comparison:
    """With the signal to noise ratio that the reference tells: its signal is the target."""
    found = compare_arrays(target, reference, options.tolerance, name)
    return replace(found, sqnr=compare_arrays(reference, target).sqnr) if found.level in MEASURED else found


def report(compared: Sequence[Compared], verbose: int = 0, axis: int = -1) -> Iterator[str]:
    """The lines of the report on all tensors, but its last ones, ``verdict``."""
    for one in compared:
        yield from _tensor(one, verbose, axis)
    levels = [one.result.level for one in compared]
    passed = sum(one.result.passed for one in compared)
    counts = {level: levels.count(level) for level in Level}
    measured = [one.result for one in compared if one.result.level in MEASURED]
    least = [min([top, *values]) for top, values in (
        (1.0, [one.cosine for one in measured]), (1.0, [one.euclid for one in measured]), (math.inf, [one.sqnr for one in measured])
    )]
    yield f"{len(compared)} compared"
    yield f"{passed} passed"
    yield f"  {counts[Level.EQUAL]} equal, {counts[Level.CLOSE]} close, {counts[Level.SIMILAR]} similar"
    yield f"{len(compared) - passed} failed"
    yield f"  {counts[Level.NOT_EQUAL]} not equal, {counts[Level.NOT_SIMILAR]} not similar"
    yield f"min_similarity = ({least[0]}, {least[1]}, {least[2]})"


def verdict(compared: Sequence[Compared], target: object, reference: object) -> Iterator[str]:
    """The last lines: the files, and whether all passed."""
    yield f"Target    {target}"
    yield f"Reference {reference}"
    yield f"npz compare {'PASSED' if all(one.result.passed for one in compared) else 'FAILED'}."


def _tensor(one: Compared, verbose: int, axis: int) -> Iterator[str]:
    result = one.result
    yield f"[{result.name:<32}] {LABELS[result.level]:>12} [{'PASSED' if result.passed else 'FAILED':>6}]"
    if verbose:
        yield f"    {one.target.shape} {one.target.dtype} "
        if result.level is Level.CLOSE:
            yield f"    close order            = {result.close_order}"
        if result.level in MEASURED:
            if 0 <= axis < one.target.ndim:
                yield f"    channel {one.slice} on axis {axis} :"
            yield f"    cosine_similarity      = {result.cosine:.6f}"
            yield f"    euclidean_similarity   = {result.euclid:.6f}"
            yield f"    sqnr_similarity        = {result.sqnr:.6f}"
    if one.target.dtype == np.int8:
        yield from _saturation(one.target)
    if not result.passed and one.target.size == one.reference.size:
        yield from _details(one.target.reshape(-1), one.reference.reshape(-1), verbose)


def _saturation(stored: Array) -> Iterator[str]:
    """How much of a tensor of int8 lies at the ends of the range, at 0 and near it."""
    for label, there in (
        ("pos(x=127)   ", stored == 127), ("neg(x=-128)  ", stored == -128), ("zeros(x=0)   ", stored == 0),
        ("low(abs(x)<8)", np.abs(stored.astype(np.int32)) <= 8),
    ):
        yield f"    {label} = {np.mean(there) if stored.size else 0:.4f}  [{np.count_nonzero(there)}/{stored.size}]"


def _details(target: Array, reference: Array, verbose: int, top: int = 10, tolerance: float = 1e-3) -> Iterator[str]:
    """What ``-vv``, ``-vvv`` and ``-vvvv`` add for a tensor that failed: the largest elements, those that differ, all."""
    if verbose > 1:
        yield "top-k:"
        yield " idx-t  target  idx-r  ref"
        largest = [np.argsort(-array.astype(np.float64), kind="stable")[:top] for array in (target, reference)]
        yield from (f"  {i} {target[i]} {j} {reference[j]}" for i, j in zip(*largest, strict=True))
    if verbose > 2:
        yield "all-diffs:"
        yield " idx  target  ref"
        a, b = target.astype(np.float64), reference.astype(np.float64)
        for i in np.flatnonzero(np.abs(a - b) > tolerance + tolerance * np.abs(b)):
            yield f"  {i} {target[i]} {reference[i]}"
    if verbose > 3:
        yield "all-elements:"
        yield " idx  target  ref"
        yield from (f"  ({i},) {x} {y}" for i, (x, y) in enumerate(zip(target, reference, strict=True)))
