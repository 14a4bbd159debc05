"""What some Caffe layers give, written apart in numpy: those that OpenCV lacks, or computes otherwise than Caffe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Formula = Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]


def depthwise(stride: int, pad: int) -> Formula:
    """A 3 x 3 filter a channel, and a bias."""
    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        x = np.pad(bottoms[0], ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::stride, ::stride]
        return [np.einsum("nchwij,cij->nchw", windows, blobs[0][:, 0]) + blobs[1][:, None, None]]

    return expected


def old_batch_norm(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
    """Layer BN: slope, bias, mean, variance."""
    slope, bias, mean, variance = blobs
    return [(bottoms[0] - mean) / np.sqrt(variance + 1e-5) * slope + bias]


def reorg(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
    """Blocks of 2 x 2 as channels."""
    x = bottoms[0]
    return [np.concatenate([x[:, :, row::2, column::2] for row in range(2) for column in range(2)], 1)]


def repeat(rows: int, columns: int) -> Formula:
    """Every element so many times."""
    return lambda bottoms, blobs: [bottoms[0].repeat(rows, 2).repeat(columns, 3)]


def interp(text: str) -> Formula:
    """Along each axis numpy.interp between the corners."""
    targets = {"height: 9 width: 11": (9, 11), "zoom_factor: 2": (9, 13), "shrink_factor: 2": (3, 4), "zoom_factor: 3": (13, 19)}

    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        x = bottoms[0]
        for axis, target in zip((2, 3), targets[text], strict=True):
            places = np.linspace(0, x.shape[axis] - 1, target)
            x = np.apply_along_axis(lambda line, at: np.interp(at, np.arange(len(line)), line), axis, x, places)
        return [x]

    return expected


def argmax_and_value(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
    """[N, 2, 1, 1]: where the greatest number of an image is, and that number."""
    flat = bottoms[0].reshape(2, -1)
    return [np.stack([flat.argmax(1), flat.max(1)], 1)[..., None, None]]


def pool_floor(fold: Callable[..., Array]) -> Formula:
    """3 x 3 windows at a stride of 2, those that fit."""

    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        windows = np.lib.stride_tricks.sliding_window_view(bottoms[0], (3, 3), (2, 3))[:, :, ::2, ::2]
        return [fold(windows, (4, 5))]

    return expected


def lrn(size: int, alpha: float, beta: float, k: float) -> Formula:
    """Channel by channel."""

    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        x, half = bottoms[0], size // 2
        result = np.empty_like(x)
        for channel in range(x.shape[1]):
            near = x[:, max(0, channel - half) : channel + half + 1]
            result[:, channel] = x[:, channel] / (k + alpha / size * (near**2).sum(1)) ** beta
        return [result]

    return expected


def prior_boxes(sizes: Sequence[tuple[float, float]], step: tuple[float, float]) -> Formula:
    """Boxes of (width, height) around the middle of every cell of ``step`` = (height, width) pixels; variances are 0.1."""

    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        (rows, columns), (height, width) = bottoms[0].shape[2:], bottoms[1].shape[2:]
        found: list[float] = []
        for row in range(rows):
            for column in range(columns):
                y, x = (row + 0.5) * step[0], (column + 0.5) * step[1]
                for w, h in sizes:
                    found += [(x - w / 2) / width, (y - h / 2) / height, (x + w / 2) / width, (y + h / 2) / height]
        return [np.array([[found, [0.1] * len(found)]])]

    return expected


def two_sizes() -> Iterator[tuple[float, float]]:
    """The boxes of min_size 10 and 20, max_size 30 and 40, and the ratios 2 and 1/2."""
    for low, high in ((10, 30), (20, 40)):
        yield low, low
        yield math.sqrt(low * high), math.sqrt(low * high)
        for ratio in (2, 0.5):
            yield low * math.sqrt(ratio), low / math.sqrt(ratio)


def detections(classes: int, keep: int, confidence: float, threshold: float, eta: float) -> Formula:
    """Detections of one image, box by box: codes are offsets of corners in shares of the prior, without variances."""

    def expected(bottoms: Sequence[Array], blobs: Sequence[Array]) -> Sequence[Array]:
        codes, scores, priors = bottoms[0].reshape(-1, 4), bottoms[1].reshape(-1, classes), bottoms[2][0, 0].reshape(-1, 4)
        boxes = [[p[i] + c[i] * (p[2 + i % 2] - p[i % 2]) for i in range(4)] for p, c in zip(priors, codes, strict=True)]
        found = []
        for label in range(1, classes):
            best = sorted((-score, at) for at, score in enumerate(scores[:, label]) if score > confidence)
            limit = threshold
            kept: list[int] = []
            for score, at in best:
                if all(_common(boxes[at], boxes[other]) <= limit for other in kept):
                    kept.append(at)
                    found.append((-score, label, at))
                    limit *= eta if limit > 0.5 else 1
        found = sorted(found, reverse=True)[:keep]
        rows = [[0, label, score, *boxes[at]] for score, label, at in found]
        return [np.array(rows + [[0] * 7] * (keep - len(rows))).reshape(1, 1, keep, 7)]

    return expected


def _common(a: Sequence[float], b: Sequence[float]) -> float:
    """The shared part of two boxes' areas."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)
