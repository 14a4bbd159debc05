"""The hooks: functions that a plugin of group ``tpumlir.hooks`` may define, all of which are called.

A hook plugin is a module, an object, or a class that can be made without arguments; it marks its functions with ``hookimpl``.
They take the arguments below by name and may leave out those that they do not need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from tpumlir_core.passes.framework import Pass, PassRegistry, PipelineOptions
from tpumlir_core.passes.insertion import Insert

__all__ = ["Hooks", "Insert", "Pass", "PassRegistry", "PipelineOptions", "Section", "hookimpl"]

PROJECT = "tpumlir"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class Section:
    """A part of what is said about a compiled file: a title of its own, and facts by name, JSON values, in order."""

    title: str
    facts: Mapping[str, Any]


class Hooks:
    """What can be hooked. Implementations are marked with ``hookimpl`` and may leave out arguments."""

    @hookspec
    def register_passes(self, registry: PassRegistry) -> None:
        """Add passes (``registry.register``) and pipelines (``registry.register_pipeline``), once a run, so that they can be
        asked for by name: by ``--print-after``, and by other plugins through ``registry.create``."""

    @hookspec
    def extend_pipeline(self, pipeline: str, passes: Sequence[Pass], options: PipelineOptions) -> Sequence[Insert]:
        """Passes to insert into a pipeline, each before or after a named one; () where there is nothing to insert.

        ``pipeline`` is ``optimize`` (after import, for every target) or ``prepare`` (before lowering; ``options.target`` is the
        target's name and ``options.supported`` tells which operations it has kernels for), or one that a plugin registers.
        ``passes`` are those that it has without any plugin. A pass is a frozen dataclass derived from ``Pass``; its ``run``
        changes the module in place and returns whether it did."""
        return ()

    @hookspec
    def stage_started(self, stage: str, subject: str) -> None:
        """A stage (import, optimize, lower, compile, run, ...) begins; ``subject`` is the file or network it works on."""

    @hookspec
    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        """A stage has ended well after ``seconds`` of wall time."""

    @hookspec
    def report_sections(self, path: Path, facts: Mapping[str, Any]) -> Sequence[Section]:
        """Sections to add to what ``compile``, ``deploy`` and ``info`` say about the compiled file ``path``.

        ``facts`` are what the command itself knows, as its ``--json`` prints them; the sections come under "sections" there."""
        return ()
