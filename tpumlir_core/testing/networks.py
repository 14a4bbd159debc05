"""Small Top networks, and what a module computes by the core's reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_core.testing.cases import Batch, Case, Operand, batch


def small_networks() -> dict[str, Batch]:
    """Networks that most plugins can do, by name, with inputs."""
    image, filters = Operand((1, 3, 6, 5)), Operand((4, 3, 3, 3), -1, 1, weight=True)
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
    return {
        "a ReLU": batch([Case("Relu", (Operand((2, 5)),))]),
        "a convolution": batch([Case("Conv", (image, filters, Operand((4,), weight=True)), window)]),
        "a sum and a product": batch([Case("Add", (image, image)), Case("MatMul", (Operand((3, 5)), Operand((5, 4), weight=True), None))]),
    }


def reference(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The network's outputs by the core's reference."""
    arrays = NumpyInterpreter().run(module, inputs)
    return {value.name: arrays[value.name] for value in module.function.outputs}


def ranges(sample: Batch) -> dict[str, CalibratedRange]:
    """The least and greatest value of every tensor: calibration on a sample's own inputs."""
    arrays = NumpyInterpreter().run(sample.module, sample.inputs)
    return {
        name: CalibratedRange(float(np.abs(array).max()) or 1.0, float(array.min()), float(array.max())) for name, array in arrays.items()
    }
