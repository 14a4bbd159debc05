"""The TensorFlow frontend: a model becomes a Top module, by way of tf2onnx and the ONNX frontend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tpumlir_core.conversion import ConvertingFrontend, Framework
from tpumlir_core.errors import InputError
from tpumlir_core.plugins.extension_points import Example, ImportOptions
from tpumlir_tensorflow.files import Kind, files_of, find_model, kind_of
from tpumlir_tensorflow.graphs import check_frozen_graph, check_saved_model
from tpumlir_tensorflow.keras_container import check_hdf5, check_keras
from tpumlir_tensorflow.operators import OPERATORS

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": "keras",  # not the user's settings, which may turn layouts
}  # fmt: skip


class TensorFlowFrontend(ConvertingFrontend):
    """Reads SavedModel folders, frozen graphs (``.pb``) and Keras files (``.keras``, ``.h5``, ``.hdf5``)."""

    reads_folders = True
    cuts_inputs = True
    framework = Framework("TensorFlow", "tpumlir-tensorflow", ("tensorflow", "tf2onnx"), _QUIET)
    through = "onnx"
    child = "tpumlir_tensorflow.child"

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By a graph's first fields, the names in an archive or the magic of HDF5; a damaged one by its suffix; a folder by its graph."""
        return kind_of(path, head) is not None

    def operators(self) -> Sequence[str]:
        return sorted(OPERATORS)

    def files(self, path: Path, options: ImportOptions) -> Sequence[Path]:
        return files_of(find_model(path))

    def examine(self, path: Path, options: ImportOptions) -> Mapping[str, Any]:
        model = find_model(path)
        if options.model_data is not None:
            raise InputError(f"{options.model_data}: a TensorFlow model has its weights in its own files; leave --model-data away")
        match model.kind:
            case Kind.SAVED_MODEL:
                check_saved_model(model.path, files_of(model))
            case Kind.FROZEN_GRAPH:
                check_frozen_graph(model.path)
            case Kind.KERAS:
                check_keras(model.path)
            case Kind.HDF5:
                check_hdf5(model.path)
        cut = {"input_shapes": options.input_shapes, "input_names": options.input_names, "output_names": options.output_names}
        return {"kind": model.kind.value, "model": str(model.path), **cut}

    def passed_on(self, options: ImportOptions) -> ImportOptions:
        """Shapes are fixed and the graph is cut before it is converted, where that lets more be folded."""
        return replace(options, input_shapes=(), input_names=(), output_names=())

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_tensorflow.examples import write_example

        return [write_example(folder / "example.pb")]
