"""One TFLite operator as a network of its own: what it is fed with, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_tflite.model import ABSENT
from tpumlir_tflite.writing import ModelWriter

FUSED = (1, 2, 3)
"""The activations that TFLite's kernels compute: RELU, RELU_N1_TO_1, RELU6. They leave out TANH, whatever the file says."""


@dataclass(frozen=True)
class Fed:
    """An operand that is fed: its shape, its type, and numbers from ``low`` to ``high``."""

    shape: tuple[int, ...]
    type: str = "FLOAT32"
    low: float = -2.0
    high: float = 2.0

    def draw(self, random: np.random.Generator) -> Array:
        """Numbers for it."""
        if self.type == "FLOAT32":
            return random.uniform(self.low, self.high, self.shape).astype(np.float32)
        integers = random.integers(int(self.low), int(self.high), self.shape, endpoint=True)
        return integers.astype(bool if self.type == "BOOL" else np.int32)


@dataclass(frozen=True)
class State:
    """An operand that the operator keeps from run to run, zeros at first."""

    shape: tuple[int, ...]


Operand = Fed | Array | State | None
"""None: an operand that is left out."""


@dataclass(frozen=True)
class Case:
    """One operator: its operands (fed, constant, kept or left out), the types of its results, its options."""

    name: str
    operator: str
    operands: tuple[Operand, ...]
    results: tuple[str, ...] = ("FLOAT32",)
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    behind: bool = False
    """Whether images come out of a convolution."""
    declared: tuple[int, ...] = (1,)
    """Shape of the results as the file has it, which few kernels look at."""

    def write(self) -> bytes:
        """The file of the network."""
        model, inputs, numbers = ModelWriter(), [], []
        for position, operand in enumerate(self.operands):
            if isinstance(operand, Fed):
                inputs.append(model.tensor(f"x{position}", operand.shape, operand.type))
                numbers.append(_convolved(model, inputs[-1], operand) if self.behind and is_image(operand) else inputs[-1])
            elif isinstance(operand, State):
                numbers.append(model.variable(f"s{position}", operand.shape))
            else:
                numbers.append(ABSENT if operand is None else model.constant(f"c{position}", operand))
        outputs = [model.tensor(f"y{i}", self.declared, kind) for i, kind in enumerate(self.results)]
        model.call(self.operator, numbers, outputs, self.options, **self.fields)
        return model.data(inputs, outputs)

    def feeds(self) -> dict[str, Array]:
        """The inputs by name."""
        random = np.random.default_rng(sum(self.name.encode()))
        return {f"x{i}": operand.draw(random) for i, operand in enumerate(self.operands) if isinstance(operand, Fed)}


def is_image(operand: Operand) -> bool:
    return isinstance(operand, Fed) and len(operand.shape) == 4 and operand.type == "FLOAT32"


def _convolved(model: ModelWriter, x: int, operand: Fed) -> int:
    """The image through a convolution that leaves it as it is."""
    channels = operand.shape[3]
    weights = model.constant(f"identity{x}", np.eye(channels, dtype=np.float32).reshape(channels, 1, 1, channels))
    made = model.tensor(f"convolved{x}", operand.shape)
    bias = model.constant(f"zeros{x}", np.zeros(channels, np.float32))
    model.call("CONV_2D", [x, weights, bias], [made], "Conv2DOptions", StrideH=1, StrideW=1)
    return made


def i32(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def f32(number: float) -> Array:
    return np.array(number, np.float32)


random = np.random.default_rng


def weights(*shape: int) -> Array:
    return random(sum(shape)).normal(0, 0.5, shape).astype(np.float32)
