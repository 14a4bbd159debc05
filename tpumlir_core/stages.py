"""Stages of a run: named, timed and announced to whoever watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tpumlir_core.plugins import HOOK, PluginManager
from tpumlir_core.plugins.hooks import load_hooks
from tpumlir_core.plugins.operators import operator_set


class Observer(Protocol):
    """Watches the stages of a run; ``subject`` is the file or network that a stage works on."""

    def stage_started(self, stage: str, subject: str) -> None:
        """A stage begins."""

    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        """A stage has ended well, after ``seconds`` of wall time."""


class Session:
    """What one run carries along: its plugins and custom operators, its observer and hooks, the seconds that each stage took."""

    def __init__(self, plugins: PluginManager | None = None, observer: Observer | None = None) -> None:
        self.plugins = plugins or PluginManager.discover()
        self.operators = operator_set(self.plugins)
        self.seconds: dict[str, float] = {}
        self._observer = observer
        self._hooks = load_hooks(self.plugins)

    @contextmanager
    def stage(self, name: str, subject: str) -> Iterator[None]:
        """Time the body as stage ``name``; the seconds of a stage that runs more than once add up."""
        if self._observer is not None:
            self._observer.stage_started(name, subject)
        self._call_hooks("stage_started", stage=name, subject=subject)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._call_hooks("stage_finished", stage=name, subject=subject, seconds=seconds)
        if self._observer is not None:
            self._observer.stage_finished(name, subject, seconds)

    def _call_hooks(self, hook: str, **facts: Any) -> None:
        """Call the implementations one plugin at a time, so that a fault is laid at the right door."""
        for name, plugin in self._hooks.list_name_plugin():
            others = self._hooks.get_plugins() - {plugin}
            with self.plugins.calling(HOOK, name, hook):
                self._hooks.subset_hook_caller(hook, others)(**facts)
