"""Filters of dense convolutions as the lanes hold them ("CModel, measured").

A step of the multipliers takes 64 input channels of 8 bits, 32 of 16 bits, or one of F32, so channels interleave: the filter
of an output channel is [input channels / step][kernel rows][kernel columns][step], the last step filled up with zeros. It lies
in the lane of its output channel; output channels of one lane follow one another.
"""

from __future__ import annotations

import math

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arch import align, ceil_div

_STEP = {1: 64, 2: 32, 4: 1}  # input channels by bytes of an element
_RESULTS = {1: 4, 2: 4, 4: 16}  # of a lane (tpu-mlir 1.30.2's estimate)


def inputs_per_step(element: ElementType) -> int:
    """Input channels that one step of a convolution multiplies, which interleave in the filter."""
    return _STEP[element.bytes]


def results_per_step(element: ElementType) -> int:
    """Results of each lane that one step of a convolution adds to."""
    return _RESULTS[element.bytes]


def filter_bytes(inputs: int, taps: int, element: ElementType) -> int:
    """Bytes of one output channel's filter over this many input channels and kernel taps."""
    return align(inputs, inputs_per_step(element)) * taps * element.bytes


def filter_rows(filters: Array, element: ElementType) -> Array:
    """Filters (output channels, input channels, kernel rows, kernel columns) -> one row a channel, in the order of the lane."""
    if filters.dtype != element.numpy:
        raise InternalError(f"filters of {filters.dtype} are no {element.value}")
    outputs, inputs, *kernel = filters.shape
    step, taps = inputs_per_step(element), math.prod(kernel)
    full = np.zeros((outputs, align(inputs, step), taps), filters.dtype)
    full[:, :inputs] = filters.reshape(outputs, inputs, taps)
    return full.reshape(outputs, -1, step, taps).transpose(0, 1, 3, 2).reshape(outputs, -1)


def rows_by_lane(rows: Array) -> Array:
    """One row a channel -> [lanes in use, groups of lanes x row length]: each channel's row in its lane, compact; any type."""
    lanes = arch().lanes
    count, length = rows.shape
    full = np.zeros((ceil_div(count, lanes) * lanes, length), rows.dtype)
    full[:count] = rows
    used = full.reshape(-1, lanes, length).transpose(1, 0, 2)[: min(count, lanes)]
    return np.ascontiguousarray(used).reshape(len(used), -1)


def filter_image(filters: Array, element: ElementType) -> Array:
    """Filters (output channels, input channels, kernel rows, kernel columns) as [lanes in use, elements of a lane]."""
    return rows_by_lane(filter_rows(filters, element))
