"""Runs the source model itself in TensorFlow Lite's interpreter, every intermediate tensor kept, under the names of the Top module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.frontend import import_graph
from tpumlir_tflite.importer import Importer
from tpumlir_tflite.model import Graph, Tensor, read_model
from tpumlir_tflite.tensors import DTYPES

PIP_LINE = "pip install 'tpumlir-tflite[framework]'"


def run_source_each(path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
    """Name in the Top module -> array, for each sample. What is quantized comes as the real numbers that it stands for."""
    graph = read_model(path)
    module, importer = import_graph(graph, options, "network")
    if importer.custom:
        names = sorted({operation.opcode for operation in importer.custom.values()})
        raise UnsupportedError(f"TensorFlow Lite's interpreter has no custom operators ({', '.join(names)}); compile the model itself")
    session = LiteSession(path, graph)
    for inputs in samples:
        tensors = session.run(_feeds(importer, inputs))
        yield {**_named(importer, tensors), **_untouched(module.function.outputs, module.weights, inputs)}


def _feeds(importer: Importer, inputs: Mapping[str, Array]) -> dict[int, Array]:
    """The arrays by number of tensor. Raises InputError for missing ones."""
    names = {index: importer.forms[index] for index in importer.graph.inputs}
    found = {index: next(iter(forms.values())).name for index, forms in names.items()}
    missing = [name for name in found.values() if name not in inputs]
    if missing:
        raise InputError(f"inputs {', '.join(missing)} are missing; the model takes {', '.join(found.values())}")
    return {index: np.asarray(inputs[name]) for index, name in found.items()}


def _named(importer: Importer, tensors: Mapping[int, Array]) -> dict[str, Array]:
    """What the interpreter computed by the names of the values that its tensors became, in their layouts."""
    named: dict[str, Array] = {}
    for index, forms in importer.forms.items():
        if index not in tensors or index in importer.constants:
            continue
        for layout, value in forms.items():
            array = layout.of_source(tensors[index])
            if array.shape == value.shape:
                named.setdefault(value.name, array)
    return named


def _untouched(outputs: Iterable[Any], weights: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs that are inputs or constants."""
    found = {value.name: np.asarray(inputs[value.name]) for value in outputs if value.name in inputs}
    return found | {value.name: weights[value.name] for value in outputs if value.name in weights}


class LiteSession:
    """A file in TensorFlow Lite's interpreter, with its reference kernels. Raises UnsupportedError where that is not installed."""

    def __init__(self, path: Path, graph: Graph) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError:
            raise UnsupportedError(f"TensorFlow Lite's interpreter is not installed; run: {PIP_LINE}") from None
        self._graph = graph
        # Without default delegates: those fuse operators and keep no intermediate tensors.
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter: Any = Interpreter(
                model_content=path.read_bytes(), experimental_preserve_all_tensors=True, experimental_op_resolver_type=resolver
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"TensorFlow Lite refuses the model: {_first_line(error)}") from None
        self._inputs = {detail["index"] for detail in self._interpreter.get_input_details()}

    def run(self, feeds: Mapping[int, Array]) -> dict[int, Array]:
        """Every tensor by its number; floats, booleans and quantized numbers as float32."""
        try:
            for index, array in feeds.items():
                self._interpreter.resize_tensor_input(index, array.shape)
            self._interpreter.allocate_tensors()
            for index, array in feeds.items():
                self._interpreter.set_tensor(index, _stored(self._graph.tensors[index], array))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"TensorFlow Lite refuses the model: {_first_line(error)}") from None
        return {index: found for index in range(len(self._graph.tensors)) if (found := self._tensor(index)) is not None}

    def _tensor(self, index: int) -> Array | None:
        tensor = self._graph.tensors[index]
        if tensor.type not in DTYPES or tensor.sparsity is not None:
            return None
        try:
            array = np.array(self._interpreter.get_tensor(index))
        except (RuntimeError, ValueError):
            return None  # never computed: a constant that is packed, or a tensor of a branch
        return plain(tensor, array)


def _stored(tensor: Tensor, array: Array) -> Array:
    """An input as the model stores it; for what is quantized the numbers nearest to the real ones given."""
    dtype = DTYPES.get(tensor.type)
    if dtype is None:
        raise UnsupportedError(f"an input of type {tensor.type}")
    if tensor.scale is not None and dtype.kind in "iu":
        return tensor.scale.stored(array, dtype)
    return array.astype(dtype)


def plain(tensor: Tensor, array: Array) -> Array:
    """An array of the interpreter as the Top module has it: real numbers, integers as they are."""
    if tensor.scale is not None and array.dtype.kind in "iu":
        return tensor.scale.real(array)
    return array if array.dtype.kind in "iu" or array.dtype == np.float32 else array.astype(np.float32)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
