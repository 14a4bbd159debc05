"""What commands print: facts on stdout, progress on stderr when somebody is watching."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from tpumlir_core.stages import Observer


def print_json(facts: Any) -> None:
    """Facts as indented JSON on stdout."""
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns of plain text, as wide as their content: whole names even in a narrow terminal or a pipe."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(headers, *lines, strict=True)]
    for line in [list(headers), ["-" * width for width in widths], *lines]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class Progress:
    """Says on stderr which stage runs, in one line that is wiped at the end."""

    def stage_started(self, stage: str, subject: str) -> None:
        self._line(f"{stage} {subject} ...")

    def stage_finished(self, stage: str, subject: str, seconds: float) -> None:
        self._line("")

    @staticmethod
    def _line(text: str) -> None:
        width = 100
        short = text if len(text) <= width else f"{text[: width - 3]}..."
        sys.stderr.write(f"\r\x1b[K{short}")
        sys.stderr.flush()


def progress() -> Observer | None:
    """An observer for a person at a terminal; None when stderr is none."""
    return Progress() if sys.stderr.isatty() else None
