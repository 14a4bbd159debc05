"""Resizing against OpenCV: its results on a pattern, written down, and a plain float formula on any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_core.ir import Array
from tpumlir_core.preprocess.resize import resize

# What cv2.resize (opencv-python-headless 4.8.0) makes of pattern(h, w, 1): (h, w, new h, new w), rows.
OPENCV = [
    ((7, 5, 3, 4), [[128, 111, 53, 99], [58, 104, 150, 196], [154, 201, 142, 53]]),
    (
        (3, 4, 5, 7),
        [
            [0, 13, 34, 55, 77, 98, 111],
            [59, 72, 93, 115, 128, 92, 70],
            [148, 161, 182, 204, 207, 84, 8],
            [86, 99, 120, 142, 155, 119, 97],
            [45, 58, 79, 100, 122, 143, 156],
        ],
    ),
    ((6, 6, 3, 3), [[67, 78, 152], [197, 83, 94], [139, 213, 36]]),
    ((4, 1, 2, 3), [[19, 19, 19], [93, 93, 93]]),
    ((1, 3, 2, 5), [[0, 15, 37, 59, 74], [0, 15, 37, 59, 74]]),
]
sizes = st.integers(1, 40)


def pattern(height: int, width: int, channels: int) -> Array:
    """Pixels with steps of all sizes."""
    return (np.arange(height * width * channels) * 37 % 251).astype(np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize(("size", "expected"), OPENCV)
def test_as_opencv_to_the_bit(size: tuple[int, int, int, int], expected: list[list[int]]) -> None:
    height, width, *new = size
    assert resize(pattern(height, width, 1), *new)[:, :, 0].tolist() == expected


def weights(before: int, after: int) -> Array:
    """[after, before]: how much of each old pixel is in a new one."""
    matrix = np.zeros((after, before))
    for place in range(after):
        center = min(max((place + 0.5) * before / after - 0.5, 0), before - 1)
        left = int(center)
        matrix[place, left] += 1 - (center - left)
        matrix[place, min(left + 1, before - 1)] += center - left
    return matrix


@given(sizes, sizes, sizes, sizes, st.integers(1, 4))
def test_bilinear_to_one_level(height: int, width: int, new_height: int, new_width: int, channels: int) -> None:
    image = pattern(height, width, channels)
    found = resize(image, new_height, new_width)
    expected = np.einsum("ih,jw,hwc->ijc", weights(height, new_height), weights(width, new_width), image.astype(np.float64))
    assert found.dtype == np.uint8
    assert found.shape == (new_height, new_width, channels)
    assert np.abs(found - expected).max() <= 1.01
