"""docs/operators.md is what the plugins say."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType


def test_the_lists_of_operators_are_the_plugins_own(docs_script: Callable[[str], ModuleType]) -> None:
    generator = docs_script("operator_reference")
    text = generator.PAGE.read_text()
    assert generator.page(text) == text, "run: python docs/operator_reference.py"
    for title in generator.FRONTENDS.values():
        assert f"\n## {title}\n" in text
