"""numpy's broadcasting of tensors of any rank as broadcasting of 4-D views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import prod

from tpumlir_sophgo.kernel import default_view
from tpumlir_sophgo.tensor import Shape4


def broadcast_view(shape: Sequence[int], result: Sequence[int], view: Shape4) -> Shape4 | None:
    """The 4-D view of an operand of ``shape`` that broadcasts to ``view`` as ``shape`` does to ``result`` (numpy's rules).

    None where no axes of 1 can express it: an axis of ``view`` merges broadcast axes with others, or cuts through one.
    """
    operand = [1] * (len(result) - len(shape)) + list(shape)
    sizes = [1, 1, 1, 1]
    for block, axes in _common_blocks(result, view):
        full = [operand[i] for i in block if result[i] != 1]
        if all(d == 1 for d in full):
            continue
        if all(operand[i] == result[i] for i in block):
            for axis in axes:
                sizes[axis] = view[axis]
            continue
        return None
    return (sizes[0], sizes[1], sizes[2], sizes[3])


def _common_blocks(result: Sequence[int], view: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Smallest runs of axes of ``result`` and of ``view`` that hold equally many elements, outermost first."""
    i = j = 0
    while i < len(result) or j < len(view):
        left, right = [i] * (i < len(result)), [j] * (j < len(view))
        a, b = prod(result[x] for x in left), prod(view[x] for x in right)
        i, j = i + len(left), j + len(right)
        while a != b:
            if a < b:
                left.append(i)
                a, i = a * result[i], i + 1
            else:
                right.append(j)
                b, j = b * view[j], j + 1
        yield left, right


def broadcast_views(
    operands: Sequence[Sequence[int] | None], result: Sequence[int], known: Sequence[Shape4 | None] = (),
    per_channel: frozenset[int] = frozenset(),
) -> tuple[list[Shape4 | None], Shape4] | None:
    """Views of all operands (None: absent) and of the result under which numpy broadcasting is broadcasting of axes of 1.

    The view that an operand as large as the result already has comes first, then the default view, then every other way
    to merge the result's axes into four. Operands in ``per_channel`` may vary along c alone. None: there is no such view.
    """
    for view in _candidates(operands, result, known):
        found = [None if s is None else broadcast_view(s, result, view) for s in operands]
        if all(s is None or v is not None for s, v in zip(operands, found, strict=True)) and all(
            v is None or v[0] == v[2] == v[3] == 1 for i, v in enumerate(found) if i in per_channel
        ):
            return found, view
    return None


def _candidates(
    operands: Sequence[Sequence[int] | None], result: Sequence[int], known: Sequence[Shape4 | None]
) -> Iterator[Shape4]:
    elements = prod(result)
    for shape, view in zip(operands, known, strict=False):
        if shape is not None and view is not None and prod(shape) == elements:
            yield view
    yield default_view(result)
    for a, b, c in combinations(range(len(result) + 1), 3):
        yield (prod(result[:a]), prod(result[a:b]), prod(result[b:c]), prod(result[c:]))
