"""Stage two, check: the health of every candidate, from metadata and settings alone. Imports no plugin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from importlib import util

from tpumlir_core.plugins.distributions import canonical, installed_version
from tpumlir_core.plugins.finder import Candidate
from tpumlir_core.plugins.requirements import plainly_met
from tpumlir_core.plugins.settings import DISABLE_VARIABLE, Selection

CORE = "tpumlir-core"


class Health(Enum):
    """What state a plugin is in; only ``OK`` can be used."""

    OK = "ok"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    CONFLICT = "conflict"
    BROKEN = "broken"
    MISSING = "missing dependency"


@dataclass(frozen=True)
class Plugin:
    """A candidate and its health; ``reason`` is one line that says why it is not ok and what mends it."""

    candidate: Candidate
    health: Health = Health.OK
    reason: str = ""

    @property
    def kind(self) -> str:
        return self.candidate.kind

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def origin(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.candidate.distribution} {self.candidate.version}"

    def turned(self, health: Health, reason: str) -> Plugin:
        """The same plugin in another health."""
        return replace(self, health=health, reason=reason)


def check(candidates: Sequence[Candidate], selection: Selection, core_version: str) -> list[Plugin]:
    """The health of each, in the order given. What is off or unfit claims no name, so it cannot cause a conflict."""
    lines = {line for candidate in candidates for line in candidate.requires}
    shortfalls = {line: _requirement(line, core_version) for line in lines}
    plugins = [_check_one(candidate, selection, shortfalls) for candidate in candidates]
    claims: dict[tuple[str, str], list[Plugin]] = defaultdict(list)
    for plugin in plugins:
        if plugin.health is Health.OK:
            claims[plugin.kind, plugin.name].append(plugin)
    return [_settle(plugin, claims[plugin.kind, plugin.name]) for plugin in plugins]


def _check_one(candidate: Candidate, selection: Selection, shortfalls: Mapping[str, tuple[Health, str]]) -> Plugin:
    plugin = Plugin(candidate)
    if candidate.problem:
        return plugin.turned(Health.BROKEN, candidate.problem)
    if off := selection.excludes(candidate):
        return plugin.turned(Health.DISABLED, off)
    for line in candidate.requires:
        health, reason = shortfalls[line]
        if health is not Health.OK:
            return plugin.turned(health, reason)
    if not candidate.package or util.find_spec(candidate.package) is None:
        return plugin.turned(Health.BROKEN, f"its module {candidate.value} is not there; reinstall {candidate.distribution}")
    return plugin


def _requirement(line: str, core_version: str) -> tuple[Health, str]:
    """The health that one Requires-Dist line leaves the plugin in."""
    if plainly_met(line, lambda name: core_version if name == CORE else installed_version(name)):
        return Health.OK, ""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return Health.BROKEN, f"its Requires-Dist line {line!r} cannot be read"
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return Health.OK, ""
    if canonical(requirement.name) == CORE:
        if requirement.specifier.contains(core_version, prereleases=True):
            return Health.OK, ""
        return Health.INCOMPATIBLE, f"it needs {CORE} {requirement.specifier}, this is {core_version}"
    mend = f"pip install '{requirement.name}{requirement.specifier}'"
    version = installed_version(requirement.name)
    if version is None:
        return Health.MISSING, f"it needs {requirement.name}: {mend}"
    if requirement.specifier.contains(version, prereleases=True):
        return Health.OK, ""
    return Health.MISSING, f"it needs {requirement.name} {requirement.specifier}, {version} is installed: {mend}"


def _settle(plugin: Plugin, claimants: Sequence[Plugin]) -> Plugin:
    """Conflict, when another distribution (or the same one twice) claims the same name."""
    if plugin.health is not Health.OK or len(claimants) < 2:
        return plugin
    origins = " and ".join(claimant.origin for claimant in claimants)
    advice = f"uninstall one, or switch one off with {DISABLE_VARIABLE}=DISTRIBUTION"
    return plugin.turned(Health.CONFLICT, f"{origins} both bring it; {advice}")
