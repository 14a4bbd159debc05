"""What converters work with: a tensor of the network at import, and the kinds of arguments that operators take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tpumlir_core.ir import Value


@dataclass(eq=False)
class Tensor:
    """A tensor at import: the Top value that it is now, and its PyTorch type.

    One object for every alias: an operator that works in place changes ``value`` and counts ``version`` up. ``view`` tells whose
    part it is; ``state`` marks the model's own parameters and buffers. ``stale`` names the node after which nobody knows what it is.
    """

    value: Value
    dtype: str
    view: View | None = None
    version: int = 0
    state: bool = False
    stale: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents."""
        return self.value.shape

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.value.shape)


@dataclass(eq=False)
class View:
    """How a tensor is a part of another: ``again`` takes it from what the base is now, ``put`` gives the base with it changed.

    ``put`` is None where PyTorch decides by the layout in memory whether it is a view at all.
    """

    base: Tensor
    seen: int
    again: Callable[[], Tensor]
    put: Callable[[Tensor], Tensor] | None


@dataclass(frozen=True)
class Device:
    """A device that a model names; where a network runs is not its own affair."""

    name: str


@dataclass(frozen=True)
class Call:
    """A call of an operator: ``operator`` as ``aten::add``, arguments by position and name, what its results are called, and the
    node for messages."""

    operator: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    results: tuple[str, ...]
    label: str


Number = bool | int | float
Ints = tuple[int, ...]
Floats = tuple[float, ...]
Tensors = tuple[Tensor, ...]
Operand = Tensor | bool | int | float
Result = Tensor | Number | list["Tensor"] | tuple[Any, ...] | None
