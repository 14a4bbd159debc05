"""Top dialect: rearrangements of channels and blocks, stacking, and masks of position. No arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir.attributes import I64, SI32, Flag, I64s
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import array, axis_of, moved, present, reject
from tpumlir_core.ir.types import TensorType


@op("top.Depth2Space")
class Depth2Space(Operation):
    """Blocks of channels become blocks of positions (``is_inversed``: the other way).

    Channels are [block_h, block_w, C], or [C, block_h, block_w] with ``is_CRD``. An operand or result that is not NCHW is NHWC.
    """

    block_h: I64
    block_w: I64
    is_CRD: Flag
    is_inversed: Flag
    in_is_NCHW: Flag = True
    out_is_NCHW: Flag = True
    swap_cr: Flag = False

    def _shape(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """The result in NCHW for an operand in NCHW."""
        if self.swap_cr:
            reject(self, "swap_cr is not supported")
        n, c, h, w = shape
        blocks = self.block_h * self.block_w
        if self.is_inversed and h % self.block_h == 0 and w % self.block_w == 0:
            return n, c * blocks, h // self.block_h, w // self.block_w
        if not self.is_inversed and c % blocks == 0:
            return n, c // blocks, h * self.block_h, w * self.block_w
        return reject(self, f"{tuple(shape)} does not divide into blocks of {self.block_h} x {self.block_w}")

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        if len(source.shape) != 4 or min(self.block_h, self.block_w) < 1:
            reject(self, f"blocks of {self.block_h} x {self.block_w} of {source.shape}: wanted an image [N, C, H, W]")
        n, c, h, w = source.shape
        shape = self._shape((n, c, h, w) if self.in_is_NCHW else (n, w, c, h))
        return [moved(source, shape if self.out_is_NCHW else (shape[0], *shape[2:], shape[1]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs) if self.in_is_NCHW else np.moveaxis(array(inputs), 3, 1)
        shape = self._shape(values.shape)
        if self.is_inversed:
            n, c, h, w = values.shape
            parts = values.reshape(n, c, shape[2], self.block_h, shape[3], self.block_w)
            result = parts.transpose((0, 1, 3, 5, 2, 4) if self.is_CRD else (0, 3, 5, 1, 2, 4)).reshape(shape)
        else:
            n, c, h, w = shape
            split = (c, self.block_h, self.block_w) if self.is_CRD else (self.block_h, self.block_w, c)
            parts = values.reshape(n, *split, *values.shape[2:])
            result = parts.transpose((0, 1, 4, 2, 5, 3) if self.is_CRD else (0, 3, 4, 1, 5, 2)).reshape(shape)
        return [np.ascontiguousarray(result if self.out_is_NCHW else np.moveaxis(result, 1, 3))]


class _SameShape(Operation):
    """Elements change places; the shape stays."""

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        self.check(source.shape)
        return [moved(source, source.shape)]

    def check(self, shape: Sequence[int]) -> None:
        """Raise InputError where the attributes do not suit an operand's shape."""
        raise NotImplementedError(self.opcode)


@op("top.ShuffleChannel")
class ShuffleChannel(_SameShape):
    """Channels [group, C / group] become [C / group, group]."""

    group: I64

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) < 2 or self.group < 1 or shape[1] % self.group:
            reject(self, f"the channels of {tuple(shape)} do not split into {self.group} groups")

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        return [values.reshape(values.shape[0], self.group, -1, *values.shape[2:]).swapaxes(1, 2).reshape(values.shape)]


@op("top.SwapChannel")
class SwapChannel(_SameShape):
    """Channel i of the result is channel ``channel_order``[i] of the operand."""

    channel_order: I64s

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) < 2 or sorted(self.channel_order) != list(range(shape[1])):
            reject(self, f"channel_order {self.channel_order} is no permutation of the channels of {tuple(shape)}")

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.take(array(inputs), self.channel_order, 1)]


@op("top.SwapDimInner")
class SwapDimInner(_SameShape):
    """Along every axis, what lies before ``offset`` moves behind the rest."""

    offset: I64s

    def check(self, shape: Sequence[int]) -> None:
        if len(self.offset) != len(shape):
            reject(self, f"offset {self.offset} does not suit {tuple(shape)}")

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = array(inputs)
        for axis, offset in enumerate(self.offset):
            values = np.roll(values, -offset, axis)
        return [values]


@op("top.Reverse")
class Reverse(_SameShape):
    """Back to front along ``axis``."""

    axis: I64

    def check(self, shape: Sequence[int]) -> None:
        axis_of(self, self.axis, len(shape))

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.ascontiguousarray(np.flip(array(inputs), self.axis))]


@op("top.Trilu")
class Trilu(_SameShape):
    """The upper (or lower) triangle of the last two axes from the diagonal ``diagonal`` on; zero elsewhere."""

    upper: SI32
    diagonal: SI32

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) < 2:
            reject(self, f"{tuple(shape)} is no matrix")

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [(np.triu if self.upper else np.tril)(array(inputs), self.diagonal)]


@op("top.Pack", "inputs*")
class Pack(Operation):
    """All operands stacked along the new ``axis``."""

    axis: SI32
    values_count: I64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        found = [present(self, types, position) for position in range(max(1, len(types)))]
        if self.values_count != len(found) or len({t.shape for t in found}) > 1:
            reject(self, f"{self.values_count} operands of one shape are wanted, not {[t.shape for t in found]}")
        shape = list(found[0].shape)
        shape.insert(axis_of(self, self.axis, len(shape) + 1), len(found))
        return [moved(found[0], shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.stack([array(inputs, i) for i in range(len(inputs))], self.axis)]


@op("top.Unpack", "input", "outputs*")
class Unpack(Operation):
    """One result for every index along ``axis``, which goes."""

    axis: SI32

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        axis = axis_of(self, self.axis, len(source.shape))
        return [moved(source, source.shape[:axis] + source.shape[axis + 1 :])] * source.shape[axis]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = np.moveaxis(array(inputs), self.axis, 0)
        return [values[i, ...].copy() for i in range(len(values))]
