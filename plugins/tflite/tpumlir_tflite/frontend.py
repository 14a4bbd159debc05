"""The TFLite frontend: a model file becomes a Top module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import element_of, fixed_shape, named, one_each
from tpumlir_core.ir import Array, ElementType, Module
from tpumlir_core.ir.storage import QUANTIZED_SOURCE
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions
from tpumlir_tflite.converters import CONVERTERS
from tpumlir_tflite.importer import Importer
from tpumlir_tflite.layout import SOURCE
from tpumlir_tflite.model import Graph, Node, read_model
from tpumlir_tflite.schema import IDENTIFIER
from tpumlir_tflite.tensors import DTYPES

SUFFIX = ".tflite"


class TfliteFrontend(Frontend):
    """Reads ``.tflite`` files of schema version 3."""

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By the file identifier, or by the suffix."""
        return head[4:8] == IDENTIFIER or path.suffix.lower() == SUFFIX

    def operators(self) -> Sequence[str]:
        return sorted(CONVERTERS)

    def load(self, path: Path, options: ImportOptions) -> Module:
        with named(path):
            return import_graph(read_model(path), options, options.name or path.stem)[0]

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        return next(self.run_each(path, [inputs], options))

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        from tpumlir_tflite.session import run_source_each

        with named(path):
            yield from run_source_each(path, samples, options)

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_tflite.examples import write_examples

        return write_examples(folder)


def import_graph(graph: Graph, options: ImportOptions, name: str) -> tuple[Module, Importer]:
    """The Top module of a graph, and the importer that knows which value each tensor became."""
    wanted = _wanted(graph, options.output_names)
    graph = Graph(graph.tensors, _needed(graph, wanted), graph.inputs, wanted)
    importer = Importer(graph, CONVERTERS, options.operators)
    _add_inputs(importer, options)
    importer.add_nodes(graph.nodes)
    importer.check_supported()
    outputs = [importer.form(index, SOURCE) for index in wanted]
    module = importer.module(name, outputs, "TFLITE")
    if any(value.type.quantization is not None for value in module.function.values()):
        module.attributes["module.state"] = QUANTIZED_SOURCE
    return module, importer


def _add_inputs(importer: Importer, options: ImportOptions) -> None:
    graph = importer.graph
    one_each(options.input_shapes, len(graph.inputs), "shapes")
    one_each(options.input_types, len(graph.inputs), "types")
    for position, index in enumerate(graph.inputs):
        tensor = graph.tensors[index]
        if tensor.type not in DTYPES:
            raise UnsupportedError(f"input {tensor.name} of type {tensor.type}")
        shape = fixed_shape(tensor.name, tensor.shape, options.input_shapes[position] if options.input_shapes else None)
        element = ElementType.SI32 if importer.is_integer(index) else ElementType.F32
        if options.input_types:
            element = element_of(options.input_types[position])
        importer.add_input(index, shape, element)


def _wanted(graph: Graph, names: Sequence[str]) -> tuple[int, ...]:
    """The tensors that come out: those that the user names, else the network's."""
    known = {tensor.name: index for index, tensor in reversed(list(enumerate(graph.tensors)))}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"output names {', '.join(missing)} are no tensors of this model")
    return tuple(known[name] for name in names) if names else graph.outputs


def _needed(graph: Graph, wanted: Sequence[int]) -> list[Node]:
    """The operators that these tensors need."""
    needed = set(wanted)
    nodes = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            nodes.append(node)
    return nodes[::-1]


