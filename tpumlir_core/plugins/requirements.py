"""Requires-Dist lines, without ``packaging`` where they are as plain as most are: it takes longer to import than to list plugins."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from tpumlir_core.plugins.distributions import canonical

_RELEASE = r"[0-9]{1,9}(?:\.[0-9]{1,9})*"
_CLAUSE = rf"(?:[<>=!]=|<|>)\s*{_RELEASE}"
_CLAUSES = rf"({_CLAUSE}(?:\s*,\s*{_CLAUSE})*)"
_PLAIN = re.compile(rf"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:{_CLAUSES}|\(\s*{_CLAUSES}\s*\))?", re.ASCII)
_COMPARED = re.compile(rf"([<>=!]+)\s*({_RELEASE})")
_OF_AN_EXTRA = re.compile(r"""extra\s*==\s*(?:"[\w.-]+"|'[\w.-]+')""", re.ASCII)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def plainly_met(line: str, version_of: Callable[[str], str | None]) -> bool:
    """Whether a line asks for nothing that is not there; False where that takes more than comparing releases.

    ``version_of`` tells the version of a distribution by its canonical name, None where it is not installed. Plain are the lines
    of extras and those with releases such as ``1.2.0`` alone, installed and asked for: those order as PEP 440 says when
    compared number by number.
    """
    needed, semicolon, marker = line.partition(";")
    if semicolon:
        return _OF_AN_EXTRA.fullmatch(marker.strip()) is not None and _PLAIN.fullmatch(needed.strip()) is not None
    found = _PLAIN.fullmatch(needed.strip())
    version = version_of(canonical(found[1])) if found else None
    if found is None or version is None:
        return False
    clauses = _COMPARED.findall(found[2] or found[3] or "")
    if not clauses:
        return True
    return re.fullmatch(_RELEASE, version) is not None and all(_holds(version, sign, bound) for sign, bound in clauses)


def _holds(version: str, sign: str, bound: str) -> bool:
    return _OPERATORS[sign](_numbers(version), _numbers(bound))


def _numbers(release: str) -> tuple[int, ...]:
    """Its numbers without the zeros at the end, which do not count."""
    numbers = [int(number) for number in release.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
