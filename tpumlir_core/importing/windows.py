"""Padding of convolutions and pools, as the frameworks say it: SAME, and rounding the number of windows up."""

from __future__ import annotations

from collections.abc import Sequence


def split_padding(totals: Sequence[int], mode: str) -> tuple[int, ...]:
    """Begins then ends of total paddings: an odd one goes to the begin with mode SAME_LOWER, else to the end."""
    small = [max(0, t) // 2 for t in totals]
    large = [max(0, t) - s for t, s in zip(totals, small, strict=True)]
    return tuple(large + small) if mode == "SAME_LOWER" else tuple(small + large)


def same_pads(
    spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], mode: str = "SAME_UPPER"
) -> tuple[int, ...]:
    """Begins then ends of the padding with which there are ceil(extent / stride) windows along each axis."""
    windows = zip(spatial, kernel, strides, dilations, strict=True)
    return split_padding([(-(-n // s) - 1) * s + (k - 1) * d + 1 - n for n, k, s, d in windows], mode)


def ceil_end(extent: int, kernel: int, stride: int, begin: int, end: int) -> int:
    """The end padding up to which the last window reaches when their number is rounded up; none starts in the end padding."""
    outputs = -(-(extent + begin + end - kernel) // stride) + 1
    if (outputs - 1) * stride >= extent + begin:
        outputs -= 1
    return max(end, (outputs - 1) * stride + kernel - extent - begin)
