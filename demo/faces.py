"""What CenterFace's outputs mean: from its four maps to boxes around faces, with numpy alone.

Every cell of the maps stands for 4x4 pixels of the image. Map 0 is how likely a face's centre lies in the cell, map 1 the
logarithm of its height and width in cells, map 2 where in the cell the centre lies (y, x), map 3 landmarks, not used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
STRIDE = 4
"""Pixels of the image a cell is wide and high."""
OVERLAP = 0.3
"""Of two boxes that share more of their union than this, the likelier one is kept."""


@dataclass(frozen=True)
class Face:
    """A box in pixels of the image, and how sure the network is (0 to 1)."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        """x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def area(self) -> float:
        """Pixels inside."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


def decode(maps: Sequence[Array], threshold: float = 0.5) -> list[Face]:
    """The faces in maps of batch 1, likeliest first: heat [1,1,h,w], size [1,2,h,w], offset [1,2,h,w]."""
    heat, size, offset = (np.asarray(array, np.float64)[0] for array in maps[:3])
    rows, columns = np.nonzero(heat[0] > threshold)
    heights, widths = np.exp(size[:, rows, columns]) * STRIDE
    y = (rows + offset[0, rows, columns] + 0.5) * STRIDE
    x = (columns + offset[1, rows, columns] + 0.5) * STRIDE
    scores = heat[0, rows, columns]
    edges = np.stack([x - widths / 2, y - heights / 2, x + widths / 2, y + heights / 2, scores], axis=1)
    faces = [Face(*map(float, edge)) for edge in edges[np.argsort(-scores, kind="stable")]]
    return _without_overlaps(faces)


def _without_overlaps(faces: Sequence[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in faces:
        if all(overlap(face, other) <= OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(a: Face, b: Face) -> float:
    """Intersection over union."""
    both = Face(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom), 0.0).area
    return both / (a.area + b.area - both) if both else 0.0
