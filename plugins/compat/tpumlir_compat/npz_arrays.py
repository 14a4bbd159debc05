"""The sub-commands of ``npz_tool.py`` that make files of files: take out, put in, rename, reshape, convert."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz, write_bytes, write_npz, write_through
from tpumlir_core.ir import Array
from tpumlir_core.ir.storage import to_bfloat16

Words = Sequence[str]
Arrays = dict[str, Array]
_STORED = {"int8": np.int8, "bf16": np.uint16, "uint16": np.uint16, "float32": np.float32}
"""Types that ``to_bin`` converts to."""


def pick(arrays: Mapping[str, Array], name: str, path: str) -> Array:
    """An array by name. Raises InputError with the names there are."""
    if name not in arrays:
        raise InputError(f"{path}: no array {name}; there is {', '.join(arrays) or 'nothing'}")
    return arrays[name]


def numbers(text: str) -> list[int]:
    """``0,2,1,3``."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} is not whole numbers separated by commas") from None


def extract(words: Words) -> None:
    """``in.npz out.npz a,b``: these arrays in a file of their own."""
    arrays = read_npz(Path(words[0]))
    names = words[2].split(",")
    write_npz(Path(words[1]), {name: pick(arrays, name, words[0]) for name in names})
    for name in names:
        print("extract", name)


def remove(words: Words) -> None:
    """``in.npz a,b``: the file without these arrays."""
    arrays = read_npz(Path(words[0]))
    for name in words[1].split(","):
        pick(arrays, name, words[0])
        del arrays[name]
        print("remove", name)
    write_npz(Path(words[0]), arrays)


def merge(words: Words) -> None:
    """``a.npz b.npz ... out.npz``: the arrays of all; of those of one name the last."""
    merged: Arrays = {}
    for word in words[:-1]:
        merged |= read_npz(Path(word))
    write_npz(Path(words[-1]), merged)


def insert(words: Words) -> None:
    """``a.npz out.npz``: put the arrays of the first into the second, which keeps what it has of the same name."""
    write_npz(Path(words[1]), read_npz(Path(words[0])) | read_npz(Path(words[1])))


def rename(words: Words) -> None:
    """``in.npz old new``."""
    arrays = read_npz(Path(words[0]))
    moved = pick(arrays, words[1], words[0])
    write_npz(Path(words[0]), {name: array for name, array in arrays.items() if name != words[1]} | {words[2]: moved})


def reshape(words: Words) -> None:
    """``in.npz name 4,5,1``."""
    arrays = read_npz(Path(words[0]))
    array, shape = pick(arrays, words[1], words[0]), numbers(words[2])
    try:
        arrays[words[1]] = array.reshape(shape)
    except ValueError:
        raise InputError(f"{words[0]}: {words[1]} has the shape {list(array.shape)}, which cannot be {shape}") from None
    write_npz(Path(words[0]), arrays)


def permute(words: Words) -> None:
    """``in.npz [name] 0,2,1,3``: one array, or all."""
    arrays, order = read_npz(Path(words[0])), numbers(words[-1])
    chosen = words[1:2] if len(words) > 2 else list(arrays)
    for name in chosen:
        array = pick(arrays, name, words[0])
        if sorted(order) != list(range(array.ndim)):
            raise InputError(f"{words[0]}: {name} has {array.ndim} axes, which {words[-1]} does not order")
        arrays[name] = np.ascontiguousarray(array.transpose(order))
    write_npz(Path(words[0]), arrays)


def converting(stored: type[np.generic], convert: Callable[[Array], Array]) -> Callable[[Words], None]:
    """``in.npz out.npz``: every array of one type converted, the others as they are."""

    def act(words: Words) -> None:
        arrays = read_npz(Path(words[0]))
        write_npz(Path(words[1]), {name: convert(array) if array.dtype == stored else array for name, array in arrays.items()})

    return act


bf16_to_fp32 = converting(np.uint16, lambda array: (array.astype(np.uint32) << 16).view(np.float32))
fp16_to_fp32 = converting(np.uint16, lambda array: array.view(np.float16).astype(np.float32))
fp32_to_bf16 = converting(np.float32, to_bfloat16)
fp32_to_fp16 = converting(np.float32, lambda array: array.astype(np.float16).view(np.uint16))


def to_bin(words: Words) -> None:
    """``in.npz name out.bin [int8|bf16|float32]``: the bytes of an array."""
    array = pick(read_npz(Path(words[0])), words[1], words[0])
    kind = words[3] if len(words) > 3 else ""
    if kind and kind not in _STORED:
        raise InputError(f"to_bin: {kind}: there is {', '.join(_STORED)}")
    print("shape", array.shape)
    print("dtype", array.dtype)
    write_bytes(Path(words[2]), (array.astype(_STORED[kind]) if kind else array).tobytes())


def to_dat(words: Words) -> None:
    """``in.npz out.dat``: the bytes of all arrays, one after the other."""
    write_bytes(Path(words[1]), b"".join(array.tobytes() for array in read_npz(Path(words[0])).values()))


def to_npy(words: Words) -> None:
    """``in.npz name``: NAME.npy in the working folder."""
    array = pick(read_npz(Path(words[0])), words[1], words[0])
    path = Path(f"{words[1]}.npy")
    if path.name != str(path):
        raise InputError(f"to_npy: {words[1]} cannot be the name of a file; rename it first")
    write_through(path, lambda place: np.save(place, array))
