"""Stage one, find: what the installed distributions say they bring. Reads metadata only, imports nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from tpumlir_core.plugins.kinds import KINDS

ENTRY_POINTS = "entry_points.txt"


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


def canonical(distribution: str) -> str:
    """A distribution's name as PyPI compares it: lower case, ``_`` and ``.`` read as ``-``."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def find(path: Sequence[str] | None = None) -> list[Candidate]:
    """Every entry point in the groups of ``KINDS``, sorted. ``path`` stands in for ``sys.path``.

    A distribution that is installed twice counts once: the one found first, which is the one that Python imports.
    """
    found: dict[str, list[Candidate]] = {}
    distributions = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in distributions:
        text = distribution.read_text(ENTRY_POINTS) or ""
        if "tpumlir." not in text:
            continue
        name = distribution.metadata["Name"] or "(a distribution without a name)"
        if canonical(name) not in found:
            found[canonical(name)] = list(_candidates(name, distribution))
    return sorted(candidate for candidates in found.values() for candidate in candidates)


def _candidates(name: str, distribution: metadata.Distribution) -> Iterator[Candidate]:
    kinds = {kind.group: kind.name for kind in KINDS}
    version = distribution.metadata["Version"] or "?"
    try:
        points = list(distribution.entry_points)
    except (ValueError, TypeError, AttributeError) as error:
        yield Candidate("distribution", name, name, version, "", problem=f"its {ENTRY_POINTS} cannot be read: {error}")
        return
    requires = tuple(distribution.requires or ())
    for point in points:
        if point.group in kinds:
            yield Candidate(kinds[point.group], point.name, name, version, point.value, requires)
