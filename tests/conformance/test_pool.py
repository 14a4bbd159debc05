"""Workers that crash or hang do not stop the others."""

from __future__ import annotations

import pytest

from sweeps import pool
from tests.conformance.tasks import task


def test_every_task_has_its_outcome(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PATIENCE", 100)  # on a busy machine, too, the processor time is what ends it
    names = ["a", "crash", "b", "exit", "fail", "c", "spin", "d"]
    found = dict(pool.run_tasks(task, names, workers=2, seconds=1))
    assert [found[i].value for i in (0, 2, 5, 7)] == ["A", "B", "C", "D"]
    assert [(found[i].kind, found[i].text) for i in (1, 3)] == [("crash", "signal 8"), ("crash", "exit code 7")]
    assert found[4].kind == "error"
    assert found[4].text.startswith("ValueError: as told (tasks.py:")
    assert (found[6].kind, found[6].text) == ("hang", "processor time used up")
    assert capfd.readouterr().out == ""


def test_a_task_that_sleeps_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PATIENCE", 2)
    found = dict(pool.run_tasks(task, ["sleep", "a"], workers=1, seconds=3))
    assert (found[0].kind, found[0].text) == ("hang", "not done in time")
    assert found[1].value == "A"
