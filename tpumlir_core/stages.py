"""Stages of a run: named, timed and announced to whoever watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.hooks import HookCaller
from tpumlir_core.plugins.operators import operator_set

if TYPE_CHECKING:
    from tpumlir_core.passes.framework import PassRegistry


class Observer(Protocol):
    """Watches the stages of a run; ``subject`` is the file or network that a stage works on."""

    def stage_started(self, stage: str, subject: str) -> None:
        """A stage begins."""

    def stage_advanced(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` equal steps of a stage that has begun are behind it; ``total`` is 0 where nobody knows."""

    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        """A stage has ended well, after ``seconds`` of wall time."""


class Session:
    """What one run carries along: plugins with their operators, hooks and passes, its observer, the seconds that each stage took."""

    def __init__(self, plugins: PluginManager | None = None, observer: Observer | None = None) -> None:
        self.plugins = plugins or PluginManager.discover()
        self.operators = operator_set(self.plugins)
        self.seconds: dict[str, float] = {}
        self.hooks = HookCaller(self.plugins)
        self._observer = observer

    @cached_property
    def passes(self) -> PassRegistry:
        """The passes and pipelines of the core, and what the hook plugins add to them."""
        from tpumlir_core.passes import builtin_registry

        registry = builtin_registry()
        self.hooks.add_passes(registry)
        return registry

    @contextmanager
    def stage(self, name: str, subject: str) -> Iterator[None]:
        """Time the body as stage ``name``; the seconds of a stage that runs more than once add up."""
        if self._observer is not None:
            self._observer.stage_started(name, subject)
        self.hooks.call("stage_started", stage=name, subject=subject)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.hooks.call("stage_finished", stage=name, subject=subject, seconds=seconds)
        if self._observer is not None:
            self._observer.stage_finished(name, subject, seconds)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Tell the observer how far a stage is, which has begun."""
        if self._observer is not None:
            self._observer.stage_advanced(stage, done, total)
