"""An ``onnx.backend`` of the BM1684X in F32: models are compiled and run on SOPHGO's emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from sweeps.emulator import run_bmodel
from tpumlir_core import api
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Artifact, ImportOptions
from tpumlir_core.stages import Session
from tpumlir_sophgo.emitter import Engine

CHIP = "bm1684x"


class Bm1684xRep(BackendRep):
    """A model that is compiled for the shapes of the inputs that it is run with."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        given = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value for value in model.graph.input if value.name not in given]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """Outputs in the types that the model declares."""
        found = self.run_float([numbers(value) for value in inputs])
        return tuple(_declared(array, output) for array, output in zip(found, self.model.graph.output, strict=True))

    def run_float(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs as the chip gives them. Raises InputError for what is not supported, InternalError where the order in
        which the two engines run changes the result."""
        artifact = self.compile(inputs)
        feeds = [np.ascontiguousarray(array).reshape(array.shape or (1,)) for array in inputs]
        found, other = (run_bmodel(artifact.data, feeds, engine) for engine in Engine)
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(found, other, strict=True)):
            raise InternalError("the result depends on which engine is ahead")
        return found

    def compile(self, inputs: Sequence[Array]) -> Artifact:
        """The bmodel for inputs of these shapes."""
        if len(inputs) != len(self.inputs):
            raise InputError(f"{len(inputs)} inputs are given, the model has {len(self.inputs)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(self.model.SerializeToString())
            options = ImportOptions(input_shapes=tuple(array.shape for array in inputs))
            return api.compile(path, chip=CHIP, options=options, session=session())


class Bm1684xBackend(Backend):
    """The backend that ONNX's own test runner takes."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Bm1684xRep:
        return Bm1684xRep(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


@dataclass(frozen=True)
class Stored:
    """The same through the real runtime, for comparison."""

    artifact: Artifact

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs in order."""
        from tpumlir_bmrt.runner import BmrtRunner
        from tpumlir_core.bmodel import read_model

        stage = read_model(self.artifact.data).net[0].parameter[0]
        names = [tensor.name or "" for tensor in stage.input_tensor]
        feeds = {name: array.reshape(array.shape or (1,)) for name, array in zip(names, inputs, strict=True)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.bmodel"
            path.write_bytes(self.artifact.data)
            found = BmrtRunner(timeout=120).run(path, feeds)
        return [found[tensor.name or ""] for tensor in stage.output_tensor]


@cache
def session() -> Session:
    """The plugins, found once a process."""
    return Session()


def numbers(value: Any) -> Array:
    """An input as the frontend takes it: F32, or integers. Raises InputError for sequences, text and nothing."""
    if value is None or isinstance(value, list | tuple | dict):
        raise InputError(f"a {type(value).__name__} is no tensor")
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    if array.dtype.kind in "iub":
        return array
    try:
        return array.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{array.dtype} are no numbers") from error


def _declared(array: Array, output: onnx.ValueInfoProto) -> Array:
    kind = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    return (np.rint(array) if kind.kind in "iu" else array).astype(kind)
