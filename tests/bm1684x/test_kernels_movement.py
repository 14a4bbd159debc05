"""Data movement on the emulator, through the scheduler, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bm1684x.modules import Builder, shapes_text
from tpumlir_sophgo.testing.cmodel import Machine

CONCATS: list[tuple[int, list[tuple[int, ...]]]] = [
    (1, [(2, 3, 5, 7), (2, 70, 5, 7), (2, 64, 5, 7)]), (2, [(1, 70, 3, 5), (1, 70, 4, 5)]), (3, [(1, 70, 3, 5), (1, 70, 3, 2)]),
    (0, [(1, 70, 3, 5), (2, 70, 3, 5)]), (4, [(2, 3, 4, 5, 6), (2, 3, 4, 5, 1)]), (3, [(2, 3, 4, 5, 6), (2, 3, 4, 2, 6)]),
    (1, [(3, 5), (3, 70)]), (2, [(3, 5, 7), (3, 5, 1)]), (0, [(5,), (9,)]), (1, [(1, 33, 300, 301), (1, 50, 300, 301)]),
]


@pytest.mark.parametrize(("axis", "shapes"), CONCATS, ids=[f"{a} {shapes_text(s)}" for a, s in CONCATS])
def test_concat(machine: Machine, axis: int, shapes: list[tuple[int, ...]]) -> None:
    b = Builder()
    b.check(machine, b.op("Concat", *[b.input(*s) for s in shapes], axis=axis, do_relu=axis == 1), tolerance=0)


@given(data=st.data(), rank=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_slice(machine: Machine, data: Any, rank: int) -> None:
    shape = [data.draw(st.integers(1, 70 if i == 1 else 9)) for i in range(rank)]
    steps = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    first = [data.draw(st.integers(0, d - 1)) for d in shape]
    ends = [data.draw(st.integers(f + 1, d) if s > 0 else st.integers(-1, f - 1)) for f, d, s in zip(first, shape, steps, strict=True)]
    ends = [e if e >= 0 else -d - 1 for e, d in zip(ends, shape, strict=True)]
    b = Builder()
    b.check(machine, b.op("Slice", b.input(*shape), offset=tuple(first), steps=tuple(steps), ends=tuple(ends)), tolerance=0)


@given(data=st.data(), rank=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_permute(machine: Machine, data: Any, rank: int) -> None:
    shape = [data.draw(st.integers(1, 9)) for _ in range(rank)]
    b = Builder()
    b.check(machine, b.op("Permute", b.input(*shape), order=tuple(data.draw(st.permutations(range(rank))))), tolerance=0)


@given(n=st.integers(1, 3), c=st.integers(1, 200), w=st.integers(1, 150))
@settings(max_examples=25, deadline=None)
def test_exchange_of_the_last_axes(machine: Machine, n: int, c: int, w: int) -> None:
    b = Builder()
    b.check(machine, b.op("Permute", b.op("Relu", b.input(n, c, w)), order=(0, 2, 1)), tolerance=0)


@pytest.mark.parametrize(("shape", "order"), [((1, 1500, 1700), (0, 2, 1)), ((2, 70, 13, 9), (0, 2, 3, 1)), ((3, 5, 7, 4), (0, 3, 1, 2))])
def test_exchange_beyond_local_memory_and_of_images(machine: Machine, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    b = Builder()
    b.check(machine, b.op("Permute", b.op("Relu", b.input(*shape)), order=order), tolerance=0)


@pytest.mark.parametrize("shape", [(1, 800, 803, 3), (2, 61, 53, 3), (8, 40, 52, 4), (9, 16, 20, 2), (1, 7, 331, 3), (3, 127, 2)])
def test_pixels_to_planes(machine: Machine, shape: tuple[int, ...]) -> None:
    b = Builder()
    last = len(shape) - 1
    b.check(machine, b.op("Permute", b.op("Relu", b.input(*shape)), order=(0, last, *range(1, last))), tolerance=0)


def test_pixels_to_planes_of_a_part_of_a_tile(machine: Machine) -> None:
    b = Builder()
    x = b.op("AddConst", b.input(1, 70, 64, 3), const_val=1.5)
    part = b.op("Slice", x, offset=(0, 5, 0, 0), steps=(1, 1, 1, 1), ends=(1, 70, 64, 3))
    b.check(machine, b.op("Permute", part, order=(0, 3, 1, 2)), b.op("Permute", x, order=(0, 3, 1, 2)), tolerance=1e-6)


@pytest.mark.parametrize(("shape", "order"), [
    ((1, 70, 2, 2, 9, 11), (0, 1, 4, 2, 5, 3)), ((2, 32, 36, 4), (0, 3, 2, 1)), ((300, 2, 6, 2), (0, 2, 1, 3)), ((3, 5, 7), (2, 1, 0)),
    ((2, 66, 5, 7), (0, 1, 3, 2)), ((3, 66, 4, 5, 6), (0, 1, 4, 3, 2)), ((9, 3, 40), (1, 0, 2)),
])
def test_permutation_within_lanes(machine: Machine, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    b = Builder()
    b.check(machine, b.op("Relu", b.op("Permute", b.op("AddConst", b.input(*shape), const_val=1.5), order=order)), tolerance=1e-6)


def test_permutation_within_lanes_of_a_part_of_a_tile(machine: Machine) -> None:
    b = Builder()
    x = b.op("AddConst", b.input(1, 66, 12, 9), const_val=1.5)
    wide = b.op("Pad", x, paddings=(0, 0, 1, 1, 0, 0, 1, 1), mode="edge")
    part = b.op("Slice", x, offset=(0, 0, 2, 1), steps=(1, 1, 2, 2), ends=(1, 66, 12, 9))
    b.check(machine, wide, b.op("Permute", part, order=(0, 1, 3, 2)), b.op("Permute", x, order=(0, 1, 3, 2)), tolerance=1e-6)


@given(data=st.data(), rank=st.integers(1, 4), mode=st.sampled_from(["constant", "edge", "reflect", "symmetric"]))
@settings(max_examples=40, deadline=None)
def test_pad(machine: Machine, data: Any, rank: int, mode: str) -> None:
    shape = [data.draw(st.integers(1, 70 if i == 1 else 7)) for i in range(rank)]
    most = [d - 1 if mode == "reflect" else min(d, 3) for d in shape]
    pads = [data.draw(st.integers(0, min(m, 3))) for m in (*most, *most)]
    b = Builder()
    b.check(machine, b.op("Pad", b.input(*shape), paddings=tuple(pads), mode=mode, val=1.5), tolerance=0)


@pytest.mark.parametrize(("shape", "order"), [
    ((1, 1, 100003, 1), (0, 3, 2, 1)), ((2, 100003, 3), (0, 2, 1)), ((100003, 2, 2), (1, 0, 2)), ((3, 131074), (1, 0)),
])
def test_permutation_of_axes_longer_than_size_fields(machine: Machine, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    """Of a length that is prime, or twice one."""
    b = Builder()
    b.check(machine, b.op("Permute", b.input(*shape), order=order), tolerance=0)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(("shape", "pads"), [
    ((1, 1, 43844), (0, 0, 5, 0, 0, 4)), ((2, 3, 200, 201), (0, 0, 3, 2, 0, 0, 1, 4)), ((2, 3, 2, 4, 3), (0, 1, 0, 2, 1, 1, 0, 1, 2, 1)),
])
def test_pad_beyond_local_memory_and_of_many_axes(machine: Machine, shape: tuple[int, ...], pads: tuple[int, ...], mode: str) -> None:
    b = Builder()
    b.check(machine, b.op("Pad", b.input(*shape), paddings=pads, mode=mode, val=-2.5), tolerance=0)


@pytest.mark.parametrize(("shape", "tile"), [
    ((1, 3, 4, 5), (2, 3, 1, 2)), ((2, 3, 4), (1, 1, 70)), ((5,), (3,)), ((2, 66, 1), (1, 1, 211)), ((3, 7, 70000), (1, 2, 1)),
    ((1, 5), (9, 1)), ((700, 3, 5), (1, 30, 1)), ((2, 1, 3), (1, 70000, 1)),
])
def test_tile(machine: Machine, shape: tuple[int, ...], tile: tuple[int, ...]) -> None:
    b = Builder()
    b.check(machine, b.op("Tile", b.input(*shape), tile=tile), tolerance=0)


@pytest.mark.parametrize(("shape", "axis", "indices"), [
    ((7, 5), 0, [[3, 1], [1, 0]]), ((3, 70, 5), 1, [69, 0, 33, 33]), ((2, 3, 7, 4, 2), 2, [[6, 1, 0]]), ((9,), 0, [8, 0]),
    ((70000, 2), 0, [69999, 1]),
])
def test_gather(machine: Machine, shape: tuple[int, ...], axis: int, indices: Any) -> None:
    b = Builder()
    b.check(machine, b.op("Gather", b.input(*shape), b.weight(np.array(indices)), axis=axis), tolerance=0)


def test_reverse(machine: Machine) -> None:
    b = Builder()
    b.check(machine, b.op("Reverse", b.input(2, 70, 3), axis=1), tolerance=0)
