"""Passes that plugins add to a pipeline: where they go, relative to the passes that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tpumlir_core.errors import InternalError

if TYPE_CHECKING:
    from tpumlir_core.passes.framework import Pass


@dataclass(frozen=True)
class Insert:
    """A pass and its place in a pipeline: before the first pass called ``before``, or after the last one called ``after``.

    Exactly one of the two is given (else InternalError). It may name a pass that another plugin inserts.
    """

    step: Pass
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        if bool(self.before) == bool(self.after):
            raise InternalError(f"Insert of pass {self.step.name}: name the pass that it goes before, or the one that it goes after")


def place(passes: Sequence[Pass], inserts: Sequence[Insert]) -> tuple[list[Pass], list[Insert]]:
    """``passes`` with the inserted ones in their places, and the inserts whose pass is not there.

    Inserts at one place keep their order.
    """
    pending = list(inserts)
    later = Counter(step.name for step in passes)
    placed: list[Pass] = []

    def put(step: Pass) -> None:
        later[step.name] -= 1
        for insert in [i for i in pending if i.before == step.name]:
            _put_once(insert)
        placed.append(step)
        if later[step.name] <= 0:
            for insert in [i for i in pending if i.after == step.name]:
                _put_once(insert)

    def _put_once(insert: Insert) -> None:
        if any(i is insert for i in pending):  # else a pass beside it has brought it along
            pending[:] = [i for i in pending if i is not insert]
            put(insert.step)

    for step in passes:
        put(step)
    return placed, pending
