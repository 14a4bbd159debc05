"""The options of custom operators."""

from __future__ import annotations

from typing import Any


def attributes_of(options: bytes) -> dict[str, Any]:
    """The attributes by name."""
    return {}
