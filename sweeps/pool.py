"""Work in child processes that may crash or hang: such a task is named, its process replaced, and the others go on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
PATIENCE = 10
"""On a busy machine a task takes longer than its processor time."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a task: ``done`` with its value, ``error`` (an exception), ``crash`` (a signal) or ``hang``, with a text."""

    kind: str
    value: Result | None = None
    text: str = ""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: int | None = None
    deadline: float = 0.0


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int = 2, seconds: float = 60.0
) -> Iterator[tuple[int, Outcome[Result]]]:
    """The outcome of every task with its index, in the order in which they end.

    ``function`` is a function of a module; it may keep what is dear to make. ``seconds``: processor time that one task may
    take, and up to ``PATIENCE`` times as long by the clock. What a worker prints is thrown away.
    """
    waiting = list(range(len(tasks)))[::-1]
    crew = [_start(function, seconds) for _ in range(min(workers, len(tasks)))]
    try:
        while waiting or any(w.task is not None for w in crew):
            for at, worker in enumerate(crew):
                if worker.task is None and waiting:
                    crew[at] = worker if worker.process.is_alive() else _start(function, seconds)
                    _give(crew[at], waiting.pop(), tasks, seconds * PATIENCE)
            busy = [w for w in crew if w.task is not None]
            ready = wait([w.pipe for w in busy], max(0.0, min(w.deadline for w in busy) - time.monotonic()))
            for worker in busy:
                if worker.pipe in ready or time.monotonic() > worker.deadline:
                    assert worker.task is not None
                    yield worker.task, _outcome(worker, worker.pipe in ready)
                    worker.task = None
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()


def _start(function: Callable[[Any], Any], seconds: float) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs, seconds), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, index: int, tasks: Sequence[Any], seconds: float) -> None:
    worker.task, worker.deadline = index, time.monotonic() + seconds
    worker.pipe.send(tasks[index])


def _outcome(worker: _Worker, ready: bool) -> Outcome[Any]:
    if not ready:
        worker.process.kill()
        worker.process.join()
        return Outcome("hang", text="not done in time")
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        code = worker.process.exitcode or 0
        if code == -signal.SIGXCPU:
            return Outcome("hang", text="processor time used up")
        return Outcome("crash", text=f"signal {-code}" if code < 0 else f"exit code {code}")
    return Outcome(kind, text=value) if kind == "error" else Outcome(kind, value)


def _serve(function: Callable[[Any], Any], pipe: Connection, seconds: float) -> None:
    """The life of a worker: its standard streams go nowhere, native libraries' too."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            os._exit(0)  # not by way of exit handlers: threads of native libraries would keep the process
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, resource.RLIM_INFINITY))
        try:
            pipe.send(("done", function(task)))
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            pipe.send(("error", f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"))
