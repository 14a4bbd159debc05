"""Damaged TFLite files through the command: a bmodel, or one line and exit 2."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache

import numpy as np

from sweeps.mutants import Mutant, Verdict, broken_bytes, judge_file
from sweeps.pool import run_tasks
from sweeps.tflite.cases import cases

MODELS = (
    "CONV_2D 3x3 1,1 1,1 0", "DEPTHWISE_CONV_2D 3x3 2,2 1,1 0", "FULLY_CONNECTED (3, 8) 8 False 1", "RESHAPE (2, 120)",
    "STRIDED_SLICE (0, 1, 0, 2) (2, 5, 6, 7) {}", "CONCATENATION 1", "SPLIT 1", "RESIZE_BILINEAR (8, 12) False False",
    "TRANSPOSE_CONV 3 2 0", "PACK 0", "MEAN (1, 2) False", "PAD ((0, 0), (1, 2), (0, 1), (0, 0))",
    "UNIDIRECTIONAL_SEQUENCE_LSTM (1, 5, 7) False peepholes projection",
)
"""The operators whose files are damaged."""
EXTREMES = (-(1 << 31), -2, -1, 0, 1, 2, 3, 7, 1 << 16, (1 << 31) - 1)


def damaged(mutant: Mutant) -> bytes:
    """The bytes of a damaged file: of every second one number of four bytes is another, the others are broken bytes."""
    data, random = _originals()[mutant.model], np.random.default_rng(mutant.seed)
    if mutant.seed // len(MODELS) % 2:
        return broken_bytes(data, random)
    changed = bytearray(data)
    struct.pack_into("<i", changed, 4 * int(random.integers(2, len(data) // 4)), int(random.choice(EXTREMES)))
    return bytes(changed)


@cache
def _originals() -> Mapping[str, bytes]:
    return {case.name: case.write() for case in cases() if case.name in MODELS}


def judge(mutant: Mutant) -> Verdict:
    """Compile one damaged file by the command, in this process."""
    return judge_file(mutant, damaged(mutant), "mutant.tflite")


def mutants(count: int, workers: int) -> list[Verdict]:
    """The verdict on every damaged file."""
    tasks = [Mutant(MODELS[i % len(MODELS)], i) for i in range(count)]
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, 10.0):
        task = tasks[index]
        found[index] = outcome.value or Verdict(task.model, task.seed, -1, outcome.kind, outcome.text)
    return [found[index] for index in range(count)]


