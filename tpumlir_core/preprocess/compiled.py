"""What a compiled file takes: inputs by name and shape, where the format is one that the core reads."""

from __future__ import annotations

from pathlib import Path

from tpumlir_core.bmodel import is_bmodel, read_model
from tpumlir_core.container import container_chip, read_container
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head
from tpumlir_core.preprocess.options import Preprocess
from tpumlir_core.preprocess.samples import InputSpec


def compiled_specs(path: Path, preprocess: Preprocess) -> list[InputSpec]:
    """The inputs of a compiled file: of its first network, as compiled for its first shapes. Images become them by ``preprocess``.

    Raises InputError for a format that only a target knows.
    """
    head = read_head(path)
    if is_bmodel(head):
        networks = read_model(path.read_bytes()).net
        tensors = networks[0].parameter[0].input_tensor if networks and networks[0].parameter else ()
        return [InputSpec(tensor.name or "", tuple(tensor.shape[0].dim) if tensor.shape else (), preprocess) for tensor in tensors]
    if container_chip(head) is not None:
        return [InputSpec(tensor.name, tensor.shape, preprocess) for tensor in read_container(path.read_bytes()).inputs]
    raise InputError(f"{path}: only its target knows the inputs of this file; give them by name in an .npz")
