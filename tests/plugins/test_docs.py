"""The plugin author's pages show what the code is: excerpts of the templates, the kit's checks, names that exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

from tpumlir_core.plugins import KINDS
from tpumlir_core.plugins.scaffold import BLUEPRINTS

ROOT = Path(__file__).parent.parent.parent
TUTORIAL = (ROOT / "docs/plugins/tutorial.md").read_text()
EXCERPTS = re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", TUTORIAL, re.DOTALL)


@pytest.fixture
def generator(docs_script: Callable[[str], ModuleType]) -> ModuleType:
    """docs/kit_reference.py."""
    return docs_script("kit_reference")


def test_every_template_is_in_the_tutorial() -> None:
    assert {kind for kind, _ in EXCERPTS} == set(BLUEPRINTS)


@pytest.mark.parametrize(("kind", "code"), EXCERPTS, ids=[kind for kind, _ in EXCERPTS])
def test_excerpts_are_the_templates_own(kind: str, code: str) -> None:
    assert code in (resources.files("tpumlir_core.plugins") / "templates" / f"{kind}.txt").read_text()


def test_the_list_of_checks_is_the_kits(generator: ModuleType) -> None:
    text = generator.PAGE.read_text()
    assert generator.page(text) == text, "run: python docs/kit_reference.py"
    for kind in KINDS:
        assert f"\n## {kind.name}\n" in text
