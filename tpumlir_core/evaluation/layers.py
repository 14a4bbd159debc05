"""Which layers of a lowered network lose most: every tensor against its float original, over several samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tpumlir_core.ir import Array, Module, Operation, Value
from tpumlir_core.ir.top import Input, Weight


@dataclass(frozen=True)
class LayerLoss:
    """One tensor of a lowered network beside its float original, over all samples.

    ``cosine``: of the angle between them. ``error``: the size of their difference relative to the original's, |a - b| / |b|.
    ``added``: what of that the layer itself brings in, besides the largest error of its operands; squares of errors add up.
    ``element``: how the lowered network stores it.
    """

    name: str
    operation: str
    element: str
    cosine: float
    error: float
    added: float


@dataclass
class _Sums:
    """Over all samples: |b|^2, |a|^2, a b, |a - b|^2 of a tensor ``a`` and its original ``b``."""

    values: Array = field(default_factory=lambda: np.zeros(4))

    def add(self, ours: Array, original: Array) -> None:
        a, b = (np.asarray(array, np.float64).reshape(-1) for array in (ours, original))
        self.values += (b @ b, a @ a, a @ b, (a - b) @ (a - b))

    @property
    def error(self) -> float:
        signal, noise = float(self.values[0]), float(self.values[3])
        return math.sqrt(noise / signal) if signal else float(noise > 0)

    @property
    def cosine(self) -> float:
        lengths = math.sqrt(float(self.values[0] * self.values[1]))
        return float(self.values[2]) / lengths if lengths else float(not (self.values[0] or self.values[1]))


def originals(lowered: Module, names: Iterable[str]) -> dict[Value, str]:
    """Computed floats of a lowered module, and the tensor among ``names`` that each stands for: of its name, or what it converts."""
    known, found = set(names), dict[Value, str]()
    for operation in lowered.function.operations:
        for value in () if isinstance(operation, Weight) else operation.results:
            source = operation.operands[0] if operation.opcode == "tpu.Cast" else None
            name = value.name if value.name in known else found.get(source, "") if source is not None else ""
            if name and (value.type.element.is_float or value.type.quantization is not None):
                found[value] = name
    return found


def layer_losses(
    lowered: Module, pairs: Iterable[tuple[Mapping[str, Array], Mapping[str, Array]]], names: Iterable[str]
) -> list[LayerLoss]:
    """Every tensor that has an original among ``names``, what loses most by itself first.

    ``pairs``: for each sample the tensors of the lowered module in real numbers and the original ones, both by name.
    """
    standing = originals(lowered, names)
    sums = {value: _Sums() for value in standing}
    for ours, reference in pairs:
        for value, name in standing.items():
            if ours[value.name].size == reference[name].size:
                sums[value].add(ours[value.name], reference[name])
    losses = _losses(lowered, sums)
    return sorted(losses, key=lambda loss: -loss.added)


def _losses(lowered: Module, sums: Mapping[Value, _Sums]) -> list[LayerLoss]:
    errors: dict[Value, float] = {}
    losses = []
    for operation in lowered.function.operations:
        before = max((errors.get(value, 0.0) for value in operation.operands if value is not None), default=0.0)
        for value in operation.results:
            errors[value] = sums[value].error if value in sums else before
            if value in sums and not isinstance(operation, Input):
                losses.append(_loss(operation, value, sums[value], before))
    return losses


def _loss(operation: Operation, value: Value, found: _Sums, before: float) -> LayerLoss:
    added = math.sqrt(max(found.error**2 - before**2, 0.0))
    return LayerLoss(value.name, operation.opcode, value.type.element.value, found.cosine, found.error, added)
