"""Limits of time on a machine that others use too: what they take only adds, so one run below the limit proves it."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

RUNS = 15
"""How often a measurement is repeated before it counts as too slow."""


def own_seconds(work: Callable[[], object]) -> float:
    """Processor time that a call takes in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def child_seconds(work: Callable[[], object]) -> float:
    """Processor time of the processes that a call starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def assert_below(limit: float, measure: Callable[[], float], runs: int = RUNS) -> None:
    """Measure until one run is below ``limit``, in seconds."""
    taken: list[float] = []
    while not taken or taken[-1] >= limit:
        assert len(taken) < runs, f"never below {limit} s: {', '.join(f'{seconds:.2f}' for seconds in taken)}"
        taken.append(measure())


def assert_linear(work: Callable[[int], Callable[[], object]], size: int, limit: float, runs: int = 6) -> None:
    """That ``work(size)``, once made, runs within ``limit`` seconds, and takes less than eight times what a quarter of it does.

    Linear work takes four times as long, quadratic work sixteen times. Both are the quickest of the runs so far.
    """
    quarter, whole = float("inf"), float("inf")
    for _ in range(runs):
        quarter = min(quarter, own_seconds(work(size // 4)))
        whole = min(whole, own_seconds(work(size)))
        if whole < limit and whole < 8 * quarter:
            return
    raise AssertionError(f"{size}: {whole:.2f} s, a quarter of that: {quarter:.2f} s")
