"""What ``model_tool`` makes of bmodels: parts, combinations, another firmware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tpumlir_compat.bmodel_show import read
from tpumlir_compat.context import COMPILATION, INPUTS, OUTPUTS
from tpumlir_core.bmodel import combine as combined
from tpumlir_core.bmodel import extract_all, split_file, write_model
from tpumlir_core.bmodel.schema import KernelModule, Model
from tpumlir_core.errors import InputError
from tpumlir_core.files import make_folder, read_head, write_bytes


def extract(words: Sequence[str]) -> None:
    """Write every stage of every network into the working folder."""
    for stem, model in extract_all(read(words[0])[1]).items():
        _write(f"{stem}.bmodel", model)
        print(f"Generate file [{stem}.bmodel] ......")
    print("Success: all files have been generated!")


def refresh(words: Sequence[str]) -> None:
    """Write a file again, as the writer does."""
    _write(words[0], read(words[0])[1])
    print(f"Success: refreshed [{words[0]}].")


def combine(words: Sequence[str]) -> None:
    """The networks of several files in one; those of one name become stages of one network."""
    _write(words[-1], combined([read(word)[1] for word in words[:-1]]))
    print(f"Success: combined to [{words[-1]}].")


def combine_coeff(words: Sequence[str]) -> None:
    """The same; raises InputError where the weights are not the same. They are stored once."""
    models = [read(word)[1] for word in words[:-1]]
    for word, model in zip(words, models, strict=False):
        if _weights(model) != _weights(models[0]):
            raise InputError(f"{word}: its weights are others than those of {words[0]}; use --combine")
    combine(words)


def _weights(model: Model) -> set[bytes]:
    return {bytes(stage.coeff_mem.binary_coeff or b"") for net in model.net for stage in net.parameter if stage.coeff_mem}


def combine_dir(words: Sequence[str]) -> None:
    """The bmodels and test data of several folders in one."""
    folders, output = [Path(word) for word in words[:-1]], Path(words[-1])
    model = combined([read(str(folder / COMPILATION))[1] for folder in folders])
    data = {name: b"".join(_bytes(folder / name) for folder in folders) for name in (INPUTS, OUTPUTS)}
    make_folder(output)
    _write(str(output / COMPILATION), model)
    for name, content in data.items():
        write_bytes(output / name, content)
    print(f"Success: combined to [{output}].")


def _bytes(path: Path) -> bytes:
    read_head(path)
    return path.read_bytes()


def dump(words: Sequence[str]) -> None:
    """Bytes out of the section of binaries."""
    binaries = split_file(read(words[0])[0])[1]
    start, size = (number(word) for word in words[1:3])
    if start + size > len(binaries):
        raise InputError(f"{words[0]}: {size} bytes at {start} are beyond its {len(binaries)} bytes of binaries")
    write_bytes(Path(words[3]), bytes(binaries[start : start + size]))
    print(f"save file[{words[3]}] success")


def number(word: str) -> int:
    """A whole number from 0, in any base that Python reads."""
    try:
        value = int(word, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"{word}: a whole number is needed, as in 4096 or 0x1000")
    return value


def kernel_dump(words: Sequence[str]) -> None:
    """Write the firmware to a file."""
    module = read(words[0])[1].kernel_module
    if module is None or not module.binary:
        raise InputError(f"{words[0]}: there is no firmware in it; the runtime uses its own")
    write_bytes(Path(words[1]), bytes(module.binary))
    print(f"Success: dump kernel_module to [{words[1]}].")


def kernel_update(words: Sequence[str]) -> None:
    """Put a file in as the firmware."""
    module = KernelModule(Path(words[1]).name, _bytes(Path(words[1])))
    _write(words[0], replace(read(words[0])[1], kernel_module=module))
    print(f"Success: update to [{words[1]}].")


def kernel_remove(words: Sequence[str]) -> None:
    """Take the firmware out."""
    _write(words[0], replace(read(words[0])[1], kernel_module=None))
    print("Success remove kernel module.")


def _write(path: str, model: Model) -> None:
    write_bytes(Path(path), write_model(model))
