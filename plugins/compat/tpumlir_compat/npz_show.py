"""The sub-commands of ``npz_tool.py`` that print what is in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tpumlir_compat.npz_arrays import numbers, pick
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array

Words = Sequence[str]
LIST = "--list"
CHANNELS = 3
"""An array of so many channels is an image, of which each is told by itself."""


def dump(words: Words) -> None:
    """``in.npz [name [indices]]``: what there is, or an array, or what the indices choose of it, as in ``0,:,2``."""
    arrays = read_npz(Path(words[0]))
    if len(words) == 1 or words[1] == LIST:
        for name, array in arrays.items():
            print(f"{name}\t{array.shape}\t{array.dtype}")
        return
    array = pick(arrays, words[1], words[0])
    with np.printoptions(precision=6, suppress=True):
        print(array[_indices(words[2])] if len(words) > 2 else array)
        print("shape", array.shape)
        print("dtype", array.dtype)
        if _is_image(array):
            _channels(array.reshape(CHANNELS, -1))


def _indices(text: str) -> tuple[int | slice, ...]:
    """``0,:,2:4``, as in Python."""
    try:
        parts = [part.strip() for part in text.split(",")]
        return tuple(slice(*(int(n) if n.strip() else None for n in part.split(":"))) if ":" in part else int(part) for part in parts)
    except (ValueError, TypeError):
        raise InputError(f"{text!r} is not indices, as in 0,:,2:4") from None


def _is_image(array: Array) -> bool:
    """Whether it is [3, h, w] or one item of a batch."""
    shape = array.shape if array.ndim >= 4 else (1, *array.shape)
    return 3 <= array.ndim <= 5 and shape[0] in (0, 1) and shape[1] == CHANNELS


def _channels(rows: Array) -> None:
    for label, each in (
        ("max", rows.max(axis=1)), ("min", rows.min(axis=1)), ("mean", rows.mean(axis=1)),
        ("abs mean fp32", np.abs(rows).mean(axis=1)), ("std fp32", rows.std(axis=1)),
    ):
        print(label, each)


def get_shape(words: Words) -> None:
    """``in.npz name``: [1,3,224,224]."""
    print(f"[{','.join(map(str, pick(read_npz(Path(words[0])), words[1], words[0]).shape))}]")


def check_nan_inf(words: Words) -> None:
    """``in.npz``: the arrays that hold a NaN or an infinity."""
    for name, array in read_npz(Path(words[0])).items():
        if np.issubdtype(array.dtype, np.inexact):
            if np.isnan(array).any():
                print(f"NaN in {name}:{array.shape}")
            if np.isinf(array).any():
                print(f"Inf in {name}:{array.shape}")


def print_diff(words: Words) -> None:
    """``a.npz b.npz name [n]``: the elements that differ, at most n."""
    a, b = (pick(read_npz(Path(path)), words[2], path).reshape(-1) for path in words[:2])
    most = numbers(words[3])[0] if len(words) > 3 else None
    size = min(a.size, b.size)
    places = np.flatnonzero(a[:size] != b[:size])[:most]
    print("index     adata         bdata")
    for i in places:
        print(f"{i}: {a[i]}, {b[i]}")
    if not places.size:
        print("No difference!")


def statistic(words: Words) -> None:
    """``in.npz [name [axis]]``: mean, variance, extremes and range of every slice along an axis, the second unless it is named."""
    arrays = read_npz(Path(words[0]))
    if len(words) == 1 or words[1] == LIST:
        print("\n".join(arrays))
        return
    array = pick(arrays, words[1], words[0])
    axis = numbers(words[2])[0] if len(words) > 2 else 1
    if not 0 <= axis < array.ndim:
        raise InputError(f"{words[0]}: {words[1]} has {array.ndim} axes, none is {axis}")
    print("data shape:", array.shape)
    with np.printoptions(precision=6, suppress=True):
        _slices(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1))
        if array.ndim == 4:
            print("mean", array.mean(axis=(1, 2, 3)))
            print("var", array.var(axis=(1, 2, 3)))


def _slices(rows: Array) -> None:
    high, low = rows.max(axis=1), rows.min(axis=1)
    extent = high - low
    length = np.linalg.norm(extent)
    share = extent / length if length else extent
    order = np.argsort(share)
    for label, each in (("mean", rows.mean(axis=1)), ("var", rows.var(axis=1)), ("max", high), ("min", low), ("data range", extent),
                        ("data range norm", share), ("norm_odr", order)):
        print(label, each)
    for i in range(len(extent)):
        print(f"idx:{i}, range:{extent[i]}, range norm:{share[i]}, norm order:{order[i]}")
