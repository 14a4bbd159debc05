"""The ONNX frontend: a model file becomes a Top module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import element_of, fixed_shape, named, one_each
from tpumlir_core.ir import Array, ElementType, Module
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions
from tpumlir_onnx.constants import foldable_operators
from tpumlir_onnx.converters import CONVERTERS
from tpumlir_onnx.graph import Graph, GraphInput, used_names
from tpumlir_onnx.importer import Importer
from tpumlir_onnx.model import SUFFIXES, read_model

# Protobuf tags of ModelProto (onnx.proto): field number * 8 + wire type. A TensorFlow SavedModel starts alike, with version 1.
_IR_VERSION_TAG, _OLDEST_IR, _NO_IR_YET = 0x08, 3, 0x20
_SECOND_TAGS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)


class OnnxFrontend(Frontend):
    """Reads ``.onnx`` files, opset 7 to the newest that the installed onnx package knows."""

    cuts_inputs = True

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
            return import_graph(graph, options, options.name or path.stem)[0]

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
    wanted = tensor_names(graph, options.output_names) or list(graph.outputs)
    graph = begun_at(graph, options.input_names, wanted)
    importer = Importer(CONVERTERS, operators=options.operators, bare_names=options.bare_names)
    _add_inputs(importer, graph.inputs, options)
    importer.add_graph(_needed(graph, wanted))
    importer.check_supported()
    _name_outputs(graph, wanted, importer)
    return importer.module(name, [importer.value(output) for output in wanted], "ONNX"), importer


def _name_outputs(graph: Graph, wanted: Sequence[str], importer: Importer) -> None:
    """Name what only Identity nodes stand before an output of after that output, as TPU-MLIR does, which has them removed first.

    What is itself an output keeps its name.
    """
    made_by = {output: node for node in graph.nodes for output in node.outputs}
    for output in wanted:
        inner = output
        while (node := made_by.get(inner)) is not None and (node.op_type, node.domain) == ("Identity", ""):
            inner = node.input(0)
        if inner in made_by and inner not in wanted:
            importer.rename(inner, output, made_by[inner].op_type)


def _add_inputs(importer: Importer, inputs: Sequence[GraphInput], options: ImportOptions) -> None:
    shapes = options.input_shapes
    one_each(shapes, len(inputs), "shapes")
    one_each(options.input_types, len(inputs), "types")
    for index, declared in enumerate(inputs):
        shape = fixed_shape(declared.name, declared.shape, shapes[index] if shapes else None)
        element = ElementType.SI32 if declared.dtype.kind in "iu" else ElementType.F32
        if options.input_types:
            element = element_of(options.input_types[index])
        importer.add_input(declared.name, shape, declared.dtype, element)


def begun_at(graph: Graph, names: Sequence[str], outputs: Sequence[str]) -> Graph:
    """What computes the ``outputs`` from the tensors of these names (none: the graph as it is), its inputs in place of its own.

    What was no input before is of float32 and any shape. Raises InputError where other inputs are needed still.
    """
    if not names:
        return graph
    wanted = tensor_names(graph, names)
    own = {given.name: given for given in graph.inputs}
    inputs = [own.get(name) or GraphInput(name, np.dtype(np.float32), None) for name in wanted]
    if len(set(wanted)) < len(wanted) or graph.initializers.keys() & set(wanted):
        raise InputError(f"input names {', '.join(names)}: each must be a tensor that is computed, named once")
    begun = _needed(graph, outputs, frozenset(wanted))
    used = {name for node in begun.nodes for name in used_names(node)} | set(outputs)
    lacking = sorted((used & own.keys()) - set(wanted))
    if lacking:
        raise InputError(f"the network that begins at {', '.join(names)} needs the input {lacking[0]} too; name it among them")
    again = [str(node) for node in begun.nodes if not set(wanted).isdisjoint(node.outputs)]
    if again:
        raise InputError(f"{again[0]}: the network cannot begin at one of its results and compute another of them")
    return Graph(graph.name, begun.nodes, graph.initializers, inputs, list(outputs))


def tensor_names(graph: Graph, names: Sequence[str]) -> list[str]:
    """ONNX tensor names of outputs given as such, or as ours (tensor name, underscore, operator)."""
    known = {i.name: i.name for i in graph.inputs} | {name: name for name in graph.initializers}
    for node in graph.nodes:
        known |= {f"{output}_{node.op_type}": output for output in node.outputs if output}
    known |= {output: output for node in graph.nodes for output in node.outputs if output}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"output names {', '.join(missing)} are no tensors of this model")
    return [known[name] for name in names]


def _needed(graph: Graph, wanted: Sequence[str], given: frozenset[str] = frozenset()) -> Graph:
    """The graph with only the nodes that its outputs need, where the tensors ``given`` need nothing."""
    needed = set(wanted) - given
    nodes = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(name for name in used_names(node) if name not in given)
            nodes.append(node)
    return Graph(graph.name, nodes[::-1], graph.initializers, graph.inputs, list(wanted))


def cast_inputs(graph: Graph, importer: Importer, inputs: Mapping[str, Array]) -> dict[str, Any]:
    """ONNX name -> array in the element type that the model declares; ``inputs`` are by the names of the Input operations.

    Raises InputError for missing names.
    """
    names = {i.name: importer.values[i.name].name for i in graph.inputs}
    missing = [name for name in names.values() if name not in inputs]
    if missing:
        raise InputError(f"inputs {', '.join(missing)} are missing; the model takes {', '.join(names.values())}")
    return {i.name: np.asarray(inputs[names[i.name]]).astype(i.dtype) for i in graph.inputs}
