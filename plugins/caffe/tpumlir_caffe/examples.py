"""A small network for the conformance kit and for trying things out, its weights in the text itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Example

SHAPE = (1, 3, 9, 7)
_TEXT = """\
name: "example"
input: "data"
input_shape {{ dim: {0} dim: {1} dim: {2} dim: {3} }}
layer {{
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 3 kernel_size: 3 pad: 1 bias_term: false }}
  blobs {{ shape {{ dim: 3 dim: 3 dim: 3 dim: 3 }} {weights} }}
}}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "sum" type: "Eltwise" bottom: "conv" bottom: "data" top: "sum" }}
layer {{ name: "pool" type: "Pooling" bottom: "sum" top: "pool" pooling_param {{ pool: AVE kernel_size: 2 stride: 2 }} }}
"""


def write_example(path: Path) -> Example:
    """A convolution, an activation in place, a residual addition and a pool; the same bytes every time."""
    random = np.random.default_rng(3)
    weights: Array = random.integers(-8, 9, 81) / 8
    path.write_text(_TEXT.format(*SHAPE, weights=" ".join(f"data: {number}" for number in weights)))
    return Example(path, {"data": random.normal(size=SHAPE).astype(np.float32)})
