"""What installed distributions say of themselves, read without the parser of e-mails that importlib.metadata brings.

That one reads the whole description, and importing it costs more than all else that listing plugins does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Head:
    """Name and version, "" where it has none, and the Requires-Dist lines."""

    name: str
    version: str
    requires: tuple[str, ...]


def canonical(distribution: str) -> str:
    """A distribution's name as PyPI compares it: lower case, ``_`` and ``.`` read as ``-``."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def read_head(distribution: metadata.Distribution) -> Head:
    """The head of its METADATA; what is older than wheels is left to importlib.metadata. Raises ValueError for no text."""
    text = distribution.read_text("METADATA")
    if text is None:
        about = distribution.metadata
        return Head(about["Name"] or "", about["Version"] or "", tuple(distribution.requires or ()))
    fields: dict[str, list[str]] = {}
    for name, value in _fields(text):
        fields.setdefault(name, []).append(value)
    return Head(fields.get("name", [""])[0], fields.get("version", [""])[0], tuple(fields.get("requires-dist", ())))


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; None where there is none of that name or it does not say."""
    try:
        return read_head(metadata.distribution(name)).version or None
    except (metadata.PackageNotFoundError, ValueError):
        return None


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case and values, up to the first empty line; a line that begins with a space continues the one above."""
    name, value = "", ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            value = f"{value} {line.strip()}"
            continue
        if name:
            yield name, value
        name, colon, value = line.partition(":")
        if not colon:
            return
        name, value = name.strip().lower(), value.strip()
    if name:
        yield name, value
