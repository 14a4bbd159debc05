"""Single TFLite operators over shapes, options and layouts: what the operator sweep runs.

A case of an image is there twice: as it comes, channels last, and behind a convolution, where the importer has channels first.
"""

from __future__ import annotations

from dataclasses import replace

from sweeps.tflite.case import Case, is_image
from sweeps.tflite.images import convolutions, pools, resizing
from sweeps.tflite.numbers import arithmetic, linear, logic, pointwise
from sweeps.tflite.places import movement, reductions, slices
from sweeps.tflite.sequences import recurrent

GROUPS = (pointwise, arithmetic, logic, convolutions, pools, linear, movement, slices, reductions, resizing, recurrent)


def cases() -> list[Case]:
    """All cases, each name once."""
    found: list[Case] = []
    for group in GROUPS:
        found += group()
    behind = [replace(case, name=f"{case.name} behind", behind=True) for case in found if any(map(is_image, case.operands))]
    return found + behind


