"""Where the frameworks are that plugins convert with: for ``tpumlir plugins doctor`` and ``install --isolated``."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.conversion import Framework
from tpumlir_core.errors import PluginError
from tpumlir_core.plugins import Plugin, PluginManager, isolation, kind_named
from tpumlir_core.plugins.distributions import canonical


def framework_states(manager: PluginManager) -> list[dict[str, str]]:
    """Of each distribution with a framework, its ``place``: the isolated environment, this environment, or nowhere.

    ``fault``: what is wrong with an isolated environment, also one that is left over.
    """
    plugins = manager.plugins()
    environments = {one.distribution: one for one in isolation.find_all()}
    apart = able_to_isolate(plugins, manager)
    states = []
    for name in sorted({canonical(plugin.candidate.distribution) for plugin in plugins} | set(environments)):
        if name in environments:
            one = environments[name]
            states.append({"distribution": name, "place": str(one.folder), "fault": isolation.fault(one)})
        elif needed := isolation.requirements(name):
            states.append({"distribution": name, "place": _place(name, needed, name in apart), "fault": ""})
    return states


def able_to_isolate(plugins: Sequence[Plugin], manager: PluginManager) -> set[str]:
    """The distributions whose plugins run their framework in a process of its own: those with an attribute ``framework``.

    It loads the plugins; what does not load is not able."""
    found = set()
    for plugin in plugins:
        try:
            extension = manager.get(kind_named(plugin.kind), plugin.name)
        except PluginError:
            continue
        framework = getattr(extension, "framework", None)
        if isinstance(framework, Framework):
            found.add(canonical(framework.distribution))
    return found


def _place(distribution: str, needed: Sequence[str], apart: bool) -> str:
    absent = isolation.unmet(needed)
    if not absent:
        return "this environment"
    here = f"pip install '{distribution}[{isolation.EXTRA}]'"
    more = f", or apart from here: tpumlir plugins install {distribution} --isolated" if apart else ""
    return f"not installed ({', '.join(absent)}): {here}{more}"
