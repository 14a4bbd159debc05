"""What a compiled file takes: inputs by name and shape, where the format is one that the core reads."""

from __future__ import annotations

from pathlib import Path

from tpumlir_core.bmodel import is_bmodel, read_model, read_notes
from tpumlir_core.container import container_chip, read_container
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head
from tpumlir_core.preprocess.notes import noted_preprocess
from tpumlir_core.preprocess.options import Preprocess
from tpumlir_core.preprocess.samples import InputSpec


def compiled_specs(path: Path, preprocess: Preprocess | None = None, default: Preprocess | None = None) -> list[InputSpec]:
    """The inputs of a compiled file: of its first network, as compiled for its first shapes. Images become them by ``preprocess``,
    else as the file says, else by ``default`` or plainly; raw images stay raw.

    Raises InputError for a format that only a target knows.
    """
    head = read_head(path)
    if is_bmodel(head):
        networks = read_model(path.read_bytes()).net
        stage = networks[0].parameter[0] if networks and networks[0].parameter else None
        tensors = stage.input_tensor if stage else ()
        notes = read_notes(stage) if stage else {}
        shapes = [(tensor.name or "", tuple(tensor.shape[0].dim) if tensor.shape else ()) for tensor in tensors]
    elif container_chip(head) is not None:
        container = read_container(path.read_bytes())
        shapes, notes = [(tensor.name, tensor.shape) for tensor in container.inputs], dict(container.facts)
    else:
        raise InputError(f"{path}: only its target knows the inputs of this file; give them by name in an .npz")
    found = []
    for name, shape in shapes:
        noted, raw = noted_preprocess(notes, name)
        found.append(InputSpec(name, shape, preprocess or noted or default or Preprocess(), raw))
    return found
