"""How often a classifier is right, and how often it says what another says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

RANKS = 5
"""How many classes of each sample are kept, best first."""


@dataclass(frozen=True)
class Best:
    """The best classes of every sample, [samples, up to RANKS], best first."""

    classes: Array
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Accuracy:
    """Shares, 0 to 1: of the labelled samples whose label is the best class (``top1``) or one of the best five (``top5``), None
    where no sample has a label; and ``agreement``, of all samples whose best class is that of the network compared with."""

    samples: int
    labelled: int
    top1: float | None
    top5: float | None
    agreement: float
    seconds: float


def best_of(scores: Iterable[Array]) -> Array:
    """The best classes of each of many arrays of scores, [samples, up to RANKS]. Of equal scores the first is best."""
    found = [np.argsort(-one, kind="stable")[:RANKS] for one in scores]
    return np.array(found, np.int32)


def scores_of(tensors: Mapping[str, Array], outputs: Sequence[str], wanted: str) -> Array:
    """One number a class, of what a network gives for a sample: the output ``wanted``, or the first; of a batch the first item.

    Raises InputError where there is no such output, or it holds no scores of several classes.
    """
    name = wanted or next(iter(outputs or tensors), "")
    if name not in tensors:
        raise InputError(f"no output {name}; there is {', '.join(tensors) or 'none'}")
    array = np.asarray(tensors[name], np.float32)
    scores: Array = (array[0] if array.ndim > 1 else array).reshape(-1)
    if scores.size < 2:
        raise InputError(f"output {name} is {list(array.shape)}: it holds no scores of several classes")
    return scores


def accuracy(best: Best, labels: Sequence[int | None], reference: Best) -> Accuracy:
    """What the best classes are worth, beside labels and beside the best classes of another network."""
    there = np.array([label is not None for label in labels], bool)
    wanted = np.array([-1 if label is None else label for label in labels])
    hits = (best.classes == wanted[:, None])[there]
    first, any_of_them = (float(hits[:, :ranks].any(1).mean()) if len(hits) else None for ranks in (1, RANKS))
    agreement = float((best.classes[:, 0] == reference.classes[:, 0]).mean())
    return Accuracy(len(labels), len(hits), first, any_of_them, agreement, best.seconds)
