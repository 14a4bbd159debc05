"""Calling hook plugins: loaded one entry point at a time, called one plugin at a time, so that no fault is laid at a wrong door.

Where no hook plugin is installed, nothing is imported and every call is answered with nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpumlir_core.errors import InternalError, PluginFault
from tpumlir_core.plugins.health import Health, Plugin
from tpumlir_core.plugins.kinds import HOOK
from tpumlir_core.plugins.manager import PluginManager

if TYPE_CHECKING:
    import pluggy

    from tpumlir_core.passes.framework import Extension, Pass, PassRegistry, PipelineOptions
    from tpumlir_core.passes.insertion import Insert
    from tpumlir_core.plugins.hookspecs import Section


def load_hooks(plugins: PluginManager) -> pluggy.PluginManager:
    """A pluggy manager with every healthy hook plugin registered; the others keep their reasons in ``plugins``."""
    import pluggy

    from tpumlir_core.plugins.hookspecs import PROJECT, Hooks

    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    for name, extension in plugins.load_all(HOOK):
        try:
            hooks.register(extension, name)
        except ValueError as error:  # two entry points that name one object
            plugins.turn(plugins.find(HOOK, name), Health.BROKEN, " ".join(str(error).split()))
    return hooks


class HookCaller:
    """The hook plugins of a run, in the order of their names; loaded when the first hook is called."""

    def __init__(self, plugins: PluginManager) -> None:
        self._plugins = plugins

    @cached_property
    def _hooks(self) -> pluggy.PluginManager | None:
        return load_hooks(self._plugins) if self._plugins.names(HOOK) else None

    def names(self) -> list[str]:
        """Those that can be called."""
        return sorted(name for name, _ in self._hooks.list_name_plugin()) if self._hooks is not None else []

    def sick(self) -> list[Plugin]:
        """Those that are installed and wanted, but cannot be called: nobody asks for a hook by name, so somebody has to say so."""
        self.names()
        return [plugin for plugin in self._plugins.plugins(HOOK) if plugin.health not in (Health.OK, Health.DISABLED)]

    def call(self, hook: str, **arguments: Any) -> dict[str, Any]:
        """Plugin name -> what it answers, of every plugin that has the hook and answers anything. Raises PluginFault."""
        answers = {name: self.call_one(name, hook, **arguments) for name in self.names()}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def call_one(self, name: str, hook: str, **arguments: Any) -> Any:
        """What one plugin answers; None where it has not the hook. Raises PluginFault that names plugin, version and hook."""
        assert self._hooks is not None
        others = [plugin for other, plugin in self._hooks.list_name_plugin() if other != name]
        with self._plugins.calling(HOOK, name, hook):
            try:
                return next(iter(self._hooks.subset_hook_caller(hook, others)(**arguments)), None)
            except InternalError as error:
                raise self._fault(name, hook, str(error)) from error

    def _fault(self, name: str, hook: str, problem: str) -> PluginFault:
        return PluginFault(f"hook {name} of {self._plugins.find(HOOK, name).origin} failed in {hook}: {problem}")

    # --- what the answers are for --------------------------------------------------------------------------------
    def add_passes(self, registry: PassRegistry) -> None:
        """Let every plugin register its passes and, from now on, extend the pipelines of ``registry``."""
        from tpumlir_core.passes.foreign import Origin

        for name in self.names():
            candidate = self._plugins.find(HOOK, name).candidate
            origin = Origin(candidate.distribution, candidate.version)
            with registry.crediting(origin):
                self.call_one(name, "register_passes", registry=registry)
            registry.extend(origin, self._extension(name))

    def _extension(self, name: str) -> Extension:
        def extension(pipeline: str, passes: Sequence[Pass], options: PipelineOptions) -> Sequence[Insert]:
            from tpumlir_core.passes.framework import Pass
            from tpumlir_core.passes.insertion import Insert

            answer = self.call_one(name, "extend_pipeline", pipeline=pipeline, passes=passes, options=options) or ()
            inserts = list(answer) if isinstance(answer, Sequence) else [answer]
            for insert in inserts:
                if not isinstance(insert, Insert) or not isinstance(insert.step, Pass):
                    raise self._fault(name, "extend_pipeline", f"it gave {insert!r}; wanted are Insert(a pass, before=... or after=...)")
            return inserts

        return extension

    def report_sections(self, path: Path, facts: Mapping[str, Any]) -> list[Section]:
        """The sections that plugins add to what is said about a compiled file, by plugin name, each plugin's in its order."""
        sections: list[Section] = []
        for name, answer in self.call("report_sections", path=path, facts=facts).items():
            sections += [self._checked(name, section) for section in (answer if isinstance(answer, Sequence) else [answer])]
        return sections

    def _checked(self, name: str, section: Any) -> Section:
        from tpumlir_core.plugins.hookspecs import Section

        if not isinstance(section, Section):
            raise self._fault(name, "report_sections", f"it gave {section!r}; wanted are Section(title, facts)")
        try:
            json.dumps(dict(section.facts))
        except (TypeError, ValueError) as error:
            raise self._fault(name, "report_sections", f"the facts of section {section.title!r} are no JSON: {error}") from error
        return section
