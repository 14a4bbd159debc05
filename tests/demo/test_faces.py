"""Decoding of the detector's maps, by maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from demo.faces import Face, decode


def maps(rows: int = 6, columns: int = 8) -> list[np.ndarray]:
    """Maps without any face."""
    return [np.zeros((1, channels, rows, columns), np.float32) for channels in (1, 2, 2, 10)]


def test_one_cell_is_one_box() -> None:
    heat, size, offset, marks = maps()
    heat[0, 0, 2, 5] = 0.9
    size[0, :, 2, 5] = np.log([3.0, 2.0])  # 3 cells high, 2 wide
    offset[0, :, 2, 5] = 0.25, -0.5
    (face,) = decode([heat, size, offset, marks])
    assert face.centre == pytest.approx(((5 - 0.5 + 0.5) * 4, (2 + 0.25 + 0.5) * 4))
    assert (face.right - face.left, face.bottom - face.top) == pytest.approx((8, 12), rel=1e-6)
    assert face.score == pytest.approx(0.9)


def test_of_overlapping_boxes_the_likeliest_is_kept() -> None:
    heat, size, offset, marks = maps()
    size[...] = np.log(3.0)
    for (row, column), score in {(2, 2): 0.7, (2, 3): 0.8, (2, 7): 0.6, (5, 0): 0.4}.items():
        heat[0, 0, row, column] = score
    assert [face.score for face in decode([heat, size, offset, marks])] == pytest.approx([0.8, 0.6])


def test_nothing_is_found_in_nothing() -> None:
    assert decode(maps()) == []
    assert Face(3, 3, 2, 2, 1.0).area == 0
