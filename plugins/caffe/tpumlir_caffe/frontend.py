"""The Caffe frontend: a .prototxt and its .caffemodel become a Top module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tpumlir_caffe.converters import ALIASES, CONVERTERS
from tpumlir_caffe.importer import Importer
from tpumlir_caffe.network import DROPPED, SOURCES, Layer, Network, read_network
from tpumlir_core.errors import InputError
from tpumlir_core.importing import element_of, fixed_shape, named, one_each
from tpumlir_core.ir import Array, ElementType, Module, Value
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions

SUFFIX = ".prototxt"
LARGEST_BATCH = 1024
"""Images at once that a file is believed without --input-shapes: compiling takes time that grows with them, whatever the file's size."""
_FIELDS = re.compile(rb"^\s*(layers?\s*:?\s*\{|input\s*:\s*[\"']|input_(dim|shape)\b)", re.MULTILINE)
"""What a network's text has near its begin: layers or inputs."""


class CaffeFrontend(Frontend):
    """Reads ``.prototxt`` with the weights in ``ImportOptions.model_data``; OpenCV runs the source."""

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By the suffix, or by text that begins with a network's fields."""
        if path.suffix.lower() == SUFFIX:
            return True
        return b"\0" not in head and _FIELDS.search(head) is not None

    def operators(self) -> Sequence[str]:
        return sorted({*CONVERTERS, *SOURCES, *DROPPED})

    def load(self, path: Path, options: ImportOptions) -> Module:
        with named(path):
            network = read_network(path, options.model_data)
            return import_network(network, options, options.name or path.stem)[0]

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        return next(iter(self.run_each(path, [inputs], options)))

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        from tpumlir_caffe.source import run_source_each

        with named(path):
            yield from run_source_each(path, samples, options)

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_caffe.examples import write_example

        return [write_example(folder / f"example{SUFFIX}")]


def import_network(network: Network, options: ImportOptions, name: str) -> tuple[Module, Importer]:
    """The Top module of a network, and the importer that knows which value each layer made."""
    importer = Importer(CONVERTERS, ALIASES, options.operators)
    _add_inputs(importer, network, options)
    wanted = _cut(network, options.output_names) if options.output_names else None
    importer.add_network(network, network.layers if wanted is None else network.layers[: max(wanted.values(), default=-1) + 1])
    importer.check_supported()
    outputs = _outputs(importer, network) if wanted is None else [importer.value_at(*one) for one in wanted.items()]
    return importer.module(name, outputs, "CAFFE"), importer


def _add_inputs(importer: Importer, network: Network, options: ImportOptions) -> None:
    one_each(options.input_shapes, len(network.inputs), "shapes")
    one_each(options.input_types, len(network.inputs), "types")
    for at, declared in enumerate(network.inputs):
        given = options.input_shapes[at] if options.input_shapes else None
        shape = fixed_shape(declared.name, declared.shape, given)
        if given is None and shape and shape[0] > LARGEST_BATCH:
            raise InputError(f"input {declared.name}: the file declares a batch of {shape[0]}; pass --input-shapes if that is meant")
        element = element_of(options.input_types[at]) if options.input_types else ElementType.F32
        importer.add_input(declared.name, shape, element)


def _cut(network: Network, names: Sequence[str]) -> dict[str, int]:
    """Output name -> the place of the layer that makes it: the last that writes a blob of that name, or the layer of that name."""
    places = {layer.name: at for at, layer in enumerate(network.layers)}
    places |= {top: at for at, layer in enumerate(network.layers) for top in layer.tops}
    missing = [name for name in names if name not in places]
    if missing:
        raise InputError(f"output names {', '.join(missing)} are no blobs or layers of this network")
    return {name: places[name] for name in names}


def _outputs(importer: Importer, network: Network) -> list[Value]:
    """What every blob holds in the end that no layer reads."""
    last: dict[str, Layer] = {}
    for layer in network.layers:
        for name in layer.bottoms:
            last.pop(name, None)
        last |= dict.fromkeys(layer.tops, layer)
    return [importer.values[name] for name in last if name not in network.silenced]
