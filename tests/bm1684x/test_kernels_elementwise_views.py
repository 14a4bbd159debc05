"""Broadcasting of any rank mapped onto four axes: what numpy does to the shapes, the views must do to the same data."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tpumlir_bm1684x.kernels.broadcasting import broadcast_view, broadcast_views
from tpumlir_core.ir import Array
from tpumlir_sophgo.kernel import default_view

many = settings(max_examples=120, deadline=None, derandomize=True)
dims = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=0, max_size=6)


@st.composite
def factorings(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int, int]]:
    """An operand's shape, the result's, and some view of the result's elements."""
    result = tuple(draw(dims))
    ones = draw(st.lists(st.booleans(), min_size=len(result), max_size=len(result)))
    shape = tuple(1 if one else d for d, one in zip(result, ones, strict=True))[draw(st.integers(0, len(result))) :]
    primes = [p for d in result for p in {1: [], 2: [2], 3: [3], 4: [2, 2], 6: [2, 3]}[d]]
    a, b, c = sorted(draw(st.integers(0, len(primes))) for _ in range(3))
    runs = (primes[:a], primes[a:b], primes[b:c], primes[c:])
    view = tuple(int(np.prod(run, dtype=int)) for run in runs)
    return shape, result, (view[0], view[1], view[2], view[3])


@many
@given(factorings())
def test_a_view_broadcasts_as_the_shape_does(case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int, int]]) -> None:
    shape, result, view = case
    found = broadcast_view(shape, result, view)
    data = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    expected = np.broadcast_to(data, result).reshape(view)
    if found is not None:
        np.testing.assert_array_equal(np.broadcast_to(data.reshape(found), view), expected)
    else:
        assert not any_axes_of_one(expected)


def any_axes_of_one(expected: Array) -> bool:
    """Whether keeping the first element of some axes holds every distinct value once: then a view of axes of 1 exists."""
    for mask in range(16):
        part = expected[tuple(slice(0, 1) if mask >> axis & 1 else slice(None) for axis in range(4))]
        if part.size == np.unique(expected).size and np.array_equal(np.broadcast_to(part, expected.shape), expected):
            return True
    return False


@many
@given(st.lists(factorings(), min_size=1, max_size=1), st.booleans())
def test_known_views_come_first(cases: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int, int]]], alone: bool) -> None:
    shape, result, view = cases[0]
    operands = [result] if alone else [result, shape]
    found = broadcast_views(operands, result, [view, None][: len(operands)])
    if found is None:
        assert len(result) > 4
    elif alone or broadcast_view(shape, result, view) is not None:
        assert found[1] == view
    else:
        assert np.prod(found[1]) == np.prod(view)


def test_default_view_without_knowledge() -> None:
    for shape in ((), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)):
        found = broadcast_views([shape, shape], shape)
        assert found is not None
        assert found[1] == default_view(shape)


def test_merging_around_a_broadcast_axis_in_the_middle() -> None:
    found = broadcast_views([(2, 3, 4, 5, 6), (2, 3, 1, 5, 6)], (2, 3, 4, 5, 6))
    assert found is not None
    assert found[0][1] == (2, 3, 1, 30)
    assert broadcast_views([(2, 3, 4, 5, 6), (2, 1, 4, 1, 6)], (2, 3, 4, 5, 6)) is None
