"""A model as both formats give it: inputs, and a walk over its calls that a machine carries out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tpumlir_torch.storages import Stored
from tpumlir_torch.tensor import Call


class Machine(Protocol):
    """Whoever carries out a program: it builds the Top function, or computes in PyTorch. Tensors are its own objects."""

    def stored(self, name: str, stored: Stored) -> Any:
        """A tensor of the model file."""

    def call(self, call: Call) -> Any:
        """The results of an operator."""

    def shape(self, tensor: Any) -> tuple[int, ...]:
        """The extents of a tensor."""

    def dtype(self, tensor: Any) -> str:
        """The element type of a tensor."""

    def number(self, tensor: Any) -> bool | int | float:
        """The only element of a tensor that does not depend on the input's data."""

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is a tensor."""


@dataclass(frozen=True)
class ProgramInput:
    """An input of a model: its shape (None for an open extent, or where nothing is said of it) and element type.

    ``symbols`` name the open extents: those of one name are equal.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str
    symbols: tuple[str, ...] = ()


class Program(ABC):
    """A model that was read."""

    inputs: Sequence[ProgramInput]
    fixed: bool
    """Whether the program holds for its own shapes alone."""

    @abstractmethod
    def run(self, machine: Machine, tensors: Sequence[Any]) -> list[tuple[str, Any]]:
        """The outputs, each with what the model calls it ("" for nothing), for input tensors of the machine."""

    @abstractmethod
    def operators(self) -> Mapping[str, int]:
        """How often each operator is written in the model."""
