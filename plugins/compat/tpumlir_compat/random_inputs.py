"""Inputs for networks that nobody has given any, by what inputs of such names usually hold (as tpu-mlir 1.30.2 guesses)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpumlir_core.ir import Array, Module
from tpumlir_core.preprocess import InputSpec

MASKED = -1e4
"""What an attention mask has where nothing may be looked at."""
DEVIATION = 0.1
"""Of float inputs."""
LARGEST = 64
"""Of inputs that are whole numbers."""


def random_inputs(specs: Sequence[InputSpec], module: Module, seed: int) -> dict[str, Array]:
    """An array for each input: a causal mask, positions, indices, or small random numbers. The same seed gives the same."""
    chance = np.random.default_rng(seed)
    types = {op.output.name: op.output.type.element.numpy for op in module.function.operations if op.opcode == "top.Input"}
    return {spec.name: _array(spec.name.lower(), spec.shape, np.dtype(types[spec.name]), chance) for spec in specs}


def _array(name: str, shape: tuple[int, ...], kind: np.dtype[np.generic], chance: np.random.Generator) -> Array:
    is_float = np.issubdtype(kind, np.floating)
    if "mask" in name and len(shape) > 1:
        seen = np.tri(shape[-2], shape[-1])
        return np.broadcast_to((1 - seen) * MASKED if is_float else seen, shape).astype(kind)
    if shape and ("position" in name or "pos_id" in name or name.endswith("_ids")):
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(kind)
    if "index" in name and shape:
        return chance.integers(0, max(min(shape), 1), shape).astype(kind)
    return (chance.standard_normal(shape) * DEVIATION if is_float else chance.integers(0, LARGEST + 1, shape)).astype(kind)
