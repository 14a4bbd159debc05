"""The two orders of axes: that of the source, channels last, and that of Top's images, channels first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from tpumlir_core.ir import Array, Value


class Layout(Enum):
    """The order of a value's axes against the source's: the same, or batch, channels (the last there), then the rest."""

    SOURCE = "nhwc"
    CHANNELS_FIRST = "nchw"

    def axes(self, rank: int) -> tuple[int, ...]:
        """The source's axis that each axis of a value is. Below three dimensions there is but one order."""
        channels_first = self is Layout.CHANNELS_FIRST and rank > 2
        return (0, rank - 1, *range(1, rank - 1)) if channels_first else tuple(range(rank))

    def axis(self, axis: int, rank: int) -> int:
        """Where an axis of the source is, counted from the front. Raises ValueError outside [-rank, rank)."""
        if not -rank <= axis < rank:
            raise ValueError(f"axis {axis} is outside a tensor of {rank} dimensions")
        return self.axes(rank).index(axis % rank)

    def arranged(self, per_axis: Sequence[int]) -> tuple[int, ...]:
        """One number an axis of the source, in this order."""
        return tuple(per_axis[axis] for axis in self.axes(len(per_axis)))

    def source_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The source's shape of a value in this order."""
        axes = self.axes(len(shape))
        return tuple(shape[axes.index(axis)] for axis in range(len(shape)))

    def order_to(self, other: Layout, rank: int) -> tuple[int, ...]:
        """The order of a Permute from this layout to another."""
        mine = self.axes(rank)
        return tuple(mine.index(axis) for axis in other.axes(rank))

    def of_source(self, array: Array) -> Array:
        """An array of the source in this order."""
        return np.ascontiguousarray(array.transpose(self.axes(array.ndim))) if array.ndim > 2 else array

    def to_source(self, array: Array) -> Array:
        """An array in this order as the source has it."""
        return np.ascontiguousarray(array.transpose(self.order_to(Layout.SOURCE, array.ndim))) if array.ndim > 2 else array


SOURCE, CHANNELS_FIRST = Layout.SOURCE, Layout.CHANNELS_FIRST


@dataclass(frozen=True)
class Laid:
    """A value and the order of its axes."""

    value: Value
    layout: Layout = SOURCE
