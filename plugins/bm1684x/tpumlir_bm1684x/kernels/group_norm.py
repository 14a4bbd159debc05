"""Normalization of groups of channels: GroupNorm, InstanceNorm, and LayerNorm of rows too long for one lane.

Either a lane holds whole groups (``Lanes``), or, where groups are few or large, all lanes share one group (``Shared``) and
its sums are folded across the lanes and broadcast back.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import F32, Scratch, every_lane, is_weight
from tpumlir_bm1684x.kernels.estimate import lane_factor, pass_cycles, transfer_cycles
from tpumlir_bm1684x.kernels.folding import fold, fold_bytes, slice_axis
from tpumlir_bm1684x.kernels.normalization import LayerNormKernel
from tpumlir_core.ir import Array, Operation, WeightStore
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.kernel import Kernel, KernelRegistry, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, N, Shape4, aligned_bytes

_PASSES = 7  # times that either layout goes over its operand, about
_CROSSING = 100  # cycles that folding across the lanes and broadcasting back take besides, and a tenth of it an image


@dataclass(frozen=True)
class Groups:
    """What is normalized: in each of ``images``, ``groups`` of ``channels`` with ``positions`` each; factors are a channel's."""

    images: int
    groups: int
    channels: int
    positions: int

    @property
    def shared_view(self) -> Shape4:
        """A group a row of n; its channels in c (and h), or a channel cut into pieces over c."""
        rows = self.images * self.groups
        if self.channels >= arch().lanes:
            c = lane_factor(self.channels, _PASSES, self.positions)
            return (rows, c, self.channels // c, self.positions)
        pieces = lane_factor(self.positions, _PASSES, 1, self.channels)
        return (rows, self.channels * pieces, 1, self.positions // pieces)

    @property
    def lane_view(self) -> Shape4:
        """A group a channel."""
        return (self.images, self.groups, self.channels, self.positions)


def layer_groups(op: Any) -> Groups:
    """LayerNorm: one group an image, each element a channel."""
    shape = op.input.shape
    first = op.axis % len(shape)
    return Groups(prod(shape[:first]), 1, prod(shape[first:]), 1)


def instance_groups(op: Any) -> Groups:
    """InstanceNorm: each channel is a group."""
    shape = op.input.shape
    return Groups(shape[0], shape[1], 1, prod(shape[2:]))


def channel_groups(op: Any) -> Groups:
    """GroupNorm."""
    shape = op.input.shape
    return Groups(shape[0], op.num_groups, shape[1] // op.num_groups, prod(shape[2:]))


def compact_image(data: Array) -> LaneImage:
    """The lane image of an F32 array (n, c, h, w) in the compact layout."""
    lanes = arch().lanes
    n, c, h, w = data.shape
    full = np.zeros((n, ceil_div(c, lanes) * lanes, h, w), np.float32)
    full[:, :c] = data
    grouped = full.reshape(n, -1, lanes, h, w).transpose(2, 0, 1, 3, 4)
    return np.ascontiguousarray(grouped).reshape(lanes, -1).view(np.uint8)


class GroupNormKernel(Kernel):
    """Base of both layouts; ``groups`` says what an operation normalizes."""

    def __init__(self, groups: Callable[[Any], Groups]) -> None:
        self.groups = groups

    @abstractmethod
    def view(self, op: Operation) -> Shape4:
        """The view of operand and result."""

    @abstractmethod
    def factors(self, op: Operation, tile: Tile) -> Iterator[tuple[int, int, list[LocalTensor | None]]]:
        """Runs of images (start, count) of a tile with their weight and bias, as tensors that broadcast over n and w."""

    @abstractmethod
    def total(self, e: Bm1684xEmitter, x: LocalTensor, s: Scratch) -> LocalTensor:
        """Sums over each group: (n, 1 or c, 1, 1), in the standard layout."""

    @abstractmethod
    def spread(self, e: Bm1684xEmitter, sums: LocalTensor, channels: int, s: Scratch) -> LocalTensor:
        """The sums as (n, c, 1, 1)."""

    def supports(self, op: Operation) -> str | None:
        if any(v is not None and not is_weight(v) for v in op.operands[1:]):
            return "only constant weights"
        if self.smallest_tile(op) > arch().lane_bytes:
            return "a group has too many elements for local memory"
        return None

    def cycles(self, op: Operation) -> int:
        """Rough cycles of load, passes over the data and store."""
        return _PASSES * pass_cycles(self.view(op)) + 2 * transfer_cycles(self.view(op))

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        view = self.view(op)
        return Views((view, *(None for _ in op.operands[1:])), (view,))

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return frozenset(i for i, v in enumerate(op.operands) if i and v is not None)

    def scratch(self, op: Operation, tile: Tile) -> int:
        x = tile.operands[0]
        assert x is not None
        n, c, h, _ = x.shape
        scale = aligned_bytes(arch(), (n, c, h, 1), F32)
        statistic = aligned_bytes(arch(), (n, c, 1, 1), F32)
        return aligned_bytes(arch(), x.shape, F32) + scale + 5 * statistic + fold_bytes(x.shape, (n, 1, 1, 1))

    def smallest_tile(self, op: Operation) -> int:
        """Bytes a lane of the smallest tile."""
        n, c, h, w = self.view(op)
        lanes = min(c, arch().lanes) if self.view(op) != self.groups(op).shared_view else c
        x = LocalTensor.aligned(arch(), 0, (1, lanes, h, w), F32)
        box = Box.whole(x.shape)
        return 2 * aligned_bytes(arch(), x.shape, F32) + self.scratch(op, Tile((x,), (x,), (box,), box)) + 8 * h * ceil_div(c, arch().lanes)

    def emit(self, op: Any, tile: Tile, e: Bm1684xEmitter) -> None:
        x, out = tile.operands[0], tile.results[0]
        assert x is not None
        n, c, h, w = x.shape
        groups = self.groups(op)
        count = groups.channels * groups.positions
        s = Scratch(tile.scratch)
        centred, scale = s.take(x.shape), s.take((n, c, h, 1))
        mean = self.total(e, x, s)
        e.linear(mean, mean, 1 / count, 0.0)
        e.binary("sub", centred, x, self.spread(e, mean, c, s))
        e.binary("mul", out, centred, centred)
        squares = self.total(e, out, s)
        root = s.take(squares.shape)
        e.linear(squares, squares, 1 / count, op.eps)
        e.reciprocal_sqrt(root, squares)
        wide = self.spread(e, root, c, s)
        for start, size, (weight, bias) in self.factors(op, tile):
            part, result, each, own = (slice_axis(t, N, start, size) for t in (centred, out, wide, scale))
            if weight is not None:
                e.binary("mul", own, each, weight)
            e.binary("mul", result, part, each if weight is None else own)
            if bias is not None:
                e.binary("add", result, result, bias)


class LanesKernel(GroupNormKernel):
    """A group a lane."""

    def view(self, op: Operation) -> Shape4:
        view: Shape4 = self.groups(op).lane_view
        return view

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        view = self.view(op)
        there = known[0] if known else None
        if there is not None and view[2] == 1 and there[:2] == view[:2] and prod(there) == prod(view):
            view = there
        return Views((view, *(None for _ in op.operands[1:])), (view,))

    def splits(self, op: Operation, views: Views) -> str:
        return "nc"

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        groups = self.groups(op)
        shape = (1, groups.groups, groups.channels, 1)
        factors = [weights[v.name].astype(np.float32).reshape(shape) for v in op.operands[1:] if v is not None]
        images = [compact_image(f[:, out.start[1] : out.stop[1]]) for f in factors]
        return np.concatenate(images, axis=1) if images else None

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return len(self.constant_operands(op)) * ceil_div(out.size[1], arch().lanes) * self.groups(op).channels * F32.bytes

    def factors(self, op: Operation, tile: Tile) -> Iterator[tuple[int, int, list[LocalTensor | None]]]:
        at = tile.constants
        n, c, _, _ = tile.results[0].shape
        shape: Shape4 = (1, c, self.groups(op).channels, 1)
        found: list[LocalTensor | None] = []
        for value in (*op.operands[1:], None, None)[:2]:
            found.append(None if value is None else LocalTensor.compact(arch(), at, shape, F32))
            at += 0 if value is None else ceil_div(c, arch().lanes) * shape[2] * F32.bytes
        yield 0, n, found

    def total(self, e: Bm1684xEmitter, x: LocalTensor, s: Scratch) -> LocalTensor:
        sums = s.take((x.shape[0], x.shape[1], 1, 1))
        fold(e, "add", sums, x, s.fork())
        return sums

    def spread(self, e: Bm1684xEmitter, sums: LocalTensor, channels: int, s: Scratch) -> LocalTensor:
        return sums


class SharedKernel(GroupNormKernel):
    """A group over all lanes."""

    def view(self, op: Operation) -> Shape4:
        view: Shape4 = self.groups(op).shared_view
        return view

    def cycles(self, op: Operation) -> int:
        return super().cycles(op) + _CROSSING + _CROSSING // 10 * self.view(op)[0]

    def splits(self, op: Operation, views: Views) -> str:
        return "n"

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        images = [compact_image(self._laid_out(op, weights[v.name])) for v in op.operands[1:] if v is not None]
        return np.concatenate(images, axis=1) if images else None

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return len(self.constant_operands(op)) * self._image_bytes(op)

    def factors(self, op: Operation, tile: Tile) -> Iterator[tuple[int, int, list[LocalTensor | None]]]:
        at = tile.constants
        shape = self._factor_shape(op)
        images: list[LocalTensor | None] = []
        for value in (*op.operands[1:], None, None)[:2]:
            images.append(None if value is None else LocalTensor.compact(arch(), at, shape, F32))
            at += 0 if value is None else self._image_bytes(op)
        first, last = tile.out.start[N], tile.out.stop[N]
        groups = shape[0]
        start = first
        while start < last:
            size = min(last - start, groups - start % groups)
            parts = [None if t is None else slice_axis(t, N, start % groups, size) for t in images]
            yield start - first, size, parts
            start += size

    def total(self, e: Bm1684xEmitter, x: LocalTensor, s: Scratch) -> LocalTensor:
        sums = s.take((x.shape[0], 1, 1, 1))
        fold(e, "add", sums, x, s.fork())
        return sums

    def spread(self, e: Bm1684xEmitter, sums: LocalTensor, channels: int, s: Scratch) -> LocalTensor:
        wide = s.take((sums.shape[0], min(channels, arch().lanes), 1, 1))
        e.lane_broadcast(wide, sums)
        return every_lane(wide, channels)

    def _factor_shape(self, op: Operation) -> Shape4:
        _, c, h, _ = self.view(op)
        return (self.groups(op).groups, c, h, 1)

    def _laid_out(self, op: Operation, data: Array) -> Array:
        shape = self._factor_shape(op)
        row: Array = data.astype(np.float32).reshape(shape[0], -1)
        return np.repeat(row, prod(shape[1:]) // row.shape[1], axis=1).reshape(shape)

    def _image_bytes(self, op: Operation) -> int:
        groups, c, h, _ = self._factor_shape(op)
        return groups * ceil_div(c, arch().lanes) * h * F32.bytes


class GroupChoice(ChoiceKernel):
    """The layout with fewer cycles, of those that fit local memory."""

    def __init__(self, groups: Callable[[Any], Groups]) -> None:
        self.kernels: tuple[GroupNormKernel, ...] = (LanesKernel(groups), SharedKernel(groups))

    def choose(self, op: Any) -> Kernel:
        fitting = [k for k in self.kernels if k.supports(op) is None] or [self.kernels[1]]
        return min(fitting, key=lambda k: k.cycles(op))


class LayerNormChoice(ChoiceKernel):
    """A row a lane; a row over all lanes where rows are too long or few."""

    def __init__(self) -> None:
        self.rows = LayerNormKernel()
        self.shared = SharedKernel(layer_groups)

    def choose(self, op: Any) -> Kernel:
        if self.shared.supports(op) is not None:
            return self.rows
        extent = self.rows.extent(op)
        row: Shape4 = (1, extent.outer, 1, extent.axis)
        row_cycles = _PASSES * pass_cycles(row) + 2 * transfer_cycles(row)
        few = row_cycles > self.shared.cycles(op)
        return self.shared if few or self.rows.supports(op) is not None else self.rows


def register(registry: KernelRegistry) -> None:
    """Register the kernels of this module."""
    registry.add("tpu.GroupNorm", GroupChoice(channel_groups))
    registry.add("tpu.InstanceNorm", GroupChoice(instance_groups))
    registry.add("tpu.LayerNorm", LayerNormChoice())
