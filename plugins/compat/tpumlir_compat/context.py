"""The folder beside a bmodel that the runtime's own test program takes: the file, its inputs and what should come out, as stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tpumlir_core.files import make_folder, write_bytes
from tpumlir_core.ir import Array, Module, TensorType
from tpumlir_core.ir.storage import to_stored

COMPILATION = "compilation.bmodel"
INPUTS, OUTPUTS = "input_ref_data.dat", "output_ref_data.dat"
"""Its files, as ``bmrt_test --context_dir`` looks for them; each holds the bytes of all tensors, one after the other."""

Types = Sequence[tuple[str, TensorType]]


def external_types(lowered: Module) -> tuple[Types, Types]:
    """Names and types of the inputs and of the outputs."""
    fed = [operation.output for operation in lowered.function.operations if operation.opcode == "top.Input"]
    return [(value.name, value.type) for value in fed], [(value.name, value.type) for value in lowered.function.outputs]


def save_context(model: Path, types: tuple[Types, Types], inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
    """Write the folder, which is called as the bmodel without its suffix.

    There is none for a file without suffix, and none where the host computes on, as what the file itself gives is not known then.
    """
    folder = model.with_suffix("")
    if folder == model or any(name not in outputs for name, _ in types[1]):
        return
    make_folder(folder)
    write_bytes(folder / COMPILATION, model.read_bytes())
    write_bytes(folder / INPUTS, _data(types[0], inputs))
    write_bytes(folder / OUTPUTS, _data(types[1], outputs))


def _data(types: Types, arrays: Mapping[str, Array]) -> bytes:
    return b"".join(_stored(arrays[name], type).tobytes() for name, type in types)


def _stored(array: Array, type: TensorType) -> Array:
    return to_stored(array, type) if array.dtype.kind == "f" else array.astype(type.element.numpy)
