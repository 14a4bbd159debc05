"""The hooks: functions that a plugin of group ``tpumlir.hooks`` may define, all of which are called."""

from __future__ import annotations

import pluggy

PROJECT = "tpumlir"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """What can be hooked. Implementations are marked with ``hookimpl`` and may leave out arguments."""

    @hookspec
    def stage_started(self, stage: str, subject: str) -> None:
        """A stage (import, optimize, lower, compile, ...) begins; ``subject`` is the file or network it works on."""

    @hookspec
    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        """A stage has ended well after ``seconds`` of wall time."""
