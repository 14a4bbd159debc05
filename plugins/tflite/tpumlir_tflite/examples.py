"""Small models for the conformance kit and for trying things out, written without the framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.plugins.extension_points import Example
from tpumlir_tflite.writing import ModelWriter

SHAPE = (1, 9, 7, 3)
"""Of the image that goes in: batch, height, width, channels."""


def write_examples(folder: Path) -> Sequence[Example]:
    """A convolution, an activation and a residual addition; the same bytes every time."""
    random = np.random.default_rng(3)
    model = ModelWriter()
    x, c, y = (model.tensor(name, SHAPE) for name in ("x", "c", "y"))
    weights = model.constant("w", random.normal(size=(3, 3, 3, 3)).astype(np.float32))
    bias = model.constant("b", random.normal(size=3).astype(np.float32))
    model.call("CONV_2D", [x, weights, bias], [c], "Conv2DOptions", StrideH=1, StrideW=1, FusedActivationFunction=1)
    model.call("ADD", [c, x], [y], "AddOptions")
    path = folder / "example.tflite"
    path.write_bytes(model.data([x], [y]))
    return [Example(path, {"x": random.normal(size=SHAPE).astype(np.float32)})]
