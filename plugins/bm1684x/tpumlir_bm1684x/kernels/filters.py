"""What the kernels of convolutions share: the problem an operation poses, and filters laid out in the lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.instructions.convolution import LIMIT
from tpumlir_bm1684x.kernels.windows import Axis, Pair, Window
from tpumlir_core.ir import Array, Operation
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.tensor import Box, Shape4


@dataclass(frozen=True)
class Problem:
    """A convolution in two spatial axes: views of input and result, groups, and how the window slides."""

    x: Shape4
    y: Shape4
    groups: int
    rows: Axis
    columns: Axis

    @property
    def kernel(self) -> Pair:
        return (self.rows.kernel, self.columns.kernel)

    @property
    def tapwise(self) -> bool:
        """Whether it has to be done tap by tap."""
        return any(a.stride > LIMIT or (a.kernel > 1 and a.dilation > LIMIT + 1) for a in (self.rows, self.columns))

    @property
    def per_group(self) -> Pair:
        """Input and output channels of a group."""
        return (self.x[1] // self.groups, self.y[1] // self.groups)

    def windows(self, out: Box) -> tuple[Window, Window]:
        return self.rows.window(out.start[2], out.size[2]), self.columns.window(out.start[3], out.size[3])


def spatial(shape: Sequence[int]) -> Shape4:
    """The view of a tensor of one or two spatial axes."""
    return (shape[0], shape[1], shape[2] if len(shape) == 4 else 1, shape[-1])


def pair(values: Sequence[int], missing: int) -> Pair:
    """Attribute values of one or two spatial axes as (rows, columns)."""
    return (values[0], values[1]) if len(values) == 2 else (missing, values[0])


def problem(op: Any) -> Problem:
    """The convolution that a Conv operation of one or two spatial axes asks for."""
    x, y = spatial(op.input.shape), spatial(op.output.shape)
    kernel, strides, dilations = pair(op.kernel_shape, 1), pair(op.strides, 1), pair(op.steps(), 1)
    begins = pair([begin for begin, _ in op.padding(op.input.shape[2:])], 0)
    rows, columns = (Axis(*each) for each in zip(x[2:], kernel, strides, dilations, begins, strict=True))
    return Problem(x, y, op.group, rows, columns)


def has_bias(op: Operation) -> bool:
    return len(op.operands) > 2 and op.operands[2] is not None


def by_lane(rows: Array) -> Array:
    """One row a channel -> [lanes, groups of lanes x row length]: each channel's row in its lane, compact."""
    lanes = arch().lanes
    count, length = rows.shape
    full = np.zeros((ceil_div(count, lanes) * lanes, length), np.float32)
    full[:count] = rows
    return np.ascontiguousarray(full.reshape(-1, lanes, length).transpose(1, 0, 2)).reshape(lanes, -1)
