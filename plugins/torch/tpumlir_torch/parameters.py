"""Axes, windows and padding of ATen operators in one normal form."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.errors import InputError


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front; a tensor without axes has one for this. Raises InputError outside [-rank, rank)."""
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise InputError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis % max(rank, 1)


def axes_of(axes: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Distinct axes counted from the front, in the order given; all of them for None."""
    if axes is None:
        return tuple(range(rank))
    found = tuple(axis_of(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise InputError(f"an axis is given twice in {list(axes)}")
    return found


def each(values: Sequence[int] | int, count: int, what: str, least: int = 0) -> tuple[int, ...]:
    """One number for each of ``count`` spatial axes, from one for all or one each. Raises InputError for others, or any below ``least``."""
    found = (values,) * count if isinstance(values, int) else tuple(values)
    found = found * count if len(found) == 1 else found
    if len(found) != count or min(found, default=least) < least:
        raise InputError(f"{what} {list(found)} does not fit {count} spatial axes")
    return found
