"""A kernel that leaves each operation to the one of several kernels that suits it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from tpumlir_core.ir import Operation, WeightStore
from tpumlir_sophgo.kernel import Kernel, LaneImage, Tile, Views
from tpumlir_sophgo.tensor import Box, Shape4


class ChoiceKernel(Kernel):
    """Asks ``choose`` for the kernel of an operation, and that kernel everything else."""

    @abstractmethod
    def choose(self, op: Any) -> Kernel:
        """The kernel for an operation; always the same one for the same operation."""

    def takes(self, op: Operation) -> bool:
        return self.choose(op).takes(op)

    def supports(self, op: Operation) -> str | None:
        return self.choose(op).supports(op)

    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        return self.choose(op).views(op, known)

    def splits(self, op: Operation, views: Views) -> str:
        return self.choose(op).splits(op, views)

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        return self.choose(op).input_slices(op, views, out)

    def constant_operands(self, op: Operation) -> frozenset[int]:
        return self.choose(op).constant_operands(op)

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        return self.choose(op).constants(op, views, out, weights)

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        return self.choose(op).constant_bytes(op, views, out, weights)

    def piece_axis(self, op: Operation, views: Views) -> int:
        return self.choose(op).piece_axis(op, views)

    def piece_unit(self, op: Operation, views: Views) -> int:
        return self.choose(op).piece_unit(op, views)

    def writes_parts(self, op: Operation) -> bool:
        return self.choose(op).writes_parts(op)

    def scratch(self, op: Operation, tile: Tile) -> int:
        return self.choose(op).scratch(op, tile)

    def emit(self, op: Operation, tile: Tile, e: Any) -> None:
        self.choose(op).emit(op, tile, e)
