"""Runs the source files themselves in OpenCV, every layer's results kept, under the names of the Top module."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_caffe.converters import ALIASES
from tpumlir_caffe.frontend import import_network
from tpumlir_caffe.importer import Importer
from tpumlir_caffe.network import Network, read_file, read_network
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Module, top
from tpumlir_core.plugins.extension_points import ImportOptions

INSTALL = "pip install 'tpumlir-caffe[framework]'"


def run_source_each(path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
    """For each sample, name in the Top module -> array, as OpenCV computes it.

    Raises UnsupportedError where OpenCV is not installed, InputError with OpenCV's words where it refuses the network.
    """
    network = read_network(path, options.model_data)
    module, importer = import_network(network, options, "network")
    source = _Source(path, options, network, module, importer)
    for inputs in samples:
        yield source.run(inputs)


class _Source:
    """A network in OpenCV. Its layers go by their names; those of one name, and those that OpenCV leaves out, are not asked for."""

    def __init__(self, path: Path, options: ImportOptions, network: Network, module: Module, importer: Importer) -> None:
        self._cv2 = _opencv()
        if any(isinstance(op, top.DetectionOutput) and op.keep_top_k < 1 for op in module.function.operations):
            raise UnsupportedError("OpenCV does not run DetectionOutput without keep_top_k (it crashes)")
        self._module, self._network = module, network
        model = read_file(options.model_data) if options.model_data else stored_model(network)
        with self._refusals():
            self._net = self._cv2.dnn.readNetFromCaffe(np.frombuffer(read_file(path), np.uint8), np.frombuffer(model, np.uint8))
            self._net.enableFusion(False)
            there = set(self._net.getLayerNames())
        self._names = _opencv_names(network, there)
        self._places = [at for at in self._names if network.layers[at].type not in ALIASES and (at, 0) in importer.made]
        self._made = importer.made

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors by name, in the shapes that they have in the Top module where the sizes agree."""
        for declared in self._network.inputs:
            if declared.name not in inputs:
                raise InputError(f"input {declared.name} is missing; the model takes {', '.join(one.name for one in self._network.inputs)}")
        with self._refusals():
            for declared in self._network.inputs:
                self._net.setInput(np.ascontiguousarray(inputs[declared.name], np.float32), declared.name)
            found = self._net.forwardAndRetrieve([self._names[at] for at in self._places]) if self._places else []
        tensors = {}
        for at, arrays in zip(self._places, found, strict=True):
            for index, array in enumerate(arrays):
                value = self._made.get((at, index))
                if value is not None:
                    tensors[value.name] = np.array(array.reshape(value.shape) if array.size == value.type.elements else array)
        return tensors | self._constants(inputs)

    def _constants(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs that are inputs or weights."""
        known = {value.name for value in self._module.function.outputs}
        weights = {name: self._module.weights[name] for name in known if name in self._module.weights}
        return weights | {name: np.asarray(inputs[name]) for name in known if name in inputs}

    def _refusals(self) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def refusals() -> Iterator[None]:
            try:
                yield
            except self._cv2.error as error:
                raise InputError(f"OpenCV refuses the network: {' '.join(str(error).split())[:300]}") from None

        return refusals()


def _opencv_names(network: Network, there: set[str]) -> dict[int, str]:
    """The place of a layer -> its name in OpenCV, which is its own, or for convolutions that of their top."""
    counts = Counter(layer.name for layer in network.layers)
    found = {at: layer.name for at, layer in enumerate(network.layers) if counts[layer.name] == 1 and layer.name in there}
    for at, layer in enumerate(network.layers):
        if at not in found and layer.tops and layer.tops[0] in there - set(counts):
            found.setdefault(at, layer.tops[0])
    return found


def _opencv() -> Any:
    environment = dict(os.environ)
    try:
        import cv2
    except ImportError:
        raise UnsupportedError(f"running Caffe networks needs OpenCV; {INSTALL}") from None
    finally:
        _restore(environment)
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise UnsupportedError(f"OpenCV {cv2.__version__} does not read Caffe networks any more; {INSTALL}")
    return cv2


def _restore(environment: Mapping[str, str]) -> None:
    """Undo what importing OpenCV does to the paths of libraries, which are for whatever this process starts later."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def stored_model(network: Network) -> bytes:
    """A .caffemodel of the blobs that a .prototxt holds itself: OpenCV reads weights from such a file only."""
    from tpumlir_caffe.schema import message_class

    stored = message_class("StoredNet")()
    for layer in network.layers:
        if layer.blobs:
            _store(stored.layer.add(name=layer.name.encode()), layer.blobs)
    data: bytes = stored.SerializeToString()
    return data


def _store(layer: Any, blobs: Sequence[Array]) -> None:
    for array in blobs:
        blob = layer.blobs.add(data=[array.astype("<f4").tobytes()])
        blob.shape.dim.extend(array.shape)
