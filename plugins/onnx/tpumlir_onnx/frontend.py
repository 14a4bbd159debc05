"""The ONNX frontend: a model file becomes a Top module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, ElementType, Module, Value
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions
from tpumlir_onnx.constants import foldable_operators
from tpumlir_onnx.converters import CONVERTERS
from tpumlir_onnx.graph import Graph, GraphInput, used_names
from tpumlir_onnx.importer import Importer, named
from tpumlir_onnx.model import SUFFIXES, read_model
from tpumlir_onnx.tensors import LARGEST_TENSOR

# Protobuf tags of ModelProto (onnx.proto): field number * 8 + wire type. A TensorFlow SavedModel starts alike, with version 1.
_IR_VERSION_TAG, _OLDEST_IR, _NO_IR_YET = 0x08, 3, 0x20
_SECOND_TAGS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)

_ELEMENTS: Mapping[str, ElementType] = {
    "float32": ElementType.F32, "float": ElementType.F32, "f32": ElementType.F32, "int32": ElementType.SI32, "int": ElementType.SI32,
    "si32": ElementType.SI32, "int64": ElementType.SI32,
}


class OnnxFrontend(Frontend):
    """Reads ``.onnx`` files, opset 7 to the newest that the installed onnx package knows."""

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By the suffix, or by the first fields of a ModelProto: ir_version, then its producer, graph or opsets."""
        if path.suffix.lower() in SUFFIXES:
            return True
        return len(head) > 2 and head[0] == _IR_VERSION_TAG and _OLDEST_IR <= head[1] < _NO_IR_YET and head[2] in _SECOND_TAGS

    def operators(self) -> Sequence[str]:
        return sorted(known_operators())

    def load(self, path: Path, options: ImportOptions) -> Module:
        with named(path):
            graph = read_model(path, known_operators())[1]
            name = re.sub(r"\W+", "_", options.name or path.stem) or "network"
            return import_graph(graph, options, name)[0]

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        from tpumlir_onnx.session import run_source

        with named(path):
            return run_source(path, inputs, options)

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        from tpumlir_onnx.session import run_source_each

        with named(path):
            yield from run_source_each(path, samples, options)

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_onnx.examples import write_example

        return [write_example(folder / "example.onnx")]


def known_operators() -> frozenset[str]:
    """The ONNX operators that are converted, evaluated or, as If, decided at import."""
    return frozenset((*CONVERTERS, *foldable_operators(), "If"))


def import_graph(graph: Graph, options: ImportOptions, name: str) -> tuple[Module, Importer]:
    """The Top module of a graph, and the importer that knows which value each ONNX tensor became."""
    importer = Importer(CONVERTERS, operators=options.operators)
    _add_inputs(importer, graph.inputs, options)
    outputs = list(options.output_names) or list(graph.outputs)
    wanted = _tensor_names(graph, options.output_names) if options.output_names else outputs
    cut = _needed(graph, wanted)
    importer.add_graph(cut)
    if importer.unsupported:
        items = sorted(set(importer.unsupported))
        raise UnsupportedError("operators that are not supported", (*items[:-1], items[-1] + options.operators.remark()))
    results: list[Value] = []
    for output in wanted:
        results.append(importer.value(output))
    if not results:
        raise InputError("the model has no output")
    importer.function.outputs = results
    module = Module(name, importer.function, importer.weights, {"module.state": "TOP_F32", "module.platform": "ONNX"})
    _drop_unused(module)
    return module, importer


def _add_inputs(importer: Importer, inputs: Sequence[GraphInput], options: ImportOptions) -> None:
    shapes = options.input_shapes
    if shapes and len(shapes) != len(inputs):
        raise InputError(f"{len(shapes)} input shapes are given, but the model has {len(inputs)} inputs")
    if options.input_types and len(options.input_types) != len(inputs):
        raise InputError(f"{len(options.input_types)} input types are given, but the model has {len(inputs)} inputs")
    for index, declared in enumerate(inputs):
        shape = _fixed_shape(declared, shapes[index] if shapes else None)
        element = ElementType.SI32 if declared.dtype.kind in "iu" else ElementType.F32
        if options.input_types:
            element = _element(options.input_types[index])
        importer.add_input(declared.name, shape, declared.dtype, element)


def _element(text: str) -> ElementType:
    if text.lower() not in _ELEMENTS:
        raise InputError(f"input type '{text}' is unknown; use float32 or int32")
    return _ELEMENTS[text.lower()]


def _fixed_shape(declared: GraphInput, given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is not None:
        if declared.shape is not None and len(given) != len(declared.shape):
            raise InputError(f"input {declared.name}: shape {list(given)} given for a tensor of rank {len(declared.shape)}")
        shape = given
    elif declared.shape is None or None in declared.shape:
        known = "unknown" if declared.shape is None else str(["?" if d is None else d for d in declared.shape]).replace("'", "")
        raise InputError(f"input {declared.name}: its shape {known} is not fixed; pass --input-shapes")
    else:
        shape = tuple(d for d in declared.shape if d is not None)
    elements = 1
    for extent in shape:
        if extent < 1:
            raise InputError(f"input {declared.name}: shape {list(shape)} has an extent below 1")
        elements *= extent
    if elements * 4 > LARGEST_TENSOR:
        raise InputError(f"input {declared.name}: shape {list(shape)} is too large")
    return shape


def _tensor_names(graph: Graph, names: Sequence[str]) -> list[str]:
    """ONNX tensor names of outputs given as such, or as ours (tensor name, underscore, operator)."""
    known = {i.name: i.name for i in graph.inputs} | {name: name for name in graph.initializers}
    for node in graph.nodes:
        known |= {f"{output}_{node.op_type}": output for output in node.outputs if output}
    known |= {output: output for node in graph.nodes for output in node.outputs if output}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"output names {', '.join(missing)} are no tensors of this model")
    return [known[name] for name in names]


def _needed(graph: Graph, wanted: Sequence[str]) -> Graph:
    """The graph with only the nodes that its outputs need."""
    needed = set(wanted)
    nodes = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(used_names(node))
            nodes.append(node)
    return Graph(graph.name, nodes[::-1], graph.initializers, graph.inputs, list(wanted))


def _drop_unused(module: Module) -> None:
    """Remove weights, and steps, that conversion made but nothing reads in the end."""
    from tpumlir_core.ir import top

    dead = set()
    for operation in reversed(module.function.operations):
        if not isinstance(operation, top.Input) and not any(result.uses for result in operation.results):
            operation.drop_operands()
            dead.add(operation)
    for name in (result.name for operation in dead for result in operation.results if result.name in module.weights):
        del module.weights[name]
    module.function.remove(dead)


def cast_inputs(graph: Graph, importer: Importer, inputs: Mapping[str, Array]) -> dict[str, Any]:
    """ONNX name -> array in the element type that the model declares; ``inputs`` are by the names of the Input operations.

    Raises InputError for missing names.
    """
    names = {i.name: importer.values[i.name].name for i in graph.inputs}
    missing = [name for name in names.values() if name not in inputs]
    if missing:
        raise InputError(f"inputs {', '.join(missing)} are missing; the model takes {', '.join(names.values())}")
    return {i.name: np.asarray(inputs[names[i.name]]).astype(i.dtype) for i in graph.inputs}
