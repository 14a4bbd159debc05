"""What commands print: facts on stdout, progress on stderr when somebody is watching."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.main import WIPE_LINE

if TYPE_CHECKING:
    from tpumlir_core.plugins.hooks import HookCaller
    from tpumlir_core.plugins.hookspecs import Section
    from tpumlir_core.stages import Observer


def print_json(facts: Any) -> None:
    """Facts as indented JSON on stdout."""
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """Columns of plain text, as wide as their content: whole names even in a narrow terminal or a pipe.

    The columns whose headers are in ``numbers`` are flush right.
    """
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(headers, *lines, strict=True)]
    sides = [">" if header in numbers else "<" for header in headers]
    for line in [list(headers), ["-" * width for width in widths], *lines]:
        click.echo("  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip())


def print_sections(sections: Iterable[Section]) -> None:
    """What hook plugins add to a report: a title, and a line for each fact."""
    for section in sections:
        click.echo(section.title)
        for name, fact in section.facts.items():
            click.echo(f"  {name}: {fact}")


def sections_json(sections: Sequence[Section]) -> dict[str, Any]:
    """What they add to facts that are printed as JSON: nothing where there are none."""
    return {"sections": [{"title": section.title, "facts": dict(section.facts)} for section in sections]} if sections else {}


def warn_of_sick(hooks: HookCaller) -> None:
    """One line on stderr for each hook plugin that should be called and cannot be."""
    for plugin in hooks.sick():
        click.echo(f"tpumlir: warning: hook {plugin.name} of {plugin.origin} is left out: {plugin.health.value}: {plugin.reason}", err=True)


class Progress:
    """Says on stderr which stage runs, in one line that is wiped when the stage has ended; with a bar where its steps are known."""

    width = 100
    bar = 40

    def stage_started(self, stage: str, subject: str) -> None:
        text = f"{stage} {subject} ..."
        self._write(text if len(text) <= self.width else f"{text[: self.width - 3]}...")

    def stage_advanced(self, stage: str, done: int, total: int) -> None:
        filled = self.bar * done // total if total else 0
        count = f"{done}/{total} [{'#' * filled}{'.' * (self.bar - filled)}]" if total else str(done)
        self._write(f"{stage} {count}")

    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        self._write("")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(f"{WIPE_LINE}{text}")
        sys.stderr.flush()


def progress() -> Observer | None:
    """An observer for a person at a terminal; None when stderr is none."""
    return Progress() if sys.stderr.isatty() else None
