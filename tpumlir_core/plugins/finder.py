"""Stage one, find: what the installed distributions say they bring. Reads metadata only, imports nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from tpumlir_core.plugins.distributions import canonical, read_head
from tpumlir_core.plugins.kinds import KINDS

ENTRY_POINTS = "entry_points.txt"
NAMELESS = "(a distribution without a name)"


@dataclass(frozen=True, order=True)
class Candidate:
    """One entry point as found. ``value`` is its ``module:attribute``; ``requires`` the Requires-Dist lines of its
    distribution; ``problem`` says what is wrong with its metadata, "" when they read well."""

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    requires: tuple[str, ...] = ()
    problem: str = ""

    @property
    def package(self) -> str:
        """The top-level package that its import starts with."""
        return self.value.partition(":")[0].partition(".")[0].strip()


def find(path: Sequence[str] | None = None) -> list[Candidate]:
    """Every entry point in the groups of ``KINDS``, sorted. ``path`` stands in for ``sys.path``.

    A distribution that is installed twice counts once: the one found first, which is the one that Python imports.
    """
    found: dict[str, list[Candidate]] = {}
    distributions = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in distributions:
        if "tpumlir." not in _entry_points(distribution):
            continue
        name, candidates = _read(distribution)
        found.setdefault(canonical(name), candidates)
    return sorted(candidate for candidates in found.values() for candidate in candidates)


def _entry_points(distribution: metadata.Distribution) -> str:
    try:
        return distribution.read_text(ENTRY_POINTS) or ""
    except UnicodeDecodeError:
        return ""  # whose it is, nobody can tell


def _read(distribution: metadata.Distribution) -> tuple[str, list[Candidate]]:
    """A distribution's name and what it brings."""
    kinds = {kind.group: kind.name for kind in KINDS}
    try:
        head = read_head(distribution)
    except ValueError as error:
        return NAMELESS, [Candidate("distribution", NAMELESS, NAMELESS, "?", "", problem=f"its METADATA cannot be read: {error}")]
    name, version = head.name or NAMELESS, head.version or "?"
    try:
        points = list(distribution.entry_points)
    except (ValueError, TypeError, AttributeError) as error:
        return name, [Candidate("distribution", name, name, version, "", problem=f"its {ENTRY_POINTS} cannot be read: {error}")]
    found = [Candidate(kinds[p.group], p.name, name, version, p.value, head.requires) for p in points if p.group in kinds]
    return name, found
